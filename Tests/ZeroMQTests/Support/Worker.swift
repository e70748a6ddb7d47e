import Glibc
import Proactor

@testable import ZeroMQ

/// A real thread of a test, which can be waited for with a watchdog.
final class Worker: @unchecked Sendable {
    private let thread: pthread_t
    private let argument: Argument
    private var isJoined = false

    private final class Argument: Sendable {
        let body: @Sendable () -> Void
        let isDone = FutexCounter()
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Starts it.
    init(_ body: @escaping @Sendable () -> Void) {
        var created = pthread_t()
        argument = Argument(body)
        let failure = pthread_create(
            &created, nil,
            { pointer in
                let argument = Unmanaged<Argument>.fromOpaque(pointer!).takeRetainedValue()
                argument.body()
                argument.isDone.advance()
                return nil
            }, Unmanaged.passRetained(argument).toOpaque())
        precondition(failure == 0, "no thread for a test")
        thread = created
    }

    /// Whether its end has come.
    var isOver: Bool { argument.isDone.value != 0 }

    /// Waits for its end.
    /// - Returns: false if it has not ended: it hangs, and goes on hanging.
    func join(within seconds: Int = 30) -> Bool {
        guard !isJoined else { return true }
        // The watchdog: a thread that hangs must not take the test with it.
        let end = Deadline.after(.seconds(seconds))
        while argument.isDone.value == 0 {
            guard Deadline.now < end else { return false }
            argument.isDone.sleep(while: 0, until: end)
        }
        pthread_join(thread, nil)
        isJoined = true
        return true
    }

    /// The same for a task, which gives its thread back meanwhile: what is waited for may need one of the pool.
    func ends(within seconds: Int = 30) async -> Bool {
        var watch: Worker?
        let hasEnded = await withCheckedContinuation { continuation in
            watch = Worker { continuation.resume(returning: self.join(within: seconds)) }
        }
        _ = watch?.join()
        return hasEnded
    }
}

/// A value that threads of a test share.
final class Shared<Value: Sendable>: Sendable {
    private let mutex: Locked<Value>
    init(_ value: Value) { mutex = Locked(value) }
    var value: Value {
        get { mutex.withLock { $0 } }
        set { mutex.withLock { $0 = newValue } }
    }
    func change(_ body: (inout sending Value) -> Void) { mutex.withLock { body(&$0) } }
}

/// Random numbers from a seed, so that a failure can be run again (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
