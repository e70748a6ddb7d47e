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
    var legs: [Leg] = []
    var home: StreamLog?
    /// Its place among its home's subscribers.
    var homeIndex = 0
    /// Its queue is full: what its home has got since `gap` is not for it. It goes on at the end of its home when the
    /// queue has been sent.
    var isCut = false
    var gap = StreamPoint()
    /// The home's refusals that the books know.
    var refused = 0
    /// The end of the send that is under way, in the first leg; the messages before it if that is a boundary.
    var flight: (position: UInt64, count: UInt64?)?
    var isWaiting = false
    var isFrozen = false
    let mark: Int
    let byteMark: Int

    init(_ subscriber: Subscriber, _ core: SocketCore) {
        self.subscriber = subscriber
        self.core = core
        let options = core.options
        let wanted = options.isConflating ? 1 : options.sendHighWaterMark
        mark = wanted == 0 ? PipeWord.countBound : wanted
        byteMark = options.sendByteMark == 0 || options.isConflating ? PipeWord.byteBound : options.sendByteMark
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
    func settleKnown() {
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
    func boundary(at position: UInt64) -> (LogPlace, UInt64) {
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
            from.marks.pointee.cursors -= 1
            place.segment.marks.pointee.cursors += 1
            log.release()
        } else {
            letGo(log, from: from, to: place.segment, included: false)
        }
        return messages
    }

    func keepBooks(sent: Int = 0, lost: Int = 0) {
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
}
