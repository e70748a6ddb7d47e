import Glibc
import Proactor
import Synchronization
import Testing

@testable import ZeroMQ

extension Sockets {
    @Suite("A proxy") struct ProxyTests {
        /// How it runs.
        enum Runner: String, CaseIterable, Sendable {
            case thread, task, loop
        }

        /// Starts a proxy; the returned closure waits for its end.
        static func start(_ proxy: Proxy, _ runner: Runner, _ context: Context) throws -> () throws -> Void {
            let result = Shared<Result<Proxy.Ending, ZeroMQError>?>(nil)
            switch runner {
            case .thread:
                let worker = Worker {
                    do throws(ZeroMQError) {
                        result.value = .success(try proxy.run())
                    } catch {
                        result.value = .failure(error)
                    }
                }
                return { () throws -> Void in
                    #expect(worker.join(within: 20))
                    #expect(try result.value?.get() == .terminated)
                }
            case .task, .loop:
                // Elsewhere, but not in the pool of the tests: its threads may all be at work for others.
                let elsewhere = try Context()
                Task(executorPreference: runner == .loop ? context.executor : elsewhere.executor) {
                    do throws(ZeroMQError) {
                        result.value = .success(try await proxy.run())
                    } catch {
                        result.value = .failure(error)
                    }
                }
                return { () throws -> Void in
                    #expect(context.eventually { result.value != nil })
                    elsewhere.close()
                    #expect(try result.value?.get() == .terminated)
                }
            }
        }

        @Test(
            "carries requests to workers and the answers back by their names", arguments: Setup.background,
            Runner.allCases)
        func queue(setup: Setup, runner: Runner) throws {
            let context = try setup.context()
            let (front, back) = (try RouterSocket(context, .test), try DealerSocket(context, .test))
            let other = Setup(engine: setup.engine, drive: setup.drive, wire: setup.wire)
            let frontend = try front.bind(setup.wildcard)
            let backend = try back.bind(setup.wire == .inproc ? "inproc://backend" : other.wildcard)
            let proxy = try Proxy(frontend: front, backend: back)
            let end = try Self.start(proxy, runner, context)
            let workers = (0..<2).map { index in
                Worker {
                    guard let reply = try? ReplySocket(context, .test) else { return }
                    try? reply.connect(backend)
                    while let message = try? reply.receive(), message.string != "stop" {
                        try? reply.send(Message("re: \(message.string)"))
                    }
                }
            }
            var clients: [RequestSocket] = []
            for _ in 0..<4 {
                let client = try RequestSocket(context, .test)
                try client.connect(frontend)
                clients.append(client)
            }
            var bytes = 0
            for round in 0..<25 {
                for (index, client) in clients.enumerated() { try client.send("\(index) \(round)") }
                for (index, client) in clients.enumerated() {
                    let text = "re: \(index) \(round)"
                    #expect(try client.receive().string == text)
                    bytes += text.utf8.count
                }
            }
            // A run is counted when it is over; its messages may have arrived before.
            #expect(context.eventually { proxy.statistics.toFrontend.messages == 100 })
            let statistics = proxy.statistics
            #expect(statistics.toBackend.messages == 100)
            // A name of five bytes in front, and an empty delimiter.
            #expect(statistics.toFrontend.bytes == bytes + 500 && statistics.toBackend.bytes == bytes - 400 + 500)
            #expect(statistics.dropped == 0 && statistics.uncaptured == 0)
            proxy.terminate()
            try end()
            context.close()
            for worker in workers { #expect(worker.join(within: 20)) }
        }

        @Test(
            "carries every message once, in order, whatever its shape", arguments: Setup.background, Runner.allCases
        )
        func pipeline(setup: Setup, runner: Runner) throws {
            let context = try setup.context(loops: runner == .loop ? 1 : 2)
            let (front, back) = (try PullSocket(context, .test), try PushSocket(context, .test))
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            let tap = try PushSocket(context, .test { $0.sendHighWaterMark = 0 })
            let tapped = try PullSocket(context, .test { $0.receiveHighWaterMark = 0 })
            try push.connect(front.bind(setup.wildcard))
            try back.connect(pull.bind(setup.wire == .inproc ? "inproc://out" : setup.wildcard))
            try tap.connect(tapped.bind(setup.wire == .inproc ? "inproc://tap" : setup.wildcard))
            let proxy = try Proxy(frontend: front, backend: back, capture: tap)
            let end = try Self.start(proxy, runner, context)
            let count = 1000
            @Sendable func message(_ number: Int) -> Message {
                switch number % 50 {
                case 7: [Frame("\(number)"), [], Frame([UInt8](repeating: UInt8(number & 255), count: 300))]
                case 13: Message([UInt8](repeating: UInt8(number & 255), count: 100_000))
                case 14: [Frame([UInt8](repeating: 1, count: 70_000)), Frame("\(number)")]
                default: Message("\(number)")
                }
            }
            let sending = Worker { for number in 0..<count { try? push.send(message(number)) } }
            for number in 0..<count { #expect(try pull.receive() == message(number), "message \(number)") }
            for number in 0..<count { #expect(try tapped.receive() == message(number), "copy of \(number)") }
            #expect(sending.join())
            #expect(context.eventually { proxy.statistics.toBackend.messages == count })
            let statistics = proxy.statistics
            #expect(statistics.toBackend.messages == count && statistics.toFrontend.messages == 0)
            #expect(statistics.toBackend.bytes == (0..<count).reduce(0) { $0 + message($1).byteCount })
            #expect(statistics.uncaptured == 0)
            proxy.terminate()
            try end()
            context.close()
        }

        @Test("takes nothing that the other side has no room for", arguments: Setup.background, Runner.allCases)
        func backPressure(setup: Setup, runner: Runner) throws {
            let context = try setup.context()
            let front = try PullSocket(context, .test { $0.receiveHighWaterMark = 5 })
            let back = try PushSocket(context, .test { $0.sendHighWaterMark = 3 })
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 5 })
            try push.connect(front.bind(setup.wildcard))
            let endpoint = try Setup(engine: setup.engine, wire: .tcp).reserve()
            try back.connect(endpoint)
            let proxy = try Proxy(frontend: front, backend: back)
            let end = try Self.start(proxy, runner, context)
            // Nobody is there to take anything: the mark of the backend fills, then the frontend stands still.
            for number in 0..<8 { try push.send("\(number)") }
            #expect(context.eventually { proxy.statistics.toBackend.messages == 3 })
            #expect(context.eventually { front.statistics.messagesToTake >= 5 })
            #expect(proxy.statistics.toBackend.messages == 3)
            let pull = try PullSocket(context, .test)
            try pull.bind(endpoint)
            for number in 0..<8 { #expect(try pull.receive().string == "\(number)") }
            proxy.terminate()
            try end()
            context.close()
        }

        @Test(
            "rests while paused, goes on when resumed, and leaves in its sockets what it did not carry",
            arguments: Setup.background, Runner.allCases)
        func steering(setup: Setup, runner: Runner) throws {
            let context = try setup.context()
            let (front, back) = (try PairSocket(context, .test), try PairSocket(context, .test))
            let (one, two) = (try PairSocket(context, .test), try PairSocket(context, .test))
            try one.connect(front.bind(setup.wildcard))
            try two.connect(back.bind(setup.wire == .inproc ? "inproc://back" : setup.wildcard))
            let proxy = try Proxy(frontend: front, backend: back)
            proxy.pause()
            var end = try Self.start(proxy, runner, context)
            try one.send("1")
            #expect(context.eventually { front.statistics.messagesToTake == 1 })
            #expect(try two.tryReceive() == nil)
            proxy.resume()
            #expect(try two.receive().string == "1")
            try two.send("2")
            #expect(try one.receive().string == "2")
            proxy.terminate()
            try end()
            try one.send("3")
            #expect(context.eventually { front.statistics.messagesToTake == 1 })
            #expect(try front.receive().string == "3")
            // A second run of the same proxy.
            end = try Self.start(proxy, runner, context)
            try one.send("4")
            #expect(try two.receive().string == "4")
            proxy.terminate()
            try end()
            #expect(proxy.statistics.toBackend == .init(messages: 2, bytes: 2))
            #expect(proxy.statistics.toFrontend == .init(messages: 1, bytes: 1))
            context.close()
        }

        @Test("forwards subscriptions one way and messages the other", arguments: Setup.background, Runner.allCases)
        func forwarder(setup: Setup, runner: Runner) throws {
            let context = try setup.context()
            let (front, back) = (try XSubscribeSocket(context, .test), try XPublishSocket(context, .test))
            let publisher = try PublishSocket(context, .test)
            let subscriber = try SubscribeSocket(context, .test, topics: ["a"])
            try front.connect(publisher.bind(setup.wildcard))
            try subscriber.connect(back.bind(setup.wire == .inproc ? "inproc://back" : setup.wildcard))
            let proxy = try Proxy(frontend: front, backend: back)
            let end = try Self.start(proxy, runner, context)
            // The subscription has gone all the way; nothing sent before would arrive.
            try publisher.subscribers(atLeast: 1, to: "a")
            for number in 0..<200 { try publisher.send(number % 2 == 0 ? "a \(number)" : "b \(number)") }
            for number in 0..<100 { #expect(try subscriber.receive().string == "a \(number * 2)") }
            #expect(context.eventually { proxy.statistics.toBackend.messages == 100 })
            #expect(proxy.statistics.toFrontend == .init(messages: 1, bytes: 2))
            proxy.terminate()
            try end()
            context.close()
        }

        @Test("obeys its control socket, and answers with what it carried", arguments: Setup.engines)
        func control(setup: Setup) throws {
            let context = try setup.context()
            let (front, back) = (try RouterSocket(context, .test), try DealerSocket(context, .test))
            let orders = try ReplySocket(context, .test)
            let boss = try RequestSocket(context, .test)
            try boss.connect(orders.bind("inproc://control"))
            let dealer = try DealerSocket(context, .test { $0.routingID = "client" })
            let worker = try DealerSocket(context, .test)
            try dealer.connect(front.bind(setup.wildcard))
            try worker.connect(back.bind(setup.wildcard))
            let proxy = try Proxy(frontend: front, backend: back, control: orders)
            let end = try Self.start(proxy, .thread, context)
            func order(_ text: String) throws -> Message {
                try boss.send(text)
                return try boss.receive()
            }
            try dealer.send("12345")
            let request = try worker.receive()
            #expect(request == ["client", "12345"])
            try worker.send(["client", "12"])
            #expect(try dealer.receive().string == "12")
            let report = try order("STATISTICS").map { frame in
                frame.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
            }
            #expect(report == [1, 11, 1, 8, 1, 8, 1, 11])
            #expect(try order("PAUSE") == Message())
            try dealer.send("later")
            #expect(context.eventually { front.statistics.messagesToTake == 1 })
            #expect(try worker.tryReceive() == nil)
            #expect(try order("nonsense") == Message())
            #expect(try order("RESUME") == Message())
            #expect(try worker.receive()[1].string == "later")
            #expect(try order("TERMINATE") == Message())
            try end()
            context.close()
        }

        @Test(
            "waits for a peer of a mandatory ROUTER that is at its mark", arguments: Setup.engines, Runner.allCases)
        func mandatory(setup: Setup, runner: Runner) throws {
            let context = try setup.context()
            let front = try DealerSocket(context, .test)
            let back = try RouterSocket(
                context,
                .test {
                    $0.isRouterMandatory = true; $0.sendHighWaterMark = 1
                })
            let source = try DealerSocket(context, .test)
            let known = try DealerSocket(
                context,
                .test {
                    $0.routingID = "known"; $0.receiveHighWaterMark = 1
                })
            try source.connect(front.bind("inproc://front"))
            try known.connect(back.bind("inproc://back"))
            let proxy = try Proxy(frontend: front, backend: back)
            let end = try Self.start(proxy, runner, context)
            for number in 0..<20 { try source.send(["known", Frame("\(number)")]) }
            // Inproc adds both marks.
            #expect(context.eventually { proxy.statistics.toBackend.messages == 2 })
            for number in 0..<20 { #expect(try known.receive().string == "\(number)") }
            #expect(proxy.statistics.dropped == 0)
            proxy.terminate()
            try end()
            context.close()
        }

        @Test(
            "drops and counts what has no peer", arguments: Setup.engines)
        func router(setup: Setup) throws {
            let context = try setup.context()
            let front = try DealerSocket(context, .test)
            let back = try RouterSocket(context, .test)
            let source = try DealerSocket(context, .test)
            let known = try DealerSocket(context, .test { $0.routingID = "known" })
            try source.connect(front.bind(setup.wildcard))
            try known.connect(back.bind(setup.wildcard))
            try back.awaitPeers(1, in: context)
            let proxy = try Proxy(frontend: front, backend: back)
            let end = try Self.start(proxy, .thread, context)
            try source.send(["unknown", "lost"])
            try source.send("known")
            try source.send(["known", "kept", "whole"])
            #expect(try known.receive() == ["kept", "whole"])
            #expect(back.statistics.losses == [.noRoute: 1, .unexpected: 1])
            #expect(context.eventually { proxy.statistics.dropped == 2 })
            #expect(context.eventually { proxy.statistics.toBackend == .init(messages: 1, bytes: 14) })
            proxy.terminate()
            try end()
            context.close()
        }

        @Test("runs in a caller-driven context, and on both ends of it", arguments: Setup.all)
        func callerDriven(setup: Setup) throws {
            let context = try setup.context()
            let (front, back) = (try PullSocket(context, .test), try PushSocket(context, .test))
            let (push, pull) = (try PushSocket(context, .test), try PullSocket(context, .test))
            try push.connect(front.bind(setup.wildcard))
            try back.connect(pull.bind(setup.wire == .inproc ? "inproc://out" : setup.wildcard))
            let proxy = try Proxy(frontend: front, backend: back)
            for number in 0..<50 { try push.send("\(number)") }
            var next = 0
            while next < 50 {
                #expect(try proxy.run(until: .after(.milliseconds(1))) == .deadline)
                while let message = try pull.tryReceive() {
                    #expect(message.string == "\(next)")
                    next += 1
                }
            }
            #expect(proxy.statistics.toBackend.messages == 50)
            proxy.terminate()
            #expect(try proxy.run() == .terminated)
            context.close()
        }

        @Test("ends with its sockets, and is refused where there is nothing to carry", arguments: Setup.background)
        func ends(setup: Setup) throws {
            let context = try setup.context()
            let (front, back) = (try PullSocket(context, .test), try PushSocket(context, .test))
            expectError(.invalidOption) { _ = try Proxy(frontend: front, backend: PullSocket(context, .test)) }
            let proxy = try Proxy(frontend: front, backend: back)
            let running = Worker { expectError(.contextClosed) { try proxy.run() } }
            context.close()
            #expect(running.join(within: 20))
            expectError(.contextClosed) { try proxy.run() }
        }

        @Test("that runs as a task ends when the task is cancelled", arguments: Setup.engines, [false, true])
        func cancellation(setup: Setup, isOnLoop: Bool) async throws {
            let context = try setup.context()
            let (front, back) = (try PullSocket(context, .test), try PushSocket(context, .test))
            let proxy = try Proxy(frontend: front, backend: back)
            let task = Task(executorPreference: isOnLoop ? context.executor : nil) { try await proxy.run() }
            task.cancel()
            do {
                _ = try await task.value
                Issue.record("it was not cancelled")
            } catch let error as ZeroMQError {
                #expect(error.code == .cancelled)
            }
            context.close()
        }
    }
}
