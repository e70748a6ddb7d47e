import CSupport
import Dispatch
import Glibc
import Synchronization
import ZeroMQ

/// PUSH to PULL, between two processes and inside one.
enum Throughput {
    static func pull(_ setting: Setting, endpoint: String, size: Int, count: UInt64, mark: Int) throws {
        let context = try setting.makeContext()
        let pull = try PullSocket(context, Setting.options(mark: mark))
        tell(endpoint: try pull.bind(endpoint))
        let seconds =
            setting.isAsync
            ? try waitFor(setting.isOnPool ? nil : context.executor) {
                try await receiveAllAsync(pull, size: size, count: count)
            }
            : try receiveAll(pull, size: size, count: count)
        let report = context.report
        checkBackend(report)
        pull.close()
        context.closeCleanly()
        tell(role: "pull", report: report, size: size, messages: count, seconds: seconds)
    }

    /// Runs a task on the executor (a loop's: where its messages arrive; nil is the pool), and blocks this thread
    /// meanwhile.
    private static func waitFor(
        _ executor: (any TaskExecutor)?, _ work: @escaping @Sendable () async throws -> Double
    ) throws -> Double {
        let result = Outcome()
        let done = DispatchSemaphore(value: 0)
        Task(executorPreference: executor) {
            do { result.set(.success(try await work())) } catch { result.set(.failure(error)) }
            done.signal()
        }
        done.wait()
        return try result.get()
    }

    /// What a task leaves for the thread that waits for it.
    private final class Outcome: Sendable {
        private let value = Mutex<Result<Double, any Error>?>(nil)
        func set(_ result: Result<Double, any Error>) { value.withLock { $0 = result } }
        func get() throws -> Double { try value.withLock { $0! }.get() }  // set before the semaphore
    }

    static func push(_ setting: Setting, endpoint: String, size: Int, count: UInt64, mark: Int) throws {
        let context = try setting.makeContext()
        let push = try PushSocket(context, Setting.options(mark: mark))
        try push.connect(endpoint)
        try sendAll(push, size: size, count: count)
        let report = context.report
        checkBackend(report)
        push.close()
        context.closeCleanly()  // waits until all has left
        tell(role: "push", report: report, size: size, messages: count, seconds: 0)
    }

    static func inproc(_ setting: Setting, size: Int, count: UInt64) throws {
        let context = try setting.makeContext()
        let pull = try PullSocket(context, Setting.options(mark: 0))
        try pull.bind("inproc://bench")
        let push = try PushSocket(context, Setting.options(mark: 0))
        try push.connect("inproc://bench")
        let sender = try SenderThread {
            do { try sendAll(push, size: size, count: count) } catch { fail("\(error)") }
        }
        let seconds = try receiveAll(pull, size: size, count: count)
        sender.join()
        let report = context.report
        checkBackend(report)
        push.close()
        pull.close()
        context.closeCleanly()
        tell(role: "inproc", report: report, size: size, messages: count, seconds: seconds)
    }
}

/// A plain thread: what blocks must not block the concurrency pool.
struct SenderThread {
    private final class Work {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    private var thread = pthread_t()

    init(_ run: @escaping @Sendable () -> Void) throws {
        let work = Unmanaged.passRetained(Work(run))
        let error = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, work.toOpaque())
        guard error == 0 else { fail("pthread_create: errno \(error)") }
    }

    func join() { pthread_join(thread, nil) }
}
