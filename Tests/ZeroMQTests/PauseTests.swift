import Testing
import ZeroMQ

extension Sockets {
    @Suite("A receiver at its mark") struct PauseTests {
        private static let pong: [UInt8] = [4] + Array("PONG".utf8)

        @Test("answers PINGs behind the messages that wait, in whatever pieces they come", arguments: Setup.engines)
        func answers(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 2 })
            let peer = try RawPeer(pull.bind(setup.wildcard))
            try peer.shakeHands(as: "PUSH")
            func message(_ number: UInt8) -> [UInt8] {
                RawPeer.frame([number], flags: 1) + RawPeer.frame([0, number])
            }
            // All at once: PINGs between messages and inside one.
            try peer.send((0..<5).flatMap { message($0) + RawPeer.ping([$0]) })
            for number in 0..<5 as Range<UInt8> { #expect(try peer.receiveFrame().body == Self.pong + [number]) }
            try peer.send(RawPeer.frame([5], flags: 1) + RawPeer.ping([5]) + RawPeer.frame([0, 5]))
            #expect(try peer.receiveFrame().body == Self.pong + [5])
            for byte in RawPeer.ping([6]) + message(6) + RawPeer.ping([7]) { try peer.send([byte]) }
            for number in 6...7 as ClosedRange<UInt8> {
                #expect(try peer.receiveFrame().body == Self.pong + [number])
            }
            #expect(pull.statistics.messagesToTake == 2)
            for number in 0..<7 as Range<UInt8> { #expect(try pull.receive() == [[number], [0, number]]) }
            try peer.send(RawPeer.ping([8]))
            #expect(try peer.receiveFrame().body == Self.pong + [8])
            #expect(try pull.tryReceive() == nil)
            context.close()
        }

        @Test("delivers what waited although the peer has hung up, then tells the end", arguments: Setup.engines)
        func hangUp(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 2 })
            let monitor = pull.monitor()
            var peer: RawPeer? = try RawPeer(pull.bind(setup.wildcard))
            try peer?.shakeHands(as: "PUSH")
            try peer?.send((0..<9).flatMap { RawPeer.frame([$0]) } + RawPeer.ping([1]))
            #expect(try peer?.receiveFrame().body == Self.pong + [1])
            // Everything has arrived; now the end does, while nobody takes anything.
            peer = nil
            for number in 0..<9 as Range<UInt8> { #expect(try pull.receive() == [[number]]) }
            try context.await(monitor, "end") { if case .disconnected = $0 { true } else { false } }
            #expect(pull.statistics.losses.isEmpty)
            context.close()
        }

        @Test(
            "holds no more than a bound beyond it, and loses nothing of what TCP held back",
            arguments: Setup.engines)
        func bound(setup: Setup) throws {
            let memory = MemoryBudget(limit: 1 << 30)
            let context = try setup.context(memory: memory)
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 3 })
            let peer = try RawPeer(pull.bind(setup.wildcard))
            try peer.shakeHands(as: "PUSH")
            let flood = (0..<4000).flatMap { number in
                RawPeer.ping([1]) + RawPeer.frame([UInt8(number & 255)] + [UInt8](repeating: 1, count: 5000))
            }
            let sender = Worker { peer.pour(flood) }
            let isFull = context.eventually { pull.statistics.messagesToTake == 3 }
            #expect(isFull)
            #expect(memory.use.highest < 2 << 20)
            for number in 0..<4000 {
                let message = try pull.receive()
                #expect(message[0].count == 5001 && message[0].bytes[0] == UInt8(number & 255))
            }
            #expect(sender.join(within: 10))
            context.close()
        }

        @Test("counts what waited when it is closed or its connection breaks", arguments: Setup.engines)
        func counts(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(
                context,
                .test {
                    $0.receiveHighWaterMark = 2; $0.linger = .zero
                })
            let peer = try RawPeer(pull.bind(setup.wildcard))
            try peer.shakeHands(as: "PUSH")
            try peer.send((0..<9).flatMap { RawPeer.frame([$0]) } + RawPeer.ping([1]))
            #expect(try peer.receiveFrame().body == Self.pong + [1])
            pull.close()
            #expect(peer.isHungUpOn())
            let isCounted = context.eventually { pull.statistics.losses == [.notTaken: 2, .cutShort: 7] }
            #expect(isCounted, "\(pull.statistics.losses)")
            context.close()
        }
    }
}
