import Proactor
import Synchronization

/// One peer that subscribes, as its publisher's threads share it.
///
/// A peer's subscriptions are a set, as in the reference: SUB forwards a subscription as often as it is made and its
/// cancellation once (29/PUBSUB counts instead; a peer that counts for itself sees no difference).
///
/// Sendable: each group of fields says who touches it; what several threads touch lies behind a lock.
final class Subscriber: @unchecked Sendable {
    /// The connection's number.
    let id: UInt64
    /// Where orders for its loop go; nil for inproc.
    let fanout: Fanout?
    /// The pipe of an inproc peer.
    let pipe: Pipe?

    // By the loop.
    weak var feed: Feed?

    // By the publisher's sending half.
    var prefixes: Set<Frame> = []
    /// The place of its stream in the table, -1 while it has none.
    var slot: Int32 = -1
    /// Its place among the stream's members.
    var memberIndex = 0

    /// What it asked for, and what the publisher has not yet settled.
    struct Book: Sendable {
        /// By the peer's own words.
        var asked: Set<Frame> = []
        /// Octets in `asked`.
        var bytes = 0
        /// Changes that the sending half has to make: true subscribes. A later change of the same prefix replaces an
        /// earlier one, so that a peer that changes its mind for ever costs no memory.
        var pending: [Frame: Bool] = [:]
        var isGone = false
        /// Goes before all others (inproc).
        var welcome: Message?
        var isQueued = false
        /// The next message is for it alone.
        var isConfidant = false
    }
    let book = Locked(Book())

    /// What became of the messages published for it.
    let account = Locked(SubscriberAccount())

    init(id: UInt64, fanout: Fanout?, pipe: Pipe?) {
        self.id = id
        self.fanout = fanout
        self.pipe = pipe
    }
}

/// The books of one subscriber: sent + queued + dropped = published, at any moment.
///
/// Kept by its loop; what its stream holds beyond is looked up when somebody asks, so that publishing costs a
/// subscriber nothing.
struct SubscriberAccount: Sendable {
    /// Messages whose last byte the kernel has accepted.
    var sent = 0
    /// Messages given up for it.
    var lost = 0
    /// Messages, and their bytes, in the parts of its queue that end before the tail of its stream.
    var held = 0
    var heldBytes = 0
    /// Its stream, and where its open part begins there: behind all that was sent or given up.
    var home: Stream?
    var from = StreamPoint()
    /// The stream's refusals up to which `lost` counts.
    var refused = 0
    /// Its queue is full: what is published from `from` on is not for it.
    var isCut = false

    /// Queued and lost at this moment, with what its stream has got meanwhile; `missed` are those among the lost that
    /// the socket's counters do not have yet.
    var now: (queued: Int, bytes: Int, lost: Int, missed: Int) {
        guard let home else { return (held, heldBytes, lost, 0) }
        let word = PipeWord(rawValue: home.pipe.words.pointee.data.load(ordering: .acquiring))
        let messages = Int((word.count &- from.count) & PipeWord.countMask)
        let bytes = Int((word.position &- from.position) & PipeWord.positionMask)
        let lost = lost + home.refused.load(ordering: .relaxed) - refused
        if isCut { return (held, heldBytes, lost + messages, messages) }
        return (held + messages, heldBytes + bytes, lost, 0)
    }
}
