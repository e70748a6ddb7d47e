import Proactor
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    @Suite("Marks") struct MarkTests {
        static let marks = [1, 2, 7, 100]

        @Test("Without a peer a try-send accepts exactly the mark", arguments: Setup.all, marks)
        func unconnected(setup: Setup, mark: Int) throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.sendHighWaterMark = mark; $0.linger = .zero
                })
            #expect(try push.trySend("nobody") == .full)
            try push.connect(setup.reserve())
            for number in 0..<mark { #expect(try push.trySend(Message("\(number)")) == .sent) }
            #expect(try push.trySend("one more") == .full)
            expectError(.timedOut) { try push.send("one more", until: .after(.milliseconds(10))) }
            context.close()
        }

        @Test("While the receiver takes nothing, an inproc sender is refused at both marks together")
        func inproc() throws {
            let setup = Setup(wire: .inproc)
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 3 })
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 4 })
            try pull.bind("inproc://marks")
            try push.connect("inproc://marks")
            var accepted = 0
            while try push.trySend(Message("\(accepted)")) == .sent { accepted += 1 }
            #expect(accepted == 7)
            for number in 0..<accepted { #expect(try pull.receive().string == "\(number)") }
            #expect(try push.trySend("again") == .sent)
            context.close()
        }

        @Test(
            "The receiver is never behind by more than its mark, and nothing is lost", arguments: Setup.connected,
            [1, 2, 10])
        func receiveMark(setup: Setup, mark: Int) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = mark })
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 0 })
            try push.connect(pull.bind(setup.wildcard))
            for number in 0..<300 { try push.send("\(number)") }
            let isFull = context.eventually { pull.statistics.messagesToTake == mark }
            #expect(isFull, "\(pull.statistics.messagesToTake) wait")
            for number in 0..<300 {
                #expect(try pull.receive().string == "\(number)")
                #expect(pull.statistics.messagesToTake <= mark)
            }
            context.close()
        }

        @Test(
            "A sender is held up while the receiver takes nothing, and goes on when it takes",
            arguments: Setup.connected)
        func backPressure(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(
                context,
                .test {
                    $0.receiveHighWaterMark = 5; $0.kernelReceiveBuffer = 4096
                })
            let push = try PushSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 5; $0.kernelSendBuffer = 4096
                })
            try push.connect(pull.bind(setup.wildcard))
            let body = [UInt8](repeating: 1, count: 20_000)
            var accepted = 0
            // Full for a while, with turns between: the kernel's buffers are full as well.
            var refusals = 0
            while refusals < 100 {
                if try push.trySend(Message(body)) == .sent {
                    accepted += 1
                    refusals = 0
                } else {
                    refusals += 1
                    context.letOthersWork()
                }
                try #require(accepted < 2000, "nothing holds the sender up")
            }
            #expect(push.statistics.messagesToSend == 5)
            for _ in 0..<accepted { #expect(try pull.receive().count == 1) }
            #expect(try push.trySend("goes on") == .sent)
            #expect(try pull.receive().string == "goes on")
            context.close()
        }

        @Test("Byte marks hold sender and receiver; one message may go beyond", arguments: Setup.connected)
        func byteMarks(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.sendByteMark = 1000; $0.linger = .zero
                })
            try push.connect(setup.reserve())
            let body = [UInt8](repeating: 1, count: 298)
            // 301 bytes each with the header of 9 for sizes above 255: 307.
            for _ in 0..<4 { #expect(try push.trySend(Message(body)) == .sent) }
            #expect(try push.trySend(Message(body)) == .full)

            let pull = try PullSocket(context, .test { $0.receiveByteMark = 1000 })
            let source = try PushSocket(context, .test)
            try source.connect(pull.bind(setup.wildcard))
            for _ in 0..<100 { try source.send(body) }
            let isFull = context.eventually { pull.statistics.peers.first.map { $0.toTake.bytes >= 1000 } ?? false }
            #expect(isFull)
            for _ in 0..<100 {
                #expect(try pull.receive().bytes == body)
                #expect(pull.statistics.peers[0].toTake.bytes < 1000 + 307)
            }
            context.close()
        }

        @Test(
            "A blocked sender wakes when half the mark is free",
            arguments: Setup.background.filter { $0.wire == .inproc })
        func wakesAtHalf(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 10 })
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 10 })
            try pull.bind("inproc://half")
            try push.connect("inproc://half")
            while try push.trySend("x") == .sent {}
            let sent = Shared(false)
            let sender = Worker {
                try? push.send("late")
                sent.value = true
            }
            for _ in 0..<20 { _ = try pull.receive() }
            #expect(try pull.receive().string == "late")
            #expect(sender.join() && sent.value)
            context.close()
        }

        @Test("Mark 1 is a strict hand-over that still moves everything", arguments: Setup.all)
        func markOne(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 1 })
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 1 })
            try push.connect(pull.bind(setup.wildcard))
            var (sent, taken) = (0, 0)
            let deadline = Deadline.after(.seconds(10))
            while taken < 200, Deadline.now < deadline {
                if sent < 200, try push.trySend(Message("\(sent)")) == .sent { sent += 1 }
                if let message = try pull.tryReceive() {
                    #expect(message.string == "\(taken)")
                    taken += 1
                } else {
                    context.letOthersWork()
                }
            }
            #expect(taken == 200)
            context.close()
        }

        @Test("Without a mark a sender is never refused", arguments: Setup.all)
        func noMark(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 0 })
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 0 })
            try push.connect(setup.reserve())
            for number in 0..<5000 { #expect(try push.trySend(Message("\(number)")) == .sent) }
            try pull.bind(push.lastEndpoint)
            for number in 0..<5000 { #expect(try pull.receive().string == "\(number)") }
            context.close()
        }

        /// All that send but for those that keep a sender waiting, which `PatternRules` shows.
        private static let neverWaiting: [SocketType] = SocketType.allCases.filter {
            ($0.sends || $0.isPublisher) && !PatternRules.waiting.contains($0) && $0 != .rep
        }

        @Test(
            "With nobody there the other types drop, or say that nobody is there, and never wait",
            arguments: Setup.all)
        func nobody(setup: Setup) throws {
            let context = try setup.context()
            for type in Self.neverWaiting {
                let socket = try type.make(context)
                try socket.bind(setup.wire == .inproc ? "inproc://\(type)" : setup.wildcard)
                switch socket {
                case let routed as any RoutedSocket:
                    expectError(.noRoute) { try routed.send("x", to: 1, until: .distantPast) }
                case let radio as RadioSocket: #expect(try radio.send("x", to: "g") == 0)
                case is RouterSocket:
                    try (socket as! any SendingSocket).send(["nobody", "x"], until: .distantPast)
                    #expect(socket.statistics.losses == [.noRoute: 1])
                default: try (socket as! any SendingSocket).send("x", until: .distantPast)
                }
                #expect(socket.statistics.sent.messages == 0, "\(type)")
            }
            #expect(context.close().isComplete)
        }
    }
}
