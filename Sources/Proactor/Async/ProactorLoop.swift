/// A background thread with a backend, and sockets with `async` operations on it.
///
/// Its `executor` runs Swift tasks on that very thread, where their completions land: a task that runs there (see
/// `run(_:)`) pays no thread hop for an operation. Others hop there and back, which costs tens of microseconds.
///
/// ```swift
/// let loop = try ProactorLoop()
/// let listener = try await loop.listen(on: SocketAddress(numeric: "127.0.0.1", port: 7777)!)
/// try await loop.run {
///     for try await connection in listener.connections {
///         Task(executorPreference: loop.executor) {
///             for try await chunk in connection.chunks { try await connection.send(chunk) }
///         }
///     }
/// }
/// ```
///
/// Every operation takes a deadline and ends with its task: a cancel reaches the kernel, the completion is waited
/// for, and only then does the call return, so its memory is free again. What won the race (bytes, a connection)
/// is delivered, never lost. A loop lives until `shutdown()`, or until it and its sockets are no longer referenced.
public final class ProactorLoop: Sendable {
    let core: LoopCore
    /// Which backend and features are in use, and why; printable.
    public let report: EngineReport

    /// Starts the thread, and waits until its engine stands (some milliseconds at most).
    /// - Parameters:
    ///   - choice: Which backend; nil takes what the environment variable `PROACTOR_BACKEND` says (`auto`,
    ///     `io_uring`, `epoll`), and `automatic` without it.
    ///   - name: The thread's name, for debuggers; 15 bytes are kept.
    ///   - configuration: Sizes of the engine.
    /// - Throws: `unavailable` where a forced backend cannot run, `system` for want of a thread or descriptors.
    public init(
        _ choice: BackendChoice? = nil, name: String = "proactor",
        configuration: EngineConfiguration = EngineConfiguration()
    ) throws(ProactorError) {
        let start = LoopStart()
        try SystemThread.start(named: name) { start.run(choice, configuration) }
        start.gate.wait()
        guard let outcome = start.outcome.withLock({ $0 }) else { preconditionFailure("the gate opened too early") }
        let made = try outcome.get()
        core = made.core
        report = made.report
    }

    deinit { core.post(.end(nil)) }

    /// Runs tasks and actors on the loop's thread.
    public var executor: LoopExecutor { core.executor }

    /// Runs a body on the loop's thread, as far as nothing isolates it elsewhere. It must not block.
    public func run<Result: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        do {
            return try await withTaskExecutorPreference(executor) { try await body() }
        } catch let failure as Failure {
            throw failure
        } catch {
            fatalError("unreachable: the body throws nothing else")
        }
    }

    /// Suspends until a deadline.
    /// - Throws: `cancelled` with the task, `shutDown` with the loop.
    public nonisolated(nonsending) func sleep(until deadline: Deadline) async throws(LoopError) {
        if case .failed(let error) = await core.perform(.sleep, .free, until: deadline) { throw error }
    }

    /// Ends the loop: every wait ends with `shutDown`, all sockets are closed. Returns when the engine is gone; may
    /// be called again, from anywhere. Tasks that prefer the executor go on, on a thread made for them.
    public nonisolated(nonsending) func shutdown() async {
        _ = await core.ask { .end($0) }
    }
}

/// How the outcome of making an engine comes from its thread.
private final class LoopStart: Sendable {
    struct Made: Sendable {
        let core: LoopCore
        let report: EngineReport
    }

    let gate = Gate()
    let outcome = Locked<Result<Made, ProactorError>?>(nil)

    /// The whole life of the thread.
    func run(_ choice: BackendChoice?, _ configuration: EngineConfiguration) {
        let core: LoopCore
        let remains: LoopRemains
        do throws(ProactorError) {
            let backend = try ChosenBackend(choice, configuration)
            let report = backend.report
            core = LoopCore(backend.waker)
            core.executor.claimThread()
            outcome.withLock { $0 = .success(Made(core: core, report: report)) }
            gate.open()
            remains = LoopThread(backend, core).run()
        } catch {
            outcome.withLock { $0 = .failure(error) }
            gate.open()
            return
        }
        core.executor.finish()
        for (continuation, answer) in remains.answers { continuation.resume(returning: answer) }
    }
}
