import Proactor
import Synchronization
import ZMTP

/// The sending half of PUB and XPUB: who is subscribed to what, and the streams that come of it.
///
/// Peers with equal sets of subscriptions share a stream, for each loop. The trie knows streams, not peers: a message
/// is matched once, encoded once for each stream that matches, and the loop does the rest. What peers ask for comes by
/// mail, which is settled before the next message.
///
/// Sendable: `mail` lies behind a lock; the table belongs to the one thread that sends (`SendSide.enter` traps a second
/// one).
final class Publisher: @unchecked Sendable {
    let list: ReadyList
    let options: SocketOptions
    let pool: ChunkPool
    let losses: LossCounters
    /// What XPUB tells its user; nil for PUB.
    let reports: SubscriptionReports?
    private let mail = Locked<[Subscriber]>([])
    private let call = CallNode()

    // By the sending half.
    var trie = PrefixTrie()
    var slots: [Slot] = []
    var freeSlots: [Int32] = []
    var sets: [SetKey: [Int32]] = [:]
    /// Counts matches, so that a stream that matches by two prefixes is taken once.
    var epoch: UInt32 = 0
    var matched: [Int32] = []
    /// The only stream, if it gets everything: the common case.
    var sole: Stream?
    /// Streams that have lost their last member, to be told of after the move that emptied them.
    var emptied: [(Stream, Fanout)] = []
    /// XPUB with `isManualLastValue`: whom the next message is for.
    var confidant: Subscriber?

    struct Slot {
        let stream: Stream?
        let pipe: Pipe
        let writer: UnsafeMutablePointer<PipeWriter>
        var key: SetKey?
        var members: [Subscriber] = []
        var epoch: UInt32 = 0
    }

    /// Which set, on which loop. Sets with the same hash are compared.
    struct SetKey: Hashable {
        let fanout: UInt64
        var hash: Int = 0

        mutating func toggle(_ prefix: Frame) { hash ^= prefix.hashValue }
    }

    init(
        _ type: SocketType, _ options: SocketOptions, list: ReadyList, receiveList: ReadyList, pool: ChunkPool,
        losses: LossCounters
    ) {
        self.list = list
        self.options = options
        self.pool = pool
        self.losses = losses
        reports =
            type == .xpub
            ? SubscriptionReports(options, readerList: receiveList, losses: losses, budget: pool.budget) : nil
    }

    // MARK: What peers ask for (by the thread that hears of it)

    /// A peer has come.
    func arrived(_ subscriber: Subscriber) {
        if options.isMatchingInverted { mail(subscriber) { _ in } }
    }

    /// A peer subscribes or cancels.
    func take(_ change: Subscription, _ prefix: Frame, of subscriber: Subscriber) {
        let isNew = subscriber.book.withLock { book in
            guard change == .subscribe else {
                guard book.asked.remove(prefix) != nil else { return false }
                book.bytes -= prefix.count
                return true
            }
            guard book.asked.insert(prefix).inserted else { return false }
            book.bytes += prefix.count
            return true
        }
        // First, so that it is in force when XPUB's user hears of it: the answer to a subscription is sent at once.
        if isNew, !options.isManual { settle(subscriber, prefix, change == .subscribe) }
        reports?.note(change, prefix, isNew: isNew, of: subscriber)
    }

    /// Has the sending half change a subscription.
    /// - Parameter isConfidant: whether the next message is for this subscriber alone.
    func settle(_ subscriber: Subscriber, _ prefix: Frame, _ isOn: Bool, isConfidant: Bool = false) {
        mail(subscriber) { book in
            book.pending[prefix] = isOn
            if isConfidant { book.isConfidant = true }
        }
    }

    /// An inproc peer's first message.
    func settle(_ subscriber: Subscriber, welcome: Message) { mail(subscriber) { $0.welcome = welcome } }

    /// The peer is gone.
    func gone(_ subscriber: Subscriber) {
        let asked = subscriber.book.withLock { book in
            defer { (book.asked, book.bytes) = ([], 0) }
            return book.asked
        }
        mail(subscriber) { $0.isGone = true }
        reports?.gone(asked, of: subscriber)
    }

    private func mail(_ subscriber: Subscriber, _ change: (inout Subscriber.Book) -> Void) {
        let isFirst = subscriber.book.withLock { book in
            change(&book)
            defer { book.isQueued = true }
            return !book.isQueued
        }
        if isFirst { mail.withLock { $0.append(subscriber) } }
        list.wake(list.push(call.node, .call))
    }

    // MARK: Settling (by the sending half, from here on)

    /// Makes the table what peers have asked for by now.
    @inline(never)
    func settle() {
        var left: [Pipe] = []
        _ = list.take { _, reasons, owner in
            guard let pipe = owner?.takeRetainedValue() else { return }
            if !reasons.isDisjoint(with: [.ended, .leaving]) { left.append(pipe) }
        }
        let changed = mail.withLock { mail in
            defer { mail = [] }
            return mail
        }
        for subscriber in changed {
            let (pending, isGone) = subscriber.book.withLock { book in
                if book.isConfidant { confidant = subscriber }
                if let message = book.welcome.take(), let pipe = subscriber.pipe { greet(pipe, message) }
                defer {
                    book.pending = [:]
                    book.isConfidant = false
                    book.isQueued = false
                }
                return (book.pending, book.isGone)
            }
            change(subscriber, isGone ? nil : pending)
        }
        for pipe in left {
            let slot = slots.first { $0.pipe === pipe && !$0.members.isEmpty }
            if let subscriber = slot?.members.first { change(subscriber, nil) }
        }
        noteSole()
    }

    /// Whether a peer without subscriptions has a stream: what nothing matches is for everybody.
    var keepsEmpty: Bool { options.isMatchingInverted }

    private func greet(_ pipe: Pipe, _ message: Message) {
        guard pipe.writer.pointee.hasRoom() else { return losses.add(1, .mark) }
        pipe.put(message, from: 0)
        if pipe.writer.pointee.publish(keep: false) { pipe.readerList.wake(pipe.announce(.data)) }
    }

    private func noteSole() {
        sole = nil
        guard slots.count - freeSlots.count == 1, !options.isMatchingInverted, !options.isManualLastValue,
            let slot = slots.first(where: { !$0.members.isEmpty }),
            slot.members[0].prefixes.contains(Frame())
        else { return }
        sole = slot.stream
    }
}
