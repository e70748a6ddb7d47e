import Proactor
import Testing
import ZeroMQ

extension Sockets {
    /// One loop, two sockets: what a peer of one does costs the other a bounded number of turns. The context is turned
    /// by hand, so turns are counted, not timed.
    @Suite("Bounded work in a turn") struct BoundedTurnTests {
        enum Flood: CaseIterable { case small, large, pings, commands, neverReads }

        static let setups = Setup.tcp.filter { $0.drive == .callerDriven }
        /// io_uring hears of the bytes in one turn and has them in the next; epoll may go on with what it knows to be
        /// readable for 8 turns before it looks for more.
        static let turnBound = 8 + 2
        /// What one connection may bring in a turn.
        static let byteBound = 1 << 20

        @Test("A flood to one socket does not delay a message to another", arguments: setups, Flood.allCases)
        func flood(setup: Setup, flood: Flood) throws {
            let context = try setup.context()
            let victim = try PullSocket(context, .test { $0.receiveHighWaterMark = 300_000 })
            let quiet = try PullSocket(context, .test)
            let pouring = Shared(true)
            let hostile = try RawPeer(victim.bind(setup.wildcard))
            let friend = try RawPeer(quiet.bind(setup.wildcard))
            try greet(hostile, as: "PUSH", in: context)
            try greet(friend, as: "PUSH", in: context)
            let piece: [UInt8] =
                switch flood {
                case .small: [[UInt8]](repeating: [0, 1, 7], count: 50_000).flatMap { $0 }
                case .large: RawPeer.frame([UInt8](repeating: 7, count: 1_000_000))
                case .pings, .neverReads: [[UInt8]](repeating: RawPeer.ping([1]), count: 20_000).flatMap { $0 }
                case .commands:
                    [[UInt8]](repeating: RawPeer.frame([1, 0x41], flags: 4), count: 40_000).flatMap { $0 }
                }
            let poured = Shared(0)
            let flooding = Worker {
                while pouring.value {
                    hostile.pour(piece)
                    poured.change { $0 += 1 }
                }
            }
            let draining = Worker {
                guard flood == .pings else { return }
                while (try? hostile.receive(1)) != nil {}
            }
            // The flood has come as far as the socket, or (commands leave no trace) at least as far as the loop.
            let hasBegun = context.eventually {
                flood == .small || flood == .large
                    ? victim.statistics.peers.first.map { $0.toTake.bytes > 0 } ?? false : poured.value > 0
            }
            #expect(hasBegun, "there is no flood")
            var longest = 0
            for round in 0..<20 {
                try friend.send([0, 1, UInt8(round)])
                var turns = 0
                while true {
                    let before = victim.statistics.peers.first?.toTake.bytes ?? 0
                    if let message = try quiet.tryReceive() {
                        #expect(message.bytes == [UInt8(round)])
                        break
                    }
                    try context.run(until: .distantPast)
                    turns += 1
                    let came = (victim.statistics.peers.first?.toTake.bytes ?? 0) - before
                    #expect(came <= Self.byteBound)
                    try #require(turns < 1000, "the message of round \(round) does not come")
                }
                longest = max(longest, turns)
            }
            #expect(longest <= Self.turnBound)
            pouring.value = false
            // A peer that is cut or not received from must not hold its thread.
            victim.close()
            let isDone = context.eventually { flooding.join(within: 0) && draining.join(within: 0) }
            #expect(isDone)
            context.close()
        }

        /// The handshake of a peer whose other side is turned by this thread.
        private func greet(_ peer: RawPeer, as type: String, in context: Context) throws {
            let shaking = Worker { try? peer.shakeHands(as: type) }
            let isDone = context.eventually { shaking.join(within: 0) }
            try #require(isDone)
        }
    }
}
