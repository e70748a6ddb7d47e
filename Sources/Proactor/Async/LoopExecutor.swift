import Synchronization

/// placeholder
public final class LoopExecutor: TaskExecutor, SerialExecutor {
    private let jobs = Mutex<[UnownedJob]>([])
    private let wake: @Sendable () -> Void
    /// x
    public init(wake: @escaping @Sendable () -> Void) { self.wake = wake }
    /// x
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        wake()
    }
    /// x
    public func runJobs() {
        let now = jobs.withLock { j in defer { j = [] }; return j }
        for job in now { job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor()) }
    }
}
