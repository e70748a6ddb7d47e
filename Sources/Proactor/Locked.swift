import Glibc

/// A value behind a lock of the C library: `Mutex` in everything but one point.
///
/// `Synchronization.Mutex` waits in the kernel (FUTEX_LOCK_PI), which hands a contended lock over by writing its word:
/// the thread sanitizer cannot see that, and reports each contended use as a race (seen with 6.3.1). A pthread mutex
/// it knows; uncontended, both cost one atomic exchange each way.
///
/// `@unchecked Sendable`: the value is reached through `withLock` only, by one thread at a time, and is `Sendable`.
package struct Locked<Value: Sendable & ~Copyable>: ~Copyable, @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let value: UnsafeMutablePointer<Value>

    /// - Parameter initial: What it holds at first.
    package init(_ initial: consuming Value) {
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
        value = .allocate(capacity: 1)
        value.initialize(to: initial)
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
        value.deinitialize(count: 1)
        value.deallocate()
    }

    /// Calls with the value, alone with it. Not to be entered again from within.
    package borrowing func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return try body(&value.pointee)
    }
}
