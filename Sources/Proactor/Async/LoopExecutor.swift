import Synchronization

/// Runs Swift jobs on the thread of a loop, so that tasks and actors run where their completions land.
///
/// Whoever owns a loop calls `runJobs()` in each turn and `prepareToRest()` before it sleeps. Jobs are stored as
/// they are, without a closure for each; those enqueued by the loop's own thread wake nobody, those of others call
/// `wake` only where the loop may sleep. Knows nothing of engines: any loop with a way to be woken will do.
///
/// As a `TaskExecutor` it is a preference (`withTaskExecutorPreference`), as a `SerialExecutor` the isolation of
/// actors that return it as their `unownedExecutor`. Both run on the same thread, one job at a time.
public final class LoopExecutor: TaskExecutor, SerialExecutor {
    /// A job, and as what it came: a job of an actor must be run as isolated, one of a task with a preference must
    /// not be, or the runtime leaves the isolation first, which costs one more job at each.
    private struct Entry {
        let job: UnownedJob
        let isIsolated: Bool
    }

    private struct Queue {
        var jobs: [Entry] = []
        /// The memory of the last lot, so that turns do not allocate.
        var spare: [Entry] = []
        var isResting = false
        var isFinished = false
        /// A thread runs what comes after the end.
        var isDraining = false
    }

    /// A lot larger than this does not keep its memory.
    private static var keptCapacity: Int { 4096 }

    private let queue = Locked(Queue())
    /// The thread that owns the loop; 0 before the first `runJobs`.
    private let owner = Atomic<UInt>(0)
    private let wake: @Sendable () -> Void
    /// What actors are isolated to.
    private let isolation = LoopIsolation()

    /// - Parameter wake: Ends the sleep of the loop's thread. Called from any thread, at most once per rest, without
    ///   a lock held; must not block.
    public init(wake: @escaping @Sendable () -> Void) {
        self.wake = wake
        isolation.attach(self)
    }

    /// Whether the caller runs on the loop's thread.
    public var isOnLoop: Bool { owner.load(ordering: .relaxed) == SystemThread.current }

    /// Makes the calling thread the loop's owner. Implied by `runJobs()`.
    public func claimThread() {
        // Relaxed: only the thread that stored its own identity can find it equal.
        owner.store(SystemThread.current, ordering: .relaxed)
    }

    /// Runs the jobs that were there at the start; those that they enqueue wait for the next call, so that a turn is
    /// bounded. Only for the thread that owns the loop, and not from within a job.
    /// - Returns: How many ran.
    @discardableResult
    public func runJobs() -> Int {
        claimThread()
        var lot = queue.withLock { queue -> [Entry] in
            queue.isResting = false
            guard !queue.jobs.isEmpty else { return [] }
            let lot = queue.jobs
            queue.jobs = queue.spare
            queue.spare = []
            return lot
        }
        guard !lot.isEmpty else { return 0 }
        let (serial, task) = (asUnownedSerialExecutor(), asUnownedTaskExecutor())
        for entry in lot {
            if entry.isIsolated {
                entry.job.runSynchronously(on: serial)
            } else {
                entry.job.runSynchronously(on: task)
            }
        }
        let count = lot.count
        lot.removeAll(keepingCapacity: lot.capacity <= Self.keptCapacity)
        queue.withLock { $0.spare = lot }
        return count
    }

    /// Announces that the loop's thread is about to sleep: the next job of another thread calls `wake`.
    /// - Returns: False if jobs wait already: do not sleep then.
    public func prepareToRest() -> Bool {
        queue.withLock { queue in
            queue.isResting = queue.jobs.isEmpty
            return queue.isResting
        }
    }

    /// Takes a job of a task that prefers this executor; for the Swift runtime.
    public func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job), isIsolated: false) }

    func enqueue(_ job: UnownedJob, isIsolated: Bool) {
        enum Deed { case nothing, wake, drain }
        let deed = queue.withLock { queue -> Deed in
            queue.jobs.append(Entry(job: job, isIsolated: isIsolated))
            if queue.isFinished {
                defer { queue.isDraining = true }
                return queue.isDraining ? .nothing : .drain
            }
            guard queue.isResting else { return .nothing }
            // The own thread is awake, and looks at its queue before it sleeps the next time.
            guard !isOnLoop else { return .nothing }
            queue.isResting = false
            return .wake
        }
        switch deed {
        case .nothing: break
        case .wake: wake()
        case .drain: startDraining()
        }
    }

    // MARK: The end

    /// The loop's thread will run no more jobs. Those that wait, and those to come, are run by a thread made for
    /// them, one at a time as before: a task that prefers this executor must not be left hanging.
    public func finish() {
        owner.store(0, ordering: .relaxed)
        let mustDrain = queue.withLock { queue -> Bool in
            queue.isFinished = true
            guard !queue.jobs.isEmpty, !queue.isDraining else { return false }
            queue.isDraining = true
            return true
        }
        if mustDrain { startDraining() }
    }

    private func startDraining() {
        do {
            try SystemThread.start(named: "loop-remains") { self.drain() }
        } catch {
            preconditionFailure("no thread for the jobs of a loop that has ended: \(error)")
        }
    }

    private func drain() {
        while true {
            runJobs()
            let isOver = queue.withLock { queue -> Bool in
                guard queue.jobs.isEmpty else { return false }
                queue.isDraining = false
                // Under the lock: the next drainer may claim the moment it is released.
                owner.store(0, ordering: .relaxed)
                return true
            }
            if isOver { return }
        }
    }

    // MARK: Identity

    /// What actors return as their `unownedExecutor`; valid as long as this executor lives, so they keep it (or its
    /// loop). Identity decides, as one loop is one thread.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { isolation.asUnownedSerialExecutor() }

    /// The preference face.
    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    /// One context, one executor.
    public func isSameExclusiveExecutionContext(other: LoopExecutor) -> Bool { self === other }

    /// Traps off the loop's thread; for `assumeIsolated` and its like.
    public func checkIsolated() { precondition(isOnLoop, "not on the thread of this loop") }

    /// Whether the caller is isolated to the loop: whether it runs on its thread.
    public func isIsolatingCurrentContext() -> Bool? { isOnLoop }
}

/// The serial face of a loop's executor, an object of its own so that the jobs of actors can be told from those of
/// tasks: the runtime hands over both in the same way.
final class LoopIsolation: SerialExecutor {
    /// The address of the executor, which owns this object: whoever holds a reference to this one keeps that.
    private let address = Atomic<UInt>(0)

    func attach(_ executor: LoopExecutor) {
        address.store(UInt(bitPattern: Unmanaged.passUnretained(executor).toOpaque()), ordering: .releasing)
    }

    private var executor: LoopExecutor {
        let pointer = UnsafeRawPointer(bitPattern: address.load(ordering: .acquiring))!
        return Unmanaged<LoopExecutor>.fromOpaque(pointer).takeUnretainedValue()
    }

    func enqueue(_ job: consuming ExecutorJob) { executor.enqueue(UnownedJob(job), isIsolated: true) }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    func checkIsolated() { executor.checkIsolated() }

    func isIsolatingCurrentContext() -> Bool? { executor.isOnLoop }
}
