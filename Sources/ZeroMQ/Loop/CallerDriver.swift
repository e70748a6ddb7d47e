import Glibc
import Proactor

/// The loop of a caller-driven context, turned by the thread that made it.
///
/// Sendable: every use checks the thread first.
final class CallerDriver: @unchecked Sendable {
    private let thread = pthread_self()
    /// Made where the backend's type is known, so that the loop behind it is specialised.
    private let turnLoop: (Deadline?) throws(ProactorError) -> Void
    /// Bytes sent since the last turn; beyond the bound a send turns the loop.
    private var sentSinceTurn = 0
    private static let sendBound = 64 << 10

    init(_ turnLoop: @escaping (Deadline?) throws(ProactorError) -> Void) { self.turnLoop = turnLoop }

    var isOnThread: Bool { pthread_equal(thread, pthread_self()) != 0 }

    /// One turn: submits, waits until the deadline at most, and hands out what came.
    func turn(until deadline: Deadline?) throws(ZeroMQError) {
        guard isOnThread else {
            throw ZeroMQError(.wrongThread, "a caller-driven context works only on the thread that made it")
        }
        sentSinceTurn = 0
        do throws(ProactorError) {
            try turnLoop(deadline)
        } catch {
            throw ZeroMQError(
                .engineFailed, "the loop failed: \(error)", underlying: SystemError(code: error.errno))
        }
    }

    /// After a send: enters the kernel at once if nobody was consuming, or if much has gathered.
    func afterSend(_ bytes: Int, wasIdle: Bool) throws(ZeroMQError) {
        sentSinceTurn += bytes
        if wasIdle || sentSinceTurn >= Self.sendBound { try turn(until: .distantPast) }
    }
}
