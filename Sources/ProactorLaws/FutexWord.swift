import CLiburing
import Glibc
import Proactor

/// A word that a thread of a law sleeps on. Shared by two threads; `timedOut` is read after the join only.
final class FutexWord: @unchecked Sendable {
    private let word: UnsafeRawPointer
    private(set) var timedOut = false

    init(_ word: UnsafeRawPointer) { self.word = word }

    /// Returns when the word is no longer 0; gives up after five seconds.
    func sleepUntilSet() {
        let end = Deadline.after(.seconds(5)).nanoseconds
        var time = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
        while word.load(as: UInt32.self) == 0 {
            if proactor_futex_wait(word, 0, &time) == -ETIMEDOUT {
                timedOut = true
                return
            }
        }
    }
}
