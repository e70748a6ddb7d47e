public import Proactor
import ZMTP

/// Publishes to all peers that are subscribed to what the first frame begins with (29/PUBSUB). Sends only.
///
/// A message is encoded once for all peers with equal subscriptions. What happens to a peer that is behind by its whole
/// mark is `SocketOptions.slowSubscribers`; by default it misses messages, and the others do not notice. A message
/// that nobody is subscribed to is dropped, and counted as `notSubscribed`.
public final class PublishSocket: Socket, SendingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.pub, context, options)
    }

    /// There is always room: what a peer cannot take is dropped, or waited for by the send itself.
    override func canSend() -> Bool { true }

    override func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        try core.publish(bytes)
    }

    override func offer(_ message: Message) throws(ZeroMQError) -> SendResult { try core.publish(message) }

    /// Waits until so many peers would get a message that begins with `topic`. Whoever waits so before the first send
    /// loses nothing to peers that are late.
    ///
    /// A peer counts when its subscription has arrived here. It is part of the sending half: no send may be under way.
    /// - Parameters:
    ///   - count: peers; 0 is always true.
    ///   - topic: what the message would begin with; the empty one reaches those that take everything.
    ///   - deadline: nil takes the socket's `sendTimeout`.
    /// - Throws: `timedOut`, `socketClosed`, `contextClosed`.
    public func subscribers(
        atLeast count: Int, to topic: String = "", until deadline: Deadline? = nil
    ) throws(ZeroMQError) {
        try core.awaitSubscribers(count, Frame(topic), until: deadline)
    }

    /// Suspends until so many peers would get a message that begins with `topic`.
    public nonisolated(nonsending) func subscribers(
        atLeast count: Int, to topic: String = "", until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        try await core.awaitSubscribers(count, Frame(topic), until: deadline)
    }
}
