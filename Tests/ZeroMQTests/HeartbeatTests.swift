import Proactor
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    @Suite("Heartbeats") struct HeartbeatTests {
        private static func isPing(_ frame: (flags: UInt8, body: [UInt8])) -> Bool {
            frame.flags == 4 && frame.body.starts(with: [4] + Array("PING".utf8))
        }

        private static func pong(_ context: some Collection<UInt8>) -> [UInt8] {
            RawPeer.frame([4] + Array("PONG".utf8) + context, flags: 4)
        }

        @Test(
            "PINGs carry the time-to-live in tenths of a second and the context; the answer tells the round trip",
            arguments: Setup.engines)
        func ping(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(
                context,
                .test {
                    $0.heartbeatInterval = .milliseconds(5)
                    $0.heartbeatTimeout = .seconds(10)
                    $0.heartbeatTimeToLive = .milliseconds(6_553_499)
                    $0.heartbeatContext = "context of 1"
                })
            let peer = try RawPeer(pull.bind(setup.wildcard))
            try peer.shakeHands(as: "PUSH")
            var contexts: Set<[UInt8]> = []
            for _ in 0..<3 {
                let frame = try peer.receiveFrame()
                #expect(Self.isPing(frame) && Array(frame.body[5..<7]) == [0xFF, 0xFE])
                #expect(Array(frame.body[7..<19]) == Array("context of 1".utf8) && frame.body.count == 23)
                contexts.insert(Array(frame.body[7...]))
            }
            #expect(contexts.count == 3)
            #expect(pull.statistics.peers[0].roundTrip == nil)
            // Only the answer to the PING that is timed counts, the first one here.
            try peer.send(Self.pong([]) + Self.pong(contexts.min { $0.lexicographicallyPrecedes($1) }!))
            let isMeasured = context.eventually { pull.statistics.peers[0].roundTrip.map { $0 > .zero } ?? false }
            #expect(isMeasured)
            context.close()
        }

        @Test("Nothing is sent and nobody is watched unless the socket or the peer asks", arguments: Setup.engines)
        func off(setup: Setup) throws {
            #expect(Heartbeat(SocketOptions(), now: 0) == nil)
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let peer = try RawPeer(pull.bind(setup.wildcard))
            try peer.shakeHands(as: "PUSH")
            for number in 0..<3 as Range<UInt8> {
                try peer.send(RawPeer.ping([number]))
                #expect(try peer.receiveFrame().body == [4] + Array("PONG".utf8) + [number])
            }
            context.close()
        }

        @Test("A peer that answers nothing is cut, and connected anew", arguments: Setup.tcp)
        func silence(setup: Setup) throws {
            let context = try setup.context()
            let port = try RawPeer.freePort()
            let server = try RawServer(port: port)
            let push = try PushSocket(
                context,
                .test {
                    $0.heartbeatInterval = .milliseconds(10)
                    $0.heartbeatTimeout = .milliseconds(50)
                })
            let monitor = push.monitor()
            try push.connect("tcp://127.0.0.1:\(port)")
            let accepted = Worker {
                for _ in 0..<2 {
                    guard let peer = try? server.accept() else { return }
                    try? peer.shakeHands(as: "PULL")
                    // Reads, says nothing.
                    _ = peer.isHungUpOn()
                }
            }
            for _ in 0..<2 {
                try context.awaitPeer(monitor)
                try context.await(monitor, "verdict") { $0 == .heartbeatTimedOut }
            }
            // The one who turns the loop has to let the descriptor go.
            context.close(timeout: .milliseconds(100))
            #expect(accepted.join(within: 10))
        }

        @Test("Any byte counts as life, not only PONG", arguments: Setup.engines)
        func life(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(
                context,
                .test {
                    $0.heartbeatInterval = .milliseconds(40)
                    $0.heartbeatTimeout = .milliseconds(800)
                })
            let monitor = pull.monitor()
            let peer = try RawPeer(pull.bind(setup.wildcard))
            try peer.shakeHands(as: "PUSH")
            // More PINGs than the time-out has room for, each followed by one byte of a message.
            let message = RawPeer.frame([UInt8](repeating: 7, count: 28))
            for byte in message {
                #expect(Self.isPing(try peer.receiveFrame()))
                try peer.send([byte])
            }
            #expect(try pull.receive()[0].count == 28)
            // And then silence is death.
            try context.await(monitor, "verdict") { $0 == .heartbeatTimedOut }
            context.close()
        }

        @Test(
            "The time-to-live of the peer's last PING is obeyed without heartbeats of our own", arguments: Setup.tcp
        )
        func timeToLive(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let monitor = pull.monitor()
            let endpoint = try pull.bind(setup.wildcard)
            let talk = Worker {
                guard let peer = try? RawPeer(endpoint) else { return }
                try? peer.shakeHands(as: "PUSH")
                // One tenth of a second, with half a message behind it.
                try? peer.send(
                    RawPeer.frame([4] + Array("PING".utf8) + [0, 1], flags: 4) + RawPeer.frame([1], flags: 1))
                _ = peer.isHungUpOn()
            }
            try context.await(monitor, "verdict") { $0 == .heartbeatTimedOut }
            let isCounted = context.eventually { pull.statistics.losses == [.cutShort: 1] }
            #expect(isCounted, "\(pull.statistics.losses)")
            context.close()
            #expect(talk.join(within: 10))
        }

        @Test(
            "While the receiver is at its mark silence is no death, and its own PINGs go on",
            arguments: Setup.engines)
        func mark(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(
                context,
                .test {
                    $0.receiveHighWaterMark = 2
                    $0.heartbeatInterval = .milliseconds(10)
                    $0.heartbeatTimeout = .milliseconds(40)
                })
            let monitor = pull.monitor()
            let peer = try RawPeer(pull.bind(setup.wildcard))
            try peer.send(RawPeer.greeting + RawPeer.ready("PUSH") + (0..<3).flatMap { RawPeer.frame([$0]) })
            _ = try peer.receive(64)
            _ = try peer.receiveFrame()
            // Five times the time-out, in PINGs.
            for _ in 0..<20 { #expect(Self.isPing(try peer.receiveFrame())) }
            for number in 0..<3 as Range<UInt8> { #expect(try pull.receive() == [[number]]) }
            #expect(try pull.tryReceive() == nil)
            try context.await(monitor, "verdict") { $0 == .heartbeatTimedOut }
            #expect(pull.statistics.losses.isEmpty)
            context.close()
        }

        @Test(
            "Peers that send heartbeats to each other keep their connection and tell its time", arguments: Setup.all
        )
        func mutual(setup: Setup) throws {
            let context = try setup.context()
            func options(_ options: inout SocketOptions) {
                options.heartbeatInterval = .milliseconds(2)
                options.heartbeatTimeout = .seconds(5)
                options.heartbeatTimeToLive = .seconds(5)
            }
            let reply = try ReplySocket(context, .test(options))
            let request = try RequestSocket(context, .test(options))
            try request.connect(reply.bind(setup.wildcard))
            let monitor = request.monitor()
            try request.awaitPeers(1, in: context)
            var isMeasured = false
            for round in 0..<400 {
                try request.send("\(round)")
                #expect(try reply.receive().string == "\(round)")
                try reply.send("answer \(round)")
                #expect(try request.receive().string == "answer \(round)")
                if setup.wire == .inproc || round < 20 { continue }
                isMeasured = [request, reply].allSatisfy { ($0 as Socket).statistics.peers[0].roundTrip != nil }
                if isMeasured { break }
                context.letOthersWork()
            }
            #expect(isMeasured == (setup.wire != .inproc))
            while let event = monitor.poll() {
                #expect(
                    event.kind == .handshakeSucceeded || event.kind == .connected || event.kind == .connectDelayed)
            }
            context.close()
        }

        @Test("Options out of range are refused by name")
        func ranges() throws {
            let context = try Setup().context()
            for change: (inout SocketOptions) -> Void in [
                { $0.heartbeatInterval = .zero }, { $0.heartbeatTimeout = .microseconds(999) },
                { $0.heartbeatTimeToLive = .milliseconds(6_553_501) }, { $0.heartbeatTimeToLive = .seconds(-1) },
                { $0.heartbeatContext = Frame([UInt8](repeating: 0, count: 13)) },
            ] {
                expectError(.invalidOption) { _ = try PullSocket(context, .test(change)) }
            }
            context.close()
        }
    }

    @Suite("The queue of pulses") struct PulseQueueTests {
        /// Sessions are never looked at by the queue.
        private static func pulses(_ count: Int) throws -> (Context, [Pulse], [Session]) {
            let context = try Setup().context()
            let pull = try PullSocket(context, .test)
            var sessions: [Session] = []
            let handle = try unusedHandle()
            for _ in 0..<count {
                sessions.append(
                    Session(pull.core, endpoint: 0, text: "", handle: handle, address: nil, dialer: nil))
            }
            return (context, sessions.map { Pulse($0, Heartbeat(interval: 1, now: 0)) }, sessions)
        }

        private static func unusedHandle() throws -> Handle {
            var backend = try EpollBackend(EngineConfiguration())
            return try backend.adopt(Descriptor.stream(for: SocketAddress(unix: "@never")!))
        }

        @Test("Ten thousand sessions share at most a hundred timers a second; each is called once an interval")
        func timers() throws {
            let (context, pulses, sessions) = try Self.pulses(10_000)
            var random = SeededGenerator(seed: 4)
            var queue = PulseQueue()
            let second: UInt64 = 1_000_000_000
            var timer: UInt64?
            var (armed, calls) = (0, 0)
            func arm() {
                guard let time = queue.arm() else { return }
                timer = time
                armed += 1
            }
            // They came over a second, and each has an interval of one.
            for pulse in pulses {
                queue.put(pulse, at: second + UInt64.random(in: 0..<second, using: &random))
                arm()
            }
            let before = armed
            // Coming costs no more than a few timers either: only the first to be due moves one.
            #expect(before < 40)
            while let now = timer, now < 12 * second {
                timer = nil
                queue.disarm()
                while let pulse = queue.takeDue(now) {
                    calls += 1
                    // On time, and less than a tick late.
                    #expect(pulse.due <= now && now - pulse.due < PulseQueue.tick)
                    queue.put(pulse, at: pulse.due + second)
                }
                arm()
            }
            #expect(calls >= 10 * 10_000 && queue.count == 10_000)
            print("10,000 pulses, \(calls) calls: \(armed - before) timers in 11 s, \(before) while they came")
            #expect(armed - before <= 1100)
            withExtendedLifetime(sessions) { _ = context.close() }
        }

        @Test("It gives them in the order of time, also when they move and go, and keeps nothing")
        func order() throws {
            let seed = UInt64.random(in: 0...(.max))
            print("seed \(seed)")
            var random = SeededGenerator(seed: seed)
            let (context, pulses, sessions) = try Self.pulses(300)
            var queue = PulseQueue()
            var model: [Int: UInt64] = [:]
            for _ in 0..<20_000 {
                let index = Int.random(in: 0..<300, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0:
                    queue.remove(pulses[index])
                    model[index] = nil
                default:
                    let due = UInt64.random(in: 0..<10_000, using: &random)
                    queue.put(pulses[index], at: due)
                    model[index] = due
                }
                #expect(queue.count == model.count)
            }
            var last: UInt64 = 0
            var left = model.count
            while let pulse = queue.takeDue(.max) {
                #expect(pulse.due >= last)
                last = pulse.due
                left -= 1
            }
            #expect(left == 0 && queue.count == 0)
            withExtendedLifetime(sessions) { _ = context.close() }
        }
    }
}
