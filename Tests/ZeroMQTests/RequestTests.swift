import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Requests in one call") struct RequestTests {
        /// Answers as told: nothing to some attempts, an old envelope before the right one to others.
        private func serve(
            _ router: RouterSocket, _ count: Int, _ answer: @escaping @Sendable (Int, Message) -> [Message]
        )
            -> Worker
        {
            Worker {
                for index in 0..<count {
                    guard let message = try? router.receive() else { return }
                    for each in answer(index, message) { try? router.send(each) }
                }
            }
        }

        @Test("An answer that is late is not taken for the next one's", arguments: Setup.background)
        func late(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let request = try RequestSocket(context, .test)
            try request.connect(router.bind(setup.wildcard))
            // The first attempt gets nothing, the second the first one's answer and its own.
            let kept = Shared<[Message]>([])
            let server = serve(router, 3) { index, message in
                var answer = message
                answer[answer.count - 1] = Frame("answer \(index)")
                kept.change { $0.append(answer) }
                return index == 0 ? [] : index == 1 ? kept.value : [answer]
            }
            #expect(try request.request("q", timeout: .milliseconds(200), retries: 20).string == "answer 1")
            #expect(try request.request("q", timeout: .seconds(10)).string == "answer 2")
            #expect(server.join())
            #expect(request.statistics.losses == [.unexpected: 1])
            context.close()
        }

        @Test("Without an answer it ends with an error, and the socket goes on", arguments: Setup.background)
        func none(setup: Setup) async throws {
            let context = try setup.context()
            let request = try RequestSocket(context, .test)
            let reply = try ReplySocket(context, .test)
            let endpoint = try setup.reserve()
            try request.connect(endpoint)
            expectError(.timedOut) { _ = try request.request("q", timeout: .milliseconds(5), retries: 2) }
            do {
                _ = try await request.request("q", timeout: .milliseconds(5), retries: 1)
                Issue.record("an answer from nobody")
            } catch { #expect(error.code == .timedOut) }
            expectError(.invalidOption) { _ = try request.request("q", timeout: .zero) }
            expectError(.invalidOption) {
                _ = try request.request("q", timeout: .seconds(1), retries: RequestBounds.maximumRetries + 1)
            }
            try reply.bind(endpoint)
            let echo = Worker {
                while let message = try? reply.receive(until: .after(.seconds(1))) { try? reply.send(message) }
            }
            #expect(try await request.request("q2", timeout: .seconds(10)).string == "q2")
            #expect(try { try request.request("q3", timeout: .seconds(10)) }().string == "q3")
            reply.close()
            #expect(echo.join())
            context.close()
        }

        @Test("A DEALER asks a REP and a ROUTER; what does not answer is counted", arguments: Setup.background)
        func dealer(setup: Setup) async throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let dealer = try DealerSocket(context, .test)
            try dealer.connect(router.bind(setup.wildcard))
            let server = serve(router, 2) { index, message in
                index == 0 ? [] : [[message[0], "noise"], message]
            }
            let answer = try { try dealer.request(["a", "b"], timeout: .milliseconds(200), retries: 20) }()
            #expect(answer == ["a", "b"])
            #expect(server.join())
            #expect(dealer.statistics.losses == [.unexpected: 1])
            let reply = try ReplySocket(context, .test)
            let other = try DealerSocket(context, .test)
            try other.connect(reply.bind(setup.wire == .inproc ? "inproc://rep" : setup.wildcard))
            let echo = Worker { if let message = try? reply.receive() { try? reply.send(message) } }
            #expect(try await other.request("q", timeout: .seconds(10)).string == "q")
            #expect(echo.join())
            context.close()
        }
    }
}
