import Glibc
import Proactor

/// The loop of a caller-driven context, turned by the thread that made it.
///
/// Sendable: every use checks the thread first.
final class CallerDriver: @unchecked Sendable {
    private let thread = pthread_self()
    /// Made where the backend's type is known, so that the loop behind it is specialised.
    private var turnLoop: ((Deadline?) throws(ProactorError) -> Void)?
    /// Bytes that wait and messages that went since the last turn; beyond either bound a send turns the loop.
    private var waitingBytes = 0
    private var sentMessages = 0
    private static let waitingBound = 64 << 10
    private static let sentBound = 64

    init(_ turnLoop: @escaping (Deadline?) throws(ProactorError) -> Void) { self.turnLoop = turnLoop }

    var isOnThread: Bool { pthread_equal(thread, pthread_self()) != 0 }

    /// One turn: submits, waits until the deadline at most, and hands out what came.
    func turn(until deadline: Deadline?) throws(ZeroMQError) {
        guard isOnThread else {
            throw ZeroMQError(.wrongThread, "a caller-driven context works only on the thread that made it")
        }
        guard let turnLoop else { throw ZeroMQError(.contextClosed, "the context was closed") }
        waitingBytes = 0
        sentMessages = 0
        do throws(ProactorError) {
            try turnLoop(deadline)
        } catch {
            throw ZeroMQError(
                .engineFailed, "the loop failed: \(error)", underlying: SystemError(code: error.errno))
        }
    }

    /// The context ends, and its loop on the thread that it belongs to, whoever holds the last of its sockets.
    func end() {
        if isOnThread { turnLoop = nil }
    }

    /// After a send: turns the loop if the message waits for it, if much has gathered, and from time to time.
    /// - Parameter bytes: what the message's pipe holds.
    func afterSend(_ bytes: Int, _ departure: SendSide.Departure) throws(ZeroMQError) {
        waitingBytes += bytes
        sentMessages += 1
        if departure == .announced || waitingBytes >= Self.waitingBound || sentMessages >= Self.sentBound {
            try turn(until: .distantPast)
        }
    }
}
