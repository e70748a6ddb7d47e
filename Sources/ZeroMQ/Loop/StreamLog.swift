import Proactor

/// A stream as its loop has it: a chain of chunks that is sent to every subscriber of the stream, each from a cursor
/// of its own (`Feed`).
///
/// A chunk goes back when nobody needs it. Subscribers that follow the stream's end count in their chunk as `cursors`:
/// the chain is freed from its front up to the first chunk with one, so no search for the slowest is needed. A part of
/// the log that has an end (of a subscriber that was cut at its mark, or has moved to another stream) is held chunk by
/// chunk, in `holds`: what lies behind such a part is freed in front of it. So nobody holds the log for the others.
///
/// Owned by the loop.
final class StreamLog {
    /// One send takes at most this much of small messages: chunks stay in the cache while they go out to everybody.
    static let sendLimit = 64 << 10

    let stream: Stream
    let fanout: Fanout
    /// The end, as far as it has been handed out.
    private(set) var tail: LogPlace
    private(set) var tailCount: UInt64 = 0
    /// The first chunk that is not freed, and where it begins.
    private var oldest: Segment
    private var oldestPosition: UInt64 = 0
    /// Boundaries of messages at which sends may end, so that counts need no walk: the ends that were handed out, and
    /// more where much came at once. Ascending; those before `firstStop` are past.
    private var stops: [StreamPoint] = []
    private var firstStop = 0

    /// Subscribers that follow the stream's end, or will when they have reached their cut.
    private(set) var feeds: [Feed] = []
    /// Those that have sent everything and wait for more; some may have left meanwhile.
    private var waiting: [Feed] = []
    /// How far the end had come when they were last woken.
    private var wokenAt: UInt64 = 0
    /// Parts of the log that have an end.
    private var holders: [Feed] = []
    /// Nobody can be at his mark before the stream has so many messages.
    private var checkAt: UInt64 = 0

    private var isConsumer = false
    private var isNoted = false
    private var isRetired = false

    init(_ stream: Stream, _ fanout: Fanout) {
        self.stream = stream
        self.fanout = fanout
        oldest = stream.firstSegment
        tail = LogPlace(segment: oldest, position: 0)
        reader.pointee.keep(from: oldest)
    }

    private var reader: UnsafeMutablePointer<PipeReader> { stream.pipe.reader }

    var end: StreamPoint { StreamPoint(position: tail.position, count: tailCount) }

    // MARK: News

    /// The consuming side is ours: something was published.
    func arrived<B: Backend & ~Copyable>(on loop: Loop<B>) {
        isConsumer = true
        note(on: loop)
    }

    func note<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard !isNoted else { return }
        isNoted = true
        fanout.note(self, on: loop)
    }

    /// Hands out what was published, gives credit, and rests if somebody waits for more.
    func settle<B: Backend & ~Copyable>(on loop: Loop<B>) {
        defer { isNoted = false }
        guard !isRetired else { return }
        // At rest there is nothing new; but what was sent makes room for a publisher that waits.
        guard isConsumer else { return credit(on: loop) }
        repeat {
            look(on: loop)
            wakeWaiting(on: loop)
            credit(on: loop)
            // While every subscriber is busy, the next completion looks again: that is the gathering.
            guard !isRetired, !waiting.isEmpty || feeds.isEmpty else { return }
        } while !reader.pointee.rest()
        isConsumer = false
    }

    /// Takes note of all that is published now.
    func look<B: Backend & ~Copyable>(on loop: Loop<B>) {
        let seen = reader.pointee.lookAhead()
        fanout.obey(on: loop)
        guard !isRetired else { return }
        advance(to: seen)
        if tailCount > checkAt { checkMarks(on: loop) }
    }

    private func wakeWaiting<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard !waiting.isEmpty, tail.position > wokenAt else { return }
        wokenAt = tail.position
        let idle = waiting
        waiting.removeAll(keepingCapacity: true)
        for feed in idle where feed.endWait(in: self) { feed.flush(on: loop) }
    }

    /// The subscriber has sent all there is.
    func wait(_ feed: Feed) { waiting.append(feed) }

    // MARK: The end moves

    /// Takes note of what was published up to a point. Everything before it is there.
    func advance(to point: StreamPoint) {
        guard point.position > tail.position else { return }
        if point.position &- tail.position > UInt64(Self.sendLimit) { addStops(to: point) }
        tail.move(Int(point.position &- tail.position))
        tailCount = point.count
        stops.append(point)
        reader.pointee.pass(to: point)
        release()
    }

    /// Much came at once: finds boundaries in between. One walk for all subscribers.
    private func addStops(to point: StreamPoint) {
        var walk = tail
        var count = tailCount
        var last = walk.position
        while walk.position < point.position {
            let before = StreamPoint(position: walk.position, count: count)
            walk.passMessage()
            count &+= 1
            if walk.position &- last > UInt64(Self.sendLimit), before.position > last {
                stops.append(before)
                last = before.position
            }
        }
    }

    /// Where a send from a position ends: at a boundary within the limit of one send, or as far as four times that
    /// limit within a message that is larger.
    /// - Returns: the position, and the messages before it if it is a known boundary.
    func stop(after position: UInt64, limit: StreamPoint) -> (position: UInt64, count: UInt64?) {
        let budget = UInt64(Self.sendLimit)
        if limit.position &- position <= budget { return (limit.position, limit.count) }
        var (low, high) = (firstStop, stops.count)
        while low < high {
            let middle = (low + high) / 2
            if stops[middle].position <= position &+ budget { low = middle + 1 } else { high = middle }
        }
        if low > firstStop, stops[low - 1].position > position {
            let found = stops[low - 1]
            return found.position < limit.position ? (found.position, found.count) : (limit.position, limit.count)
        }
        let next = low < stops.count && stops[low].position < limit.position ? stops[low] : limit
        let most = position &+ budget * 4
        return next.position <= most ? (next.position, next.count) : (most, nil)
    }

    // MARK: Who needs what

    /// Frees the chunks before the first one with a cursor.
    func release() {
        var isMoved = false
        while oldest != tail.segment, oldest.marks.pointee.cursors == 0 {
            let segment = oldest
            oldest = segment.following.unsafelyUnwrapped
            oldestPosition &+= UInt64(segment.pointee.end)
            isMoved = true
            if segment.marks.pointee.holds == 0 {
                stream.pool.give(segment)
            } else {
                segment.marks.pointee.cursors = -1
            }
        }
        guard isMoved else { return }
        reader.pointee.keep(from: oldest)
        while firstStop < stops.count, stops[firstStop].position <= oldestPosition { firstStop += 1 }
        if firstStop > 64, firstStop > stops.count / 2 {
            stops.removeFirst(firstStop)
            firstStop = 0
        }
    }

    /// One holder of a chunk less.
    func letGo(of segment: Segment) {
        segment.marks.pointee.holds -= 1
        if segment.marks.pointee.holds == 0, segment.marks.pointee.cursors < 0 {
            segment.marks.pointee.cursors = 0
            stream.pool.give(segment)
        }
    }

    func add(_ feed: Feed) {
        feed.homeIndex = feeds.count
        feeds.append(feed)
        expectMark()
    }

    /// A subscriber counts again: the next message may bring it to its mark.
    func expectMark() { checkAt = min(checkAt, tailCount) }

    func remove(_ feed: Feed) {
        let last = feeds.count - 1
        feeds.swapAt(feed.homeIndex, last)
        feeds[feed.homeIndex].homeIndex = feed.homeIndex
        feeds.removeLast()
    }

    func addHolder(_ feed: Feed) { holders.append(feed) }

    func removeHolder(_ feed: Feed) {
        if let index = holders.firstIndex(where: { $0 === feed }) { holders.remove(at: index) }
        end(ifDone: ())
    }

    // MARK: Marks and credit

    /// Deals with those that are behind by more than their mark, and finds out when to look again.
    private func checkMarks<B: Backend & ~Copyable>(on loop: Loop<B>) {
        var next = UInt64.max
        // A subscriber that is disconnected here leaves later, with its connection.
        for feed in feeds where !feed.isCut {
            if feed.isOver { feed.meetMark(on: loop) }
            next = min(next, tailCount &+ UInt64(feed.slack))
        }
        checkAt = next
    }

    /// Publishers that drop have credit for all that was handed out; one that waits, for what the slowest has sent.
    private func credit<B: Backend & ~Copyable>(on loop: Loop<B>) {
        var point = end
        if fanout.waitsForSlowest {
            for feed in feeds { point = feed.behind(point, in: self) }
            for feed in holders { point = feed.behind(point, in: self) }
        }
        guard point.count != reader.pointee.creditedCount else { return }
        if reader.pointee.credit(count: point.count, position: point.position) {
            loop.wake(stream.pipe.writerList, stream.pipe.notifyWriter(.room))
        }
    }

    // MARK: The end of it

    /// Nothing more will be published; what is left goes to those who hold parts of it.
    func retire<B: Backend & ~Copyable>(on loop: Loop<B>) {
        isRetired = true
        waiting = []
        end(ifDone: ())
    }

    /// The socket is gone from this loop.
    func abandon() {
        isRetired = true
        waiting = []
        feeds = []
        holders = []
        end(ifDone: ())
    }

    private func end(ifDone: Void) {
        guard isRetired, feeds.isEmpty, holders.isEmpty else { return }
        stream.pipe.server = nil
        stream.log = nil
        fanout.ended(self)
    }
}
