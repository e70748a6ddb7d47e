import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Async sends and receives") struct AsyncTests {
        static let setups = Setup.background

        @Test("Tasks send and receive, wherever they run", arguments: setups, [false, true])
        func tasks(setup: Setup, isOnLoop: Bool) async throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 10 })
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 10 })
            try push.connect(pull.bind(setup.wildcard))
            let executor: (any TaskExecutor)? = isOnLoop ? context.executor : nil
            let sending = Task(executorPreference: executor) {
                for number in 0..<1000 { try await push.send("\(number)") }
            }
            let receiving = Task(executorPreference: executor) {
                var wrong = 0
                for number in 0..<1000 where try await pull.receive().string != "\(number)" { wrong += 1 }
                return wrong
            }
            try await sending.value
            #expect(try await receiving.value == 0)
            context.close()
        }

        @Test("One task sends and one receives on the same DEALER at once", arguments: setups)
        func fullDuplex(setup: Setup) async throws {
            let context = try setup.context()
            let dealer = try DealerSocket(context, .test)
            let echo = try DealerSocket(context, .test)
            try dealer.connect(echo.bind(setup.wildcard))
            let echoing = Task { for try await message in echo.messages { try await echo.send(message) } }
            let receiving = Task {
                var count = 0
                for try await message in dealer.messages {
                    guard message.string == "\(count)" else { return -count }
                    count += 1
                    if count == 2000 { break }
                }
                return count
            }
            for number in 0..<2000 { try await dealer.send("\(number)") }
            #expect(try await receiving.value == 2000)
            echo.close()
            try await echoing.value
            context.close()
        }

        @Test("A cancelled wait ends, and takes and sends nothing", arguments: setups)
        func cancellation(setup: Setup) async throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 1; $0.linger = .zero
                })
            let pull = try PullSocket(context, .test)
            let endpoint = try setup.reserve()
            for _ in 0..<50 {
                let receiving = Task { try await pull.receive() }
                let sending = Task { try await push.send("never") }
                await Task.yield()
                receiving.cancel()
                sending.cancel()
                for result in [await receiving.result.map { _ in }, await sending.result] {
                    switch result {
                    case .success: Issue.record("it was not cancelled")
                    case .failure(let error): #expect((error as? ZeroMQError)?.code == .cancelled)
                    }
                }
            }
            try pull.bind(endpoint)
            try push.connect(endpoint)
            try await push.send("after")
            #expect(try await pull.receive().string == "after")
            context.close()
        }

        @Test("An async wait ends at its deadline", arguments: setups)
        func deadlines(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveTimeout = .milliseconds(20) })
            let push = try PushSocket(context, .test)
            for deadline in [nil, Deadline.after(.milliseconds(20)), .distantPast] {
                do {
                    _ = try await pull.receive(until: deadline)
                    Issue.record("a message came from nowhere")
                } catch {
                    #expect(error.code == .timedOut)
                }
            }
            do {
                try await push.send("nobody", until: .after(.milliseconds(20)))
                Issue.record("nobody took it")
            } catch {
                #expect(error.code == .timedOut)
            }
            context.close()
        }

        @Test("The sequence of messages ends when its socket is closed", arguments: setups)
        func endOfSequence(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveTimeout = nil })
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let counting = Task { () -> Int in
                var count = 0
                for try await message in pull.messages {
                    count += 1
                    if message.string == "last" { pull.close() }
                }
                return count
            }
            for _ in 0..<9 { try await push.send("x") }
            try await push.send("last")
            #expect(try await counting.value == 10)
            context.close()
        }
    }
}
