import ZMTP

/// A SUB whose subscriptions are messages: sending 01 or 00 and a prefix, in one frame, subscribes or cancels; other
/// messages go to all publishers, and are dropped, with a count, for one at its mark. It receives all that publishers
/// send it (29/PUBSUB).
public final class XSubscribeSocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.xsub, context, options)
    }

    /// There is always room: what a peer cannot take is dropped.
    override func canSend() -> Bool { true }

    override func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        if take(bytes) { return .sent }
        try core.broadcast { $0.writer.pointee.put([], bytes) }
        return .sent
    }

    override func offer(_ message: Message) throws(ZeroMQError) -> SendResult {
        if message.count == 1, message[0].withUnsafeBytes({ take($0) }) { return .sent }
        try core.broadcast { $0.put(message, from: 0) }
        return .sent
    }

    /// Subscriptions are forwarded as often as they are made, so that a verbose XPUB behind a forwarder hears of each;
    /// cancellations when the last goes, or each with `isUnsubscribeVerbose`. So does the reference.
    private func take(_ body: UnsafeRawBufferPointer) -> Bool {
        guard let (change, range) = Subscription.parse(message: body) else { return false }
        let prefix = Frame(copying: UnsafeRawBufferPointer(rebasing: body[range]))
        core.change(change, prefix, tellsAgain: change == .subscribe || core.options.isUnsubscribeVerbose)
        return true
    }

    /// Takes messages that begin with `topic`; the same as sending 01 and the topic, by any thread.
    public func subscribe(_ topic: Frame) { core.change(.subscribe, topic, tellsAgain: true) }

    /// Cancels one subscription.
    /// - Returns: false if there was none.
    @discardableResult
    public func cancel(_ topic: Frame) -> Bool {
        core.change(.cancel, topic, tellsAgain: core.options.isUnsubscribeVerbose)
    }
}
