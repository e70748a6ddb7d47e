import CLiburing
import Glibc

/// How threads sleep on a word of memory and are woken (futex(2), private to the process). For the modules of this
/// package.
package enum Futex {
    /// Sleeps while the word holds `expected`, until woken, the deadline, or a signal.
    /// - Returns: 0 when woken, or a negative errno: -EAGAIN (the word differs), -EINTR, -ETIMEDOUT.
    package static func wait(_ word: UnsafeRawPointer, while expected: UInt32, until deadline: Deadline?) -> Int32 {
        guard let deadline else { return proactor_futex_wait(word, expected, nil) }
        let second: UInt64 = 1_000_000_000
        var time = timespec(
            tv_sec: Int(deadline.nanoseconds / second), tv_nsec: Int(deadline.nanoseconds % second))
        return proactor_futex_wait(word, expected, &time)
    }

    /// Wakes up to `count` threads.
    package static func wake(_ word: UnsafeRawPointer, count: Int32 = 1) {
        _ = proactor_futex_wake(word, count)
    }

    /// Names the calling thread for people (PR_SET_NAME of prctl(2)): 15 bytes at most.
    package static func nameThread(_ name: String) { proactor_name_thread(name) }
}
