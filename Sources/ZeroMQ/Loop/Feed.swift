import Proactor
import Synchronization
import ZMTP

/// What one subscriber still has to get: where it stands in its stream's log, and before that, what is left of streams
/// that it has left. `Outflow` sends from it.
///
/// The queue consists of legs. The last one is open: it follows the end of the stream that the subscriber belongs to,
/// its home. Those before have an end: the subscriber moved there, or was cut.
///
/// A subscriber meets its mark when it is behind by more messages (or bytes) than the mark allows; messages count from
/// the last byte that the kernel has accepted. What happens then is the socket's policy; a message that is half sent
/// is always finished.
///
/// Owned by the loop.
final class Feed {
    struct Leg {
        let log: StreamLog
        /// What the kernel has accepted.
        var sent: LogPlace
        /// The last boundary of messages that is known to lie before `sent`, and its number.
        var known: LogPlace
        var count: UInt64
        /// Where it ends, and the chunk there; nil while it follows the end of its stream.
        var end: StreamPoint?
        var endSegment: Segment?

        var limit: StreamPoint { end ?? log.end }
        var messages: Int { Int(limit.count &- count) }
        var bytes: Int { Int(limit.position &- known.position) }
    }

    let subscriber: Subscriber
    let core: SocketCore
    /// The connection; nil between two connections of a dialer.
    weak var session: Session?
    private(set) var legs: [Leg] = []
    private(set) var home: StreamLog?
    /// Its place among its home's subscribers.
    var homeIndex = 0
    /// Its queue is full: what its home has got since `gap` is not for it. It goes on at the end of its home when the
    /// queue has been sent.
    private(set) var isCut = false
    private var gap = StreamPoint()
    /// The home's refusals that the books know.
    private var refused = 0
    /// The end of the send that is under way, in the first leg; the messages before it if that is a boundary.
    private var flight: (position: UInt64, count: UInt64?)?
    private var isWaiting = false
    private var isFrozen = false
    private let mark: Int
    private let byteMark: Int

    init(_ subscriber: Subscriber, _ core: SocketCore) {
        self.subscriber = subscriber
        self.core = core
        let options = core.options
        mark = options.sendHighWaterMark == 0 ? PipeWord.countBound : options.sendHighWaterMark
        byteMark = options.sendByteMark == 0 ? PipeWord.byteBound : options.sendByteMark
    }

    // MARK: Sending

    func flush<B: Backend & ~Copyable>(on loop: Loop<B>) {
        if let session { session.outflow.flush(session, on: loop) }
    }

    /// Finds out what to send next.
    /// - Parameter toBoundary: no more than the rest of the message that is half sent: bytes of the session wait.
    /// - Returns: false if there is nothing.
    func prepare<B: Backend & ~Copyable>(toBoundary: Bool, on loop: Loop<B>) -> Bool {
        guard hasBytes(on: loop) else {
            if let home, !isWaiting {
                isWaiting = true
                home.wait(self)
                home.note(on: loop)
            }
            return false
        }
        isWaiting = false
        let leg = legs[0]
        if toBoundary, let end = endOfBegun() {
            flight = (end.position, end.count)
        } else {
            flight = leg.log.stop(after: leg.sent.position, limit: leg.limit)
        }
        return true
    }

    /// Whether the first leg has bytes; legs that are done go.
    private func hasBytes<B: Backend & ~Copyable>(on loop: Loop<B>) -> Bool {
        while let leg = legs.first {
            if leg.sent.position < leg.limit.position { return true }
            guard leg.end != nil else { return false }
            finishFirstLeg()
        }
        if isCut { jump(on: loop) }
        return false
    }

    /// The queue has been sent: goes on at the end of the stream; what came meanwhile is lost.
    private func jump<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard let home else { return }
        isCut = false
        let lost = Int(home.tailCount &- gap.count)
        open(home)
        home.expectMark()
        keepBooks(lost: lost)
        core.lose(lost, .mark, endpoint: session?.text ?? "")
    }

    /// What is to be sent, if it lies in one piece.
    var piece: UnsafeRawBufferPointer? {
        var place = legs[0].sent
        let piece = place.takePiece(to: flight!.position)
        return place.position == flight!.position ? piece : nil
    }

    /// Lists what is to be sent.
    /// - Returns: elements used.
    func gather(into list: UnsafeMutableBufferPointer<SendPart>) -> Int {
        let (elements, bytes) = legs[0].sent.gather(into: list, to: flight!.position)
        let end = legs[0].sent.position &+ UInt64(bytes)
        if end != flight!.position { flight = (end, nil) }
        return elements
    }

    /// What is to be sent, in the form of ZMTP 1.0.
    /// - Returns: bytes of the log that were translated (for `sent`), and what to send.
    func translate() -> (bytes: Int, output: [UInt8]) {
        var output: [UInt8] = []
        var place = legs[0].sent
        let end = legs[0].limit.position
        while output.count < StreamLog.sendLimit, place.position < end {
            let (header, body) = place.frame()
            V1FrameHeader.append(to: &output, more: header.flags.contains(.more), bodyCount: body.count)
            output.append(contentsOf: body)
        }
        flight = (place.position, nil)
        return (Int(place.position &- legs[0].sent.position), output)
    }

    /// The kernel has accepted bytes.
    func sent<B: Backend & ~Copyable>(_ bytes: Int, on loop: Loop<B>) {
        guard let flight else { return }
        self.flight = nil
        legs[0].sent.move(bytes)
        if legs[0].sent.position == flight.position, let count = flight.count {
            let messages = moveKnown(to: legs[0].sent, count)
            keepBooks(sent: messages)
        }
        let log = legs[0].log
        log.note(on: loop)
        if let home, home !== log { home.note(on: loop) }
    }

    /// The send failed, or its session is over: nothing of it is under way any more.
    func stopped() { flight = nil }

    var isAtBoundary: Bool {
        guard let leg = legs.first, leg.sent.position != leg.known.position else { return true }
        settleKnown()
        return legs[0].sent.position == legs[0].known.position
    }

    /// Whether something is left to send, apart from what may still be published.
    var hasWork: Bool { legs.contains { $0.sent.position != $0.limit.position } }

    /// Ends the wait for news of the log, if that is where it waits.
    func endWait(in log: StreamLog) -> Bool {
        guard isWaiting, home === log else { return false }
        isWaiting = false
        return true
    }

    // MARK: Counting

    /// Walks from the last known boundary towards what was sent. Only after the kernel took a part.
    private func settleKnown() {
        var place = legs[0].known
        var count = legs[0].count
        let sent = legs[0].sent.position
        while place.position < sent {
            var next = place
            next.passMessage()
            guard next.position <= sent else { break }
            place = next
            count &+= 1
        }
        guard place.position > legs[0].known.position else { return }
        let messages = moveKnown(to: place, count)
        keepBooks(sent: messages)
    }

    /// The end of the message that is half sent, or of the last one in the send under way; nil if there is none.
    private func endOfBegun() -> (position: UInt64, count: UInt64)? {
        let (place, count) = boundary(at: max(legs[0].sent.position, flight?.position ?? 0))
        return place.position > legs[0].sent.position ? (place.position, count) : nil
    }

    /// The first boundary of the first leg at or behind a position.
    private func boundary(at position: UInt64) -> (LogPlace, UInt64) {
        var place = legs[0].known
        var count = legs[0].count
        while place.position < position {
            place.passMessage()
            count &+= 1
        }
        return (place, count)
    }

    /// - Returns: messages between the last known boundary and this one.
    private func moveKnown(to place: LogPlace, _ count: UInt64) -> Int {
        let messages = Int(count &- legs[0].count)
        let (from, log) = (legs[0].known.segment, legs[0].log)
        let isOpen = legs[0].end == nil
        legs[0].known = place
        legs[0].count = count
        guard from != place.segment else { return messages }
        if isOpen {
            from.pointee.cursors -= 1
            place.segment.pointee.cursors += 1
            log.release()
        } else {
            letGo(log, from: from, to: place.segment, included: false)
        }
        return messages
    }

    private func keepBooks(sent: Int = 0, lost: Int = 0) {
        var (held, heldBytes) = (0, 0)
        var from = gap
        for leg in legs {
            if leg.end == nil {
                from = StreamPoint(position: leg.known.position, count: leg.count)
            } else {
                held += leg.messages
                heldBytes += leg.bytes
            }
        }
        subscriber.account.withLock { account in
            account.sent += sent
            account.lost += lost
            account.held = held
            account.heldBytes = heldBytes
            account.from = from
            account.isCut = isCut
            account.refused = refused
            if account.home !== home?.stream { account.home = home?.stream }
        }
    }

    // MARK: Legs

    /// Follows the end of a log from where it is.
    private func open(_ log: StreamLog) {
        log.tail.segment.pointee.cursors += 1
        legs.append(Leg(log: log, sent: log.tail, known: log.tail, count: log.tailCount))
    }

    /// Gives the last leg, which is open, an end.
    private func close(at place: LogPlace, _ count: UInt64) {
        let last = legs.count - 1
        let leg = legs[last]
        leg.known.segment.pointee.cursors -= 1
        if leg.known.position == place.position {
            legs.removeLast()
        } else {
            legs[last].end = StreamPoint(position: place.position, count: count)
            legs[last].endSegment = place.segment
            hold(from: leg.known.segment, to: place.segment)
            leg.log.addHolder(self)
        }
        leg.log.release()
    }

    private func finishFirstLeg() {
        let leg = legs[0]
        let messages = leg.messages
        legs.removeFirst()
        letGo(leg.log, from: leg.known.segment, to: leg.endSegment!, included: true)
        leg.log.removeHolder(self)
        keepBooks(sent: messages)
    }

    private func hold(from first: Segment, to last: Segment) {
        var segment = first
        while true {
            segment.pointee.holds += 1
            if segment == last { return }
            segment = segment.following.unsafelyUnwrapped
        }
    }

    private func letGo(_ log: StreamLog, from first: Segment, to last: Segment, included: Bool) {
        var segment = first
        while segment != last {
            let next = segment.following.unsafelyUnwrapped
            log.letGo(of: segment)
            segment = next
        }
        if included { log.letGo(of: last) }
    }

    // MARK: Streams

    /// Leaves its home at a point.
    func leave(_ leave: StreamOrder.Leave) {
        guard let home, !isFrozen else { return }
        home.advance(to: leave.point)
        var lost = leave.refused - refused
        if isCut { lost += Int(leave.point.count &- gap.count) } else { close(at: home.tail, home.tailCount) }
        home.remove(self)
        self.home = nil
        keepBooks(lost: lost)
        if isCut { core.lose(Int(leave.point.count &- gap.count), .mark, endpoint: session?.text ?? "") }
    }

    /// Belongs to a stream from a point on.
    func join(_ log: StreamLog, _ join: StreamOrder.Join) {
        guard home == nil, !isFrozen else { return }
        log.advance(to: join.point)
        home = log
        refused = join.refused
        if isCut { gap = join.point } else { open(log) }
        log.add(self)
        keepBooks()
    }

    /// Takes nothing more: what is published by now is the end.
    func freeze<B: Backend & ~Copyable>(on loop: Loop<B>) {
        home?.look(on: loop)
        guard let home, !isFrozen else { return isFrozen = true }
        leave(StreamOrder.Leave(point: home.end, refused: home.stream.refused.load(ordering: .relaxed)))
        isCut = false
        isFrozen = true
        home.note(on: loop)
    }

    /// A connection has come.
    func attach<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        self.session = session
        subscriber.feed = self
        home?.note(on: loop)
    }

    /// A message that stands before all others, for this subscriber alone.
    func begin<B: Backend & ~Copyable>(with message: Message, pool: ChunkPool, on loop: Loop<B>) {
        let stream = Stream(
            mark: 0, byteMark: 0, pool: pool, readerList: loop.door.list, writerList: loop.door.list)
        let log = StreamLog(stream, subscriber.fanout!)
        open(log)
        stream.pipe.put(message, from: 0)
        _ = stream.pipe.writer.pointee.publish(keep: true)
        log.advance(to: stream.end)
        close(at: log.tail, log.tailCount)
        log.retire(on: loop)
        keepBooks()
    }

    /// The connection is gone and another one will come: a half-sent message will go again, whole.
    func detach() {
        flight = nil
        session = nil
        isWaiting = false
        guard !legs.isEmpty else { return }
        settleKnown()
        legs[0].sent = legs[0].known
    }

    /// The end.
    /// - Returns: messages that were queued.
    func end<B: Backend & ~Copyable>(on loop: Loop<B>) -> Int {
        flight = nil
        if !legs.isEmpty { settleKnown() }
        let last = home
        freeze(on: loop)
        let lost = legs.reduce(0) { $0 + $1.messages }
        for leg in legs {
            letGo(leg.log, from: leg.known.segment, to: leg.endSegment!, included: true)
            leg.log.removeHolder(self)
        }
        legs = []
        session = nil
        keepBooks(lost: lost)
        last?.note(on: loop)
        return lost
    }

    // MARK: The mark

    private var lag: (messages: Int, bytes: Int) {
        if legs.count == 1 { return (legs[0].messages, legs[0].bytes) }
        return legs.reduce((0, 0)) { ($0.0 + $1.messages, $0.1 + $1.bytes) }
    }

    var isOver: Bool {
        let lag = lag
        return lag.messages > mark || lag.bytes > byteMark && lag.messages > 1
    }

    /// Messages that may come before it can be over its mark.
    var slack: Int { byteMark == PipeWord.byteBound ? max(0, mark - lag.messages) : 0 }

    /// Where the slowest stands: the earlier of a point and its own place in a log.
    func behind(_ point: StreamPoint, in log: StreamLog) -> StreamPoint {
        guard let leg = legs.first(where: { $0.log === log }), leg.count < point.count else { return point }
        return StreamPoint(position: leg.known.position, count: leg.count)
    }

    func meetMark<B: Backend & ~Copyable>(on loop: Loop<B>) {
        settleKnown()
        guard isOver else { return }
        switch core.options.slowSubscribers {
        case .wait: break
        case .dropNewest: cut()
        case .dropOldest: skip()
        case .disconnect:
            guard let session else { return cut() }
            session.end(.peerRefused("it is behind by more than its mark"), on: loop)
        }
    }

    /// The queue ends at the mark; what comes behind is lost until it has been sent.
    private func cut() {
        let open = legs[legs.count - 1]
        let before = legs.dropLast().reduce((messages: 0, bytes: 0)) {
            ($0.messages + $1.messages, $0.bytes + $1.bytes)
        }
        // What has begun is part of the queue, whatever the marks say.
        let begun = legs.count == 1 ? max(open.sent.position, flight?.position ?? 0) : open.known.position
        var place = open.known
        var count = open.count
        while place.position < open.log.tail.position {
            var next = place
            next.passMessage()
            let messages = before.messages + Int(count &+ 1 &- open.count)
            let bytes = before.bytes + Int(next.position &- open.known.position)
            guard place.position < begun || messages <= mark && (bytes <= byteMark || messages == 1) else { break }
            place = next
            count &+= 1
        }
        close(at: place, count)
        isCut = true
        gap = StreamPoint(position: place.position, count: count)
        keepBooks()
    }

    /// The oldest messages go, as many as are beyond the mark; those that have begun stay.
    private func skip() {
        let begun = max(legs[0].sent.position, flight?.position ?? 0)
        var first = 0
        if begun > legs[0].known.position {
            let (place, count) = boundary(at: begun)
            if place.position < legs[0].limit.position { splitFirst(at: place, count) }
            first = 1
        }
        var lost = 0
        while isOver, first < legs.count {
            let excess = max(1, lag.messages - mark)
            if legs[first].end != nil, legs[first].messages <= excess {
                lost += legs[first].messages
                dropLeg(first)
            } else {
                lost += advanceStart(first, by: excess)
            }
        }
        keepBooks(lost: lost)
        core.lose(lost, .mark, endpoint: session?.text ?? "")
    }

    /// Makes two legs of the first one.
    private func splitFirst(at place: LogPlace, _ count: UInt64) {
        let whole = legs[0]
        var rest = whole
        (rest.sent, rest.known, rest.count) = (place, place, count)
        legs.insert(rest, at: 1)
        if whole.end != nil {
            hold(from: place.segment, to: whole.endSegment!)
            var next = place.segment
            while next != whole.endSegment! {
                next = next.following.unsafelyUnwrapped
                whole.log.letGo(of: next)
            }
        } else {
            place.segment.pointee.cursors += 1
            whole.known.segment.pointee.cursors -= 1
            hold(from: whole.known.segment, to: place.segment)
        }
        whole.log.addHolder(self)
        legs[0].end = StreamPoint(position: place.position, count: count)
        legs[0].endSegment = place.segment
        whole.log.release()
    }

    private func dropLeg(_ index: Int) {
        let leg = legs.remove(at: index)
        letGo(leg.log, from: leg.known.segment, to: leg.endSegment!, included: true)
        leg.log.removeHolder(self)
    }

    /// Moves a leg's start, which has not been sent from.
    private func advanceStart(_ index: Int, by messages: Int) -> Int {
        let leg = legs[index]
        var place = leg.known
        var count = 0
        while count < messages, place.position < leg.limit.position {
            place.passMessage()
            count += 1
        }
        legs[index].known = place
        legs[index].sent = place
        legs[index].count &+= UInt64(count)
        guard leg.known.segment != place.segment else { return count }
        if leg.end == nil {
            leg.known.segment.pointee.cursors -= 1
            place.segment.pointee.cursors += 1
            leg.log.release()
        } else {
            letGo(leg.log, from: leg.known.segment, to: place.segment, included: false)
        }
        return count
    }
}
