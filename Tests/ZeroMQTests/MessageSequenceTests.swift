import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("The sequence of messages") struct MessageSequenceTests {
        static let setups = Setup.background

        @Test("Messages of all kinds come in order, whole and once", arguments: setups, [false, true])
        func order(setup: Setup, isOnLoop: Bool) async throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            // Around what lies inline (64 bytes), what is copied and what is kept (32 KiB), and of several frames.
            let sizes = [0, 1, 63, 64, 65, 255, 256, 32767, 32768, 50_000]
            let sent = (0..<100).map { number in
                var message = Message([UInt8](repeating: UInt8(number % 251), count: sizes[number % 10]))
                for _ in 0..<number % 4 { message.append(Frame("\(number)")) }
                return message
            }
            let receiving = Task(executorPreference: isOnLoop ? context.executor : nil) {
                var taken: [Message] = []
                for try await message in pull.messages {
                    taken.append(message)
                    if taken.count == sent.count { break }
                }
                return taken
            }
            for message in sent { try await push.send(message) }
            #expect(try await receiving.value == sent)
            #expect(try pull.tryReceive() == nil)
            context.close()
        }

        @Test("While several peers are readable, each gives one message in turn", arguments: setups)
        func fairness(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let endpoint = try pull.bind(setup.wildcard)
            let pushes = try (0..<4).map { index in
                let push = try PushSocket(context, .test)
                try push.connect(endpoint)
                for _ in 0..<50 { try push.send("\(index)") }
                return push
            }
            #expect(context.eventually { pull.statistics.messagesToTake == 200 })
            var taken: [String] = []
            for try await message in pull.messages {
                taken.append(message.string)
                if taken.count == 200 { break }
            }
            for round in 0..<50 { #expect(Set(taken[round * 4..<round * 4 + 4]).count == 4) }
            withExtendedLifetime(pushes) {}
            context.close()
        }

        @Test("A cancelled loop ends though messages are there, and the rest stays", arguments: setups, [1, 2])
        func cancellation(setup: Setup, peers: Int) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 0 })
            let endpoint = try pull.bind(setup.wildcard)
            let pushes = try (0..<peers).map { _ in
                let push = try PushSocket(context, .test { $0.sendHighWaterMark = 0 })
                try push.connect(endpoint)
                for number in 0..<1000 { try push.send("\(number)") }
                return push
            }
            #expect(context.eventually { pull.statistics.messagesToTake == 1000 * peers })
            let receiving = Task {
                var taken: [String] = []
                for try await message in pull.messages {
                    taken.append(message.string)
                    if taken.count == 100 { withUnsafeCurrentTask { $0?.cancel() } }
                }
                return taken
            }
            var taken = try await receiving.value
            #expect((100...164).contains(taken.count))
            while let message = try pull.tryReceive() { taken.append(message.string) }
            // By peer in order, from each one message in turn: each number `peers` times.
            #expect(taken == (0..<1000).flatMap { Array(repeating: "\($0)", count: peers) })
            withExtendedLifetime(pushes) {}
            context.close()
        }

        @Test("A task cancelled before it receives takes nothing new", arguments: setups)
        func cancelledBefore(setup: Setup) async throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            try await push.send("stays")
            #expect(context.eventually { pull.statistics.messagesToTake == 1 })
            let receiving = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                for try await message in pull.messages { return message }
                return "none"
            }
            #expect(try await receiving.value == "none")
            #expect(try await pull.receive().string == "stays")
            context.close()
        }

        @Test("The loop runs where its caller runs, before and after each wait", arguments: setups, [false, true])
        func isolation(setup: Setup, isGeneric: Bool) async throws {
            let context = try setup.context()
            let near = try DealerSocket(context, .test)
            let far = try DealerSocket(context, .test)
            try near.connect(far.bind(setup.wildcard))
            #expect(!context.executor.isOnLoop)
            let resident = Resident(on: context.executor)
            let straying = Task {
                isGeneric
                    ? try await resident.countStraysGenerically(far.messages, answering: far)
                    : try await resident.countStrays(far.messages, answering: far)
            }
            for number in 0..<300 {
                try await near.send("\(number)")
                // Every third is answered before the next is sent, so that the loop has to wait for it.
                if number % 3 == 0 { #expect(try await near.receive().string == "\(number)") }
            }
            far.close()
            #expect(try await straying.value == 0)
            context.close()
        }

        @Test("A REP answers in a loop; one that owes an answer ends it with an error", arguments: setups)
        func replies(setup: Setup) async throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let request = try RequestSocket(context, .test)
            try request.connect(reply.bind(setup.wildcard))
            let answering = Task { () -> ZeroMQError.Code? in
                do throws(ZeroMQError) {
                    for try await question in reply.messages where question.string != "last" {
                        try await reply.send(question)
                    }
                    return nil
                } catch {
                    return error.code
                }
            }
            for number in 0..<200 {
                try await request.send("\(number)")
                #expect(try await request.receive().string == "\(number)")
            }
            try await request.send("last")
            #expect(await answering.value == .wrongState)
            context.close()
        }

        @Test("A ROUTER's messages come with the name of their peer", arguments: setups)
        func routers(setup: Setup) async throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let dealer = try DealerSocket(context, .test { $0.routingID = "me" })
            try dealer.connect(router.bind(setup.wildcard))
            let echoing = Task { for try await message in router.messages { try await router.send(message) } }
            for number in 0..<200 {
                try await dealer.send("\(number)")
                #expect(try await dealer.receive().string == "\(number)")
            }
            router.close()
            try await echoing.value
            context.close()
        }
    }
}

/// Lives on a loop, and counts how often it finds itself elsewhere while it iterates.
private actor Resident {
    private let executor: LoopExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(on executor: LoopExecutor) { self.executor = executor }

    func countStrays(_ messages: MessageSequence, answering back: DealerSocket) async throws -> Int {
        var strays = 0
        for try await message in messages {
            if !executor.isOnLoop { strays += 1 }
            if let number = Int(message.string), number % 3 == 0 { try await back.send(message) }
        }
        return strays
    }

    func countStraysGenerically(
        _ messages: some AsyncSequence<Message, ZeroMQError>, answering back: DealerSocket
    ) async throws -> Int {
        var strays = 0
        for try await message in messages {
            if !executor.isOnLoop { strays += 1 }
            if let number = Int(message.string), number % 3 == 0 { try await back.send(message) }
        }
        return strays
    }
}
