public import Logging
public import Proactor

/// Owns the loops that sockets live on, and the names of inproc.
///
/// A context chooses its backend once. Several contexts, with different backends, may live in one process; there is
/// no global state. All of it may be used from any thread, except in caller-driven mode.
///
/// Sockets hold their context, so it lives until the last reference to it and to its sockets is dropped. That drop is
/// a `close()`: it waits until unsent messages have gone, as long as the linger of their sockets allows, and 30 s at
/// most. Where nobody may wait, on a thread of the context itself, the same is done in the background. A caller-driven
/// context that is dropped on another thread than its own cannot turn its loop: what is unsent is lost then.
public final class Context: Sendable {
    /// Where the work of sockets is done.
    public enum Mode: Sendable, Hashable {
        /// On threads of the context, 1 to 64 of them; the peers of one socket are spread over them. Sends return at
        /// once.
        case background(loops: Int)
        /// On the thread that made the context, while it calls: a send on an idle connection enters the kernel at
        /// once, receives and `run(until:)` turn the loop. Lowest latency, no threads; timers and answers to
        /// heartbeats run only while you call.
        case callerDriven
    }

    let core: ContextCore

    /// - Parameters:
    ///   - backend: nil leaves it to `PROACTOR_BACKEND`, and that to the probe. Default nil.
    ///   - mode: 1 to 64 background loops (IO_THREADS; another number traps), or driven by the caller. Default one loop.
    ///   - engine: sizes of each loop's engine, and which features of io_uring it may use. Default those of
    ///     `EngineConfiguration`.
    ///   - logger: gets what monitors get at debug level, start and end at info level; nil logs nothing. Default nil.
    ///   - memoryBudget: bounds the bytes of its sockets' messages. Default `MemoryBudget.process`, which all contexts of
    ///     the process share.
    /// - Throws: `engineFailed` with reason and cure, where a forced backend cannot run.
    public init(
        backend: BackendChoice? = nil, mode: Mode = .background(loops: 1),
        engine: EngineConfiguration = EngineConfiguration(), logger: Logger? = nil,
        memoryBudget: MemoryBudget = .process
    ) throws(ZeroMQError) {
        core = ContextCore(logger: logger, budget: memoryBudget)
        do throws(ProactorError) {
            let selection = try BackendSelection.select(BackendChoice.resolve(backend), configuration: engine)
            switch selection.kind {
            case .ioUring: try core.start(IOUringBackend.self, selection.report, mode, engine)
            case .epoll: try core.start(EpollBackend.self, selection.report, mode, engine)
            }
        } catch {
            throw ZeroMQError(
                .engineFailed, "cannot start a context: \(error)", underlying: SystemError(code: error.errno))
        }
        core.logger?.info(
            "context started", metadata: ["backend": "\(report.backend)", "reason": "\(report.reason)"])
    }

    deinit {
        guard core.isOnLoopThread else {
            core.close(by: .after(Self.patience))
            return
        }
        let closing: @Sendable () -> Void = { [core] in core.close(by: .after(Self.patience)) }
        // Without a thread to wait on, the loops end at once.
        if (try? SystemThread.start(named: "zeromq-close", closing)) == nil { core.stop() }
    }

    /// How long a close takes at most, unless it is told otherwise.
    private static var patience: Duration { .seconds(30) }

    /// Which backend and features its loops use, and why.
    public var report: EngineReport { core.report.withLock { $0! } }

    /// Runs Swift tasks on the first loop's thread: `Task(executorPreference: context.executor)`. Tasks there resume
    /// where their messages arrive, without a thread hop; they must not block.
    public var executor: LoopExecutor { core.executors.withLock { $0[0] } }

    /// Turns the loop of a caller-driven context until the deadline, at least once.
    public func run(until deadline: Deadline) throws(ZeroMQError) {
        guard let driver = core.driver.withLock({ $0 }) else {
            throw ZeroMQError(
                .wrongThread, "run(until:) is for caller-driven contexts; this one has its own threads")
        }
        repeat { try driver.turn(until: deadline) } while Deadline.now < deadline
    }

    /// Messages that a close could not deliver.
    public struct ShutdownReport: Sendable, CustomStringConvertible {
        /// By endpoint.
        public var undelivered: [(endpoint: String, messages: Int)] = []
        /// Whether every socket let go within the time.
        public var isComplete = true

        /// One line.
        public var description: String {
            let text = undelivered.map { "\($0.messages) for \($0.endpoint)" }.joined(separator: ", ")
            return (isComplete ? "closed" : "closed by force") + (text.isEmpty ? "" : ", undelivered: \(text)")
        }
    }

    /// Closes every socket and ends the loops. Waiting calls end with `contextClosed`. Unsent messages have their
    /// socket's linger, but no longer than `timeout` in all; this call never waits longer. Calling it again does
    /// nothing.
    /// - Returns: what was not delivered.
    @discardableResult
    public func close(timeout: Duration = .seconds(30)) -> ShutdownReport {
        core.close(by: .after(timeout))
    }
}
