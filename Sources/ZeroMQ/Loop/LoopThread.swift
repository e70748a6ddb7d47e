import Glibc
import Proactor
import Synchronization

/// A thread that makes a loop and runs it. Signals stay with the application's threads.
final class LoopThread: Sendable {
    private enum Start {
        case pending
        case running(LoopDoor, LoopExecutor)
        case failed(ProactorError)
    }

    typealias Body = @Sendable ((LoopDoor, LoopExecutor) -> Void) throws(ProactorError) -> Void

    private let name: String
    private let thread = Mutex<pthread_t?>(nil)
    private let state = Mutex(Start.pending)
    private let progress = FutexCounter()

    /// What the new thread gets.
    private final class Argument {
        let owner: LoopThread
        let body: Body
        init(_ owner: LoopThread, _ body: @escaping Body) {
            self.owner = owner
            self.body = body
        }
    }

    init(name: String) { self.name = name }

    /// Starts the thread and waits until its loop stands.
    func start(_ body: @escaping Body) throws(ProactorError) -> (LoopDoor, LoopExecutor) {
        let argument = Unmanaged.passRetained(Argument(self, body))
        var mask = sigset_t()
        var old = sigset_t()
        sigfillset(&mask)
        pthread_sigmask(SIG_SETMASK, &mask, &old)
        var created = pthread_t()
        let failure = pthread_create(
            &created, nil,
            { argument in
                let argument = Unmanaged<Argument>.fromOpaque(argument!).takeRetainedValue()
                argument.owner.run(argument.body)
                return nil
            }, argument.toOpaque())
        pthread_sigmask(SIG_SETMASK, &old, nil)
        guard failure == 0 else {
            argument.release()
            throw .system(SystemError(code: failure), during: "pthread_create")
        }
        let number = created
        thread.withLock { $0 = number }
        while true {
            let seen = progress.value
            switch state.withLock({ $0 }) {
            case .running(let door, let executor): return (door, executor)
            case .failed(let error):
                join()
                throw error
            case .pending: progress.sleep(while: seen, until: .after(.seconds(60)))
            }
        }
    }

    private func run(_ body: Body) {
        Futex.nameThread(name)
        do throws(ProactorError) {
            try body { door, executor in
                state.withLock { $0 = .running(door, executor) }
                progress.advance()
            }
        } catch {
            state.withLock { $0 = .failed(error) }
            progress.advance()
        }
    }

    var isCurrent: Bool { thread.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false } }

    func join() {
        let joined = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if let joined { pthread_join(joined, nil) }
    }
}
