import Glibc
import Proactor
import Testing

@testable import ZeroMQ

extension Sockets {
    @Suite("Shut-down") struct ShutdownTests {
        @Test("Closing the context ends blocking sends and receives with contextClosed", arguments: Setup.engines)
        func blockingWaits(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context)
            let push = try PushSocket(context)
            let codes = Shared<[ZeroMQError.Code]>([])
            let isWaiting = Shared(0)
            func wait(_ body: @escaping @Sendable () throws -> Void) -> Worker {
                Worker {
                    isWaiting.change { $0 += 1 }
                    do { try body() } catch { codes.change { $0.append((error as! ZeroMQError).code) } }
                }
            }
            let workers = [wait { _ = try pull.receive() }, wait { try push.send("nobody") }]
            _ = context.eventually { isWaiting.value == 2 }
            let report = context.close(timeout: .seconds(5))
            #expect(report.isComplete)
            for worker in workers { #expect(worker.join(within: 10)) }
            #expect(codes.value == [.contextClosed, .contextClosed])
            expectError(.contextClosed) { _ = try pull.receive() }
            expectError(.contextClosed) { _ = try push.trySend("x") }
            expectError(.contextClosed) { try pull.bind("tcp://127.0.0.1:*") }
            expectError(.contextClosed) { _ = try PullSocket(context) }
        }

        @Test("Closing a socket ends its waits with socketClosed", arguments: Setup.engines)
        func socketClose(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context)
            let code = Shared<ZeroMQError.Code?>(nil)
            let worker = Worker {
                do { _ = try pull.receive() } catch { code.value = (error as! ZeroMQError).code }
            }
            context.letOthersWork()
            pull.close()
            #expect(worker.join(within: 10))
            #expect(code.value == .socketClosed)
            pull.close()
            expectError(.socketClosed) { try pull.connect("tcp://127.0.0.1:1") }
            #expect(pull.monitor().poll() == nil)
            context.close()
        }

        @Test("Async waits end with contextClosed", arguments: Setup.engines)
        func asyncWaits(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context)
            let push = try PushSocket(context)
            func code(_ body: @escaping @Sendable () async throws -> Void) -> Task<ZeroMQError.Code?, Never> {
                Task { do { try await body(); return nil } catch { return (error as! ZeroMQError).code } }
            }
            let waits = [
                code { _ = try await pull.receive() },
                code { try await push.send("nobody", until: .after(.seconds(60))) },
            ]
            let listening = Task {
                var count = 0; for await _ in pull.monitor() { count += 1 }; return count
            }
            await Task.yield()
            let closing = Task.detached { context.close(timeout: .seconds(5)) }
            for wait in waits { #expect(await wait.value == .contextClosed) }
            #expect(await closing.value.isComplete)
            _ = await listening.value
        }

        @Test("A task on the context's executor ends when the context does", arguments: Setup.engines)
        func onExecutor(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context)
            // Told by the task itself: the pool's threads may have much else to do.
            let ended = FutexCounter()
            let task = Task(executorPreference: context.executor) { () -> ZeroMQError.Code? in
                defer { ended.advance() }
                do throws(ZeroMQError) {
                    _ = try await pull.receive()
                    return nil
                } catch {
                    return error.code
                }
            }
            await Task.yield()
            let closing = Worker { context.close(timeout: .seconds(5)) }
            let cameBack = Worker { while ended.value == 0 { ended.sleep(while: 0, until: nil) } }
            #expect(await closing.ends(within: 10))
            let hasEnded = await cameBack.ends(within: 10)
            #expect(hasEnded, "the task is left behind on an executor without a loop")
            if hasEnded { #expect(await task.value == .contextClosed) }
        }

        @Test("Closing never hangs, wherever the connections are", arguments: Setup.all)
        func anyState(setup: Setup) throws {
            for linger in [Duration.zero, .milliseconds(30)] {
                let context = try setup.context()
                // Nobody there; a peer that accepts and says nothing; a peer that shook hands and takes nothing.
                let lonely = try PushSocket(context, .test { $0.linger = linger })
                try lonely.connect(setup.reserve())
                try lonely.send("x")
                let pull = try PullSocket(
                    context,
                    .test {
                        $0.linger = linger; $0.receiveHighWaterMark = 1
                    })
                let endpoint = try pull.bind(setup.wire == .inproc ? "inproc://other" : setup.wildcard)
                let push = try PushSocket(context, .test { $0.linger = linger })
                try push.connect(endpoint)
                for _ in 0..<100 { _ = try push.trySend(Message([UInt8](repeating: 0, count: 50_000))) }
                var silent: RawPeer?
                if setup.wire == .tcp { silent = try RawPeer(endpoint) }
                let late = try PushSocket(context, .test { $0.linger = linger })
                try late.connect(endpoint)
                try late.send("in the middle of connecting")
                let start = Deadline.now
                let report = context.close(timeout: .seconds(5))
                #expect(report.isComplete, "\(report)")
                #expect(Deadline.now.since(start) < .seconds(4))
                withExtendedLifetime(silent) {}
            }
        }

        @Test("Closing again does nothing; sockets may go before or after their context", arguments: Setup.tcp)
        func twice(setup: Setup) throws {
            let context = try setup.context()
            var socket: PullSocket? = try PullSocket(context)
            try socket?.bind(setup.wildcard)
            let other = try PushSocket(context)
            socket = nil
            #expect(context.close().isComplete)
            #expect(context.close().isComplete)
            other.close()
            #expect(other.statistics.peers.isEmpty)
        }

        @Test("Calls that race with the context's end get errors, never a trap", arguments: Setup.engines)
        func races(setup: Setup) throws {
            for _ in 0..<6 {
                let context = try setup.context()
                let pull = try PullSocket(context)
                let workers = (0..<2).map { _ in
                    Worker {
                        do {
                            for _ in 0..<50 {
                                let endpoint = try pull.bind("tcp://127.0.0.1:*")
                                let push = try PushSocket(context, .test { $0.linger = .zero })
                                try push.connect(endpoint)
                                _ = try push.trySend("x")
                            }
                        } catch {}
                    }
                }
                _ = context.eventually(within: .milliseconds(100)) { pull.statistics.peers.count > 2 }
                #expect(context.close(timeout: .seconds(5)).isComplete)
                for worker in workers { #expect(worker.join(within: 10)) }
            }
        }

        @Test("A caller-driven context works on its own thread only", arguments: Engine.available)
        func wrongThread(engine: Engine) throws {
            let context = try Setup(engine: engine, drive: .callerDriven).context()
            let pull = try PullSocket(context, .test)
            let code = Shared<ZeroMQError.Code?>(nil)
            let worker = Worker {
                do { _ = try pull.receive() } catch { code.value = (error as! ZeroMQError).code }
            }
            #expect(worker.join(within: 10))
            #expect(code.value == .wrongThread)
            context.close()
            let background = try Setup(engine: engine).context()
            expectError(.wrongThread) { try background.run(until: .distantPast) }
            background.close()
        }
    }
}
