public import Proactor
import Synchronization
import ZMTP

/// A PUB that shows its peers' subscriptions: they are received as messages of one frame, 01 (subscribe) or 00
/// (cancel) and the prefix, beside messages that XSUB peers send (29/PUBSUB).
public final class XPublishSocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// By the receiving half: the peer that the last subscription received was about.
    private var lastSeen: UInt64 = 0

    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.xpub, context, options)
    }

    /// There is always room: what a peer cannot take is dropped, or waited for by the send itself.
    override func canSend() -> Bool { true }

    override func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        try core.publish(bytes)
    }

    override func offer(_ message: Message) throws(ZeroMQError) -> SendResult { try core.publish(message) }

    /// Takes off what stands in front of a report: whom it is about.
    override func admit(_ pipe: Pipe) -> Bool {
        guard pipe === core.publisher?.reports?.pipe else { return true }
        lastSeen = pipe.reader.pointee.next().body.loadUnaligned(as: UInt64.self)
        return true
    }

    // MARK: Deciding for peers

    /// With `isManual`: subscribes the peer whose subscription was received last. Part of the receiving half.
    public func admit(_ topic: Frame) throws(ZeroMQError) { try decide(topic, true) }

    /// With `isManual`: ends a subscription of the peer whose message was received last.
    public func dismiss(_ topic: Frame) throws(ZeroMQError) { try decide(topic, false) }

    private func decide(_ topic: Frame, _ isOn: Bool) throws(ZeroMQError) {
        guard core.options.isManual else {
            throw ZeroMQError(.wrongState, "this XPUB decides by itself who is subscribed: make it with isManual")
        }
        guard let subscriber = core.subscriber(lastSeen) else { return }
        core.publisher?.settle(subscriber, topic, isOn, isConfidant: core.options.isManualLastValue && isOn)
    }

    // MARK: Barriers

    /// Waits until so many peers would get a message that begins with `topic`; as `PublishSocket.subscribers`.
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
