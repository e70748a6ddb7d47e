import Glibc
import Synchronization

/// A thread of the operating system that computes one value: blocking calls must not occupy the pool of Swift tasks.
final class Worker<Value: Sendable>: Sendable {
    private let outcome: Outcome
    private let thread: pthread_t

    private final class Outcome: Sendable {
        let body: @Sendable () throws -> Value
        let result = Mutex<Result<Value, any Error>?>(nil)

        init(_ body: @escaping @Sendable () throws -> Value) { self.body = body }

        func run() {
            let value = Result { try body() }
            result.withLock { $0 = value }
        }
    }

    init(_ body: @escaping @Sendable () throws -> Value) {
        let outcome = Outcome(body)
        var thread = pthread_t()
        let run: @Sendable () -> Void = { outcome.run() }
        let error = pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<Box>.fromOpaque(pointer!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(Box(run: run)).toOpaque())
        precondition(error == 0, "no thread can be made: errno \(error)")
        self.outcome = outcome
        self.thread = thread
    }

    /// Waits for the end; once.
    func join() throws -> Value {
        pthread_join(thread, nil)
        return try outcome.result.withLock { $0! }.get()
    }
}

/// What a thread starts with: a C function pointer cannot know a generic type.
private final class Box: Sendable {
    let run: @Sendable () -> Void
    init(run: @escaping @Sendable () -> Void) { self.run = run }
}
