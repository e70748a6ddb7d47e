import Proactor
import ZMTP

/// What an XPUB's user receives of its peers' subscriptions: messages of one frame, 01 or 00 and the prefix
/// (29/PUBSUB, XPUB).
///
/// By default only what changes for the socket as a whole: the first peer that subscribes to a prefix, the last that
/// cancels it or goes. They wait in a pipe of their own, since they are never dropped at a peer's mark.
final class SubscriptionReports: Sendable {
    /// More than this is kept for no user who does not receive: then reports are lost, with a count.
    static let byteBound = 256 << 20

    /// Its writing side belongs to the holder of the lock below.
    let pipe: Pipe
    private let options: SocketOptions
    private let losses: LossCounters
    /// Peers that hold a prefix.
    private let holders = Locked<[Frame: Int]>([:])

    init(_ options: SocketOptions, readerList: ReadyList, losses: LossCounters, budget: MemoryBudget?) {
        self.options = options
        self.losses = losses
        pipe = Pipe(
            mark: 0, byteMark: Self.byteBound, pool: ChunkPool(budget: budget), readerList: readerList,
            writerList: ReadyList())
    }

    /// A peer has subscribed or cancelled.
    /// - Parameter isNew: whether that changed its set.
    func note(_ change: Subscription, _ prefix: Frame, isNew: Bool, of subscriber: Subscriber) {
        holders.withLock { holders in
            let isEdge = isNew && count(change, prefix, &holders)
            let isTold =
                switch change {
                case .subscribe: isEdge || options.isVerbose || options.isVerboser
                case .cancel: isEdge || options.isVerboser
                }
            if isTold || options.isManual { put(change, prefix, subscriber) }
        }
    }

    /// A peer is gone, and with it all it had asked for.
    func gone(_ prefixes: Set<Frame>, of subscriber: Subscriber) {
        holders.withLock { holders in
            for prefix in prefixes where count(.cancel, prefix, &holders) || options.isVerboser {
                put(.cancel, prefix, subscriber)
            }
        }
    }

    /// - Returns: whether it was the first holder that came, or the last that went.
    private func count(_ change: Subscription, _ prefix: Frame, _ holders: inout [Frame: Int]) -> Bool {
        let count = holders[prefix, default: 0] + (change == .subscribe ? 1 : -1)
        holders[prefix] = count > 0 ? count : nil
        return count == (change == .subscribe ? 1 : 0)
    }

    private func put(_ change: Subscription, _ prefix: Frame, _ subscriber: Subscriber) {
        guard pipe.writer.pointee.hasRoom() else { return losses.add(1, .mark) }
        // Whom it is about stands in front, for `XPublishSocket` to take off.
        withUnsafeBytes(of: subscriber.id) { pipe.writer.pointee.put(.more, $0) }
        let body = [change.rawValue] + prefix.bytes
        body.withUnsafeBytes { pipe.writer.pointee.put([], $0) }
        if pipe.writer.pointee.publish(keep: false) { pipe.readerList.wake(pipe.announce(.data)) }
    }
}
