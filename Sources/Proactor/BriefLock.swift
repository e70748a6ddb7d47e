import CLiburing
package import Glibc

/// A lock for sections of some tens of nanoseconds that several threads want at once: who finds it held looks a few
/// times (glibc bounds how often), then sleeps in the kernel. A mutex of the C library, which the thread sanitizer
/// knows. Nobody may sleep, and no foreign code may run, while it is held.
///
/// `@unchecked Sendable`: a mutex is made for several threads.
package struct BriefLock: ~Copyable, @unchecked Sendable {
    @usableFromInline
    package let mutex: UnsafeMutablePointer<pthread_mutex_t>

    /// A free lock.
    package init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        proactor_adaptive_mutex(mutex)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Takes it.
    @inlinable
    package func lock() { pthread_mutex_lock(mutex) }

    /// Gives it back.
    @inlinable
    package func unlock() { pthread_mutex_unlock(mutex) }
}
