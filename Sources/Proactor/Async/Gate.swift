import CLiburing
import Glibc

/// A door that opens once and then stays open: how one thread waits for another to be ready, or gone.
///
/// `@unchecked Sendable`: the semaphore (sem_overview(7)) is made for several threads, its place never changes, and
/// each waiter passes it on.
final class Gate: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        semaphore.initialize(to: sem_t())
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// Opens it, once.
    func open() { sem_post(semaphore) }

    /// Sleeps until it is open.
    func wait() {
        while sem_wait(semaphore) != 0 {}  // EINTR only
        sem_post(semaphore)
    }
}
