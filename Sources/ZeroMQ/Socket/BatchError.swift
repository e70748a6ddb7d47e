/// Why a batch stopped before its end, and how far it came: the first `sent` messages are the library's, the others
/// are still the caller's, as after a failed `send`.
///
/// <!-- given: push: PushSocket, batch: inout [Message] -->
/// ```swift
/// do {
///     try push.send(contentsOf: batch, until: .after(.seconds(1)))
/// } catch {
///     batch.removeFirst(error.sent)
/// }
/// ```
public struct BatchError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Messages that were sent before the batch stopped; less than the batch has.
    public let sent: Int
    /// What stopped it.
    public let cause: ZeroMQError

    /// An error behind a number of messages that were sent.
    public init(sent: Int, cause: ZeroMQError) {
        self.sent = sent
        self.cause = cause
    }

    /// Both in a sentence.
    public var description: String { "the batch stopped after \(sent) messages: \(cause)" }
}
