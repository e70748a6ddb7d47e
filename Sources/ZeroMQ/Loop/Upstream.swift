import Proactor
import ZMTP

/// What comes from a subscriber: subscriptions, as commands or in the older form of messages, and to XPUB messages of
/// its user. PUB drops those (29/PUBSUB, PUB).
///
/// Owned by the loop.
final class Upstream {
    /// Octets that one peer's subscriptions may take, with `overhead` for each; a peer that asks for more is cut.
    static let bound = 64 << 20
    static let overhead = 64
    /// Octets of a message from a subscriber that wait for its rest.
    static let messageBound = 16 << 20

    let publisher: Publisher
    let subscriber: Subscriber
    private let pipe: Pipe?
    private let losses: LossCounters
    private let onlyFirst: Bool
    private var isInside = false
    /// Whether frames of the message that has begun may be subscriptions.
    private var takesChanges = false
    /// Whether a message to the user has begun, and whether it is lost.
    private var hasBegun = false
    private var isLost = false

    init(_ core: SocketCore, _ publisher: Publisher, _ subscriber: Subscriber, _ pipe: Pipe?) {
        self.publisher = publisher
        self.subscriber = subscriber
        self.pipe = pipe
        losses = core.losses
        onlyFirst = core.options.isOnlyFirstSubscribe
    }

    /// Takes whole frames of messages, which have passed the scanner.
    func take(_ frames: UnsafeRawBufferPointer) throws(ZMTPError) {
        var at = 0
        while at < frames.count {
            let header = FrameHeader.parse(frames.baseAddress! + at, available: .max)!
            let body = at + header.headerCount
            at = body + header.bodyCount
            try take(header.flags, UnsafeRawBufferPointer(rebasing: frames[body..<at]))
        }
    }

    private func take(_ flags: FrameFlags, _ body: UnsafeRawBufferPointer) throws(ZMTPError) {
        let isFirst = !isInside
        isInside = flags.contains(.more)
        let change = isFirst || takesChanges ? Subscription.parse(message: body) : nil
        if isFirst { takesChanges = !onlyFirst || change != nil }
        if let change {
            return try note(change.change, Frame(copying: UnsafeRawBufferPointer(rebasing: body[change.prefix])))
        }
        forward(flags, body)
    }

    /// The connection is gone; what there is of an unfinished message goes with it.
    func close() { pipe?.writer.pointee.letGo() }

    /// The peer subscribes or cancels.
    func note(_ change: Subscription, _ prefix: Frame) throws(ZMTPError) {
        publisher.take(change, prefix, of: subscriber)
        let taken = subscriber.book.withLock { $0.bytes + $0.asked.count * Self.overhead }
        guard taken <= Self.bound else { throw .messageTooLarge }
    }

    /// A frame for the user of XPUB.
    private func forward(_ flags: FrameFlags, _ body: UnsafeRawBufferPointer) {
        guard let pipe else { return }
        if !hasBegun { isLost = !pipe.writer.pointee.hasRoom() }
        hasBegun = flags.contains(.more)
        if isLost {
            if !flags.contains(.more) { losses.add(1, .mark) }
            return
        }
        pipe.writer.pointee.put(flags, body)
        guard !flags.contains(.more), pipe.writer.pointee.publish(keep: false) else { return }
        pipe.readerList.wake(pipe.announce(.data))
    }
}
