import Proactor
import Synchronization

/// A thread that makes a loop and runs it. Signals stay with the application's threads.
final class LoopThread: Sendable {
    private enum Phase {
        case pending
        case running(LoopDoor, LoopExecutor)
        case failed(ProactorError)
        case ended
    }

    typealias Body = @Sendable ((LoopDoor, LoopExecutor) -> Void) throws(ProactorError) -> Void

    private let name: String
    private let phase = Locked(Phase.pending)
    private let thread = Atomic<UInt>(0)
    private let progress = FutexCounter()

    init(name: String) { self.name = name }

    /// Starts the thread and waits until its loop stands.
    func start(_ body: @escaping Body) throws(ProactorError) -> (LoopDoor, LoopExecutor) {
        try SystemThread.start(named: name) { [self] in run(body) }
        while true {
            let seen = progress.value
            switch phase.withLock({ $0 }) {
            case .running(let door, let executor): return (door, executor)
            case .failed(let error): throw error
            case .pending, .ended: progress.sleep(while: seen, until: .after(.seconds(60)))
            }
        }
    }

    private func run(_ body: Body) {
        thread.store(SystemThread.current, ordering: .relaxed)
        var end = Phase.ended
        do throws(ProactorError) {
            try body { door, executor in
                phase.withLock { $0 = .running(door, executor) }
                progress.advance()
            }
        } catch {
            end = .failed(error)
        }
        thread.store(0, ordering: .relaxed)
        phase.withLock { $0 = end }
        progress.advance()
    }

    /// Whether the caller is this thread.
    var isCurrent: Bool { thread.load(ordering: .relaxed) == SystemThread.current }

    /// Waits until the loop has ended and freed what it held. A loop's own thread cannot wait for itself: it ends
    /// when its present turn does.
    func join() {
        guard !isCurrent else { return }
        while true {
            let seen = progress.value
            switch phase.withLock({ $0 }) {
            case .ended, .failed: return
            case .pending, .running: progress.sleep(while: seen, until: .after(.seconds(60)))
            }
        }
    }
}
