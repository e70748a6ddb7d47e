import Proactor
import ZMTP

/// The sending half of a session: control bytes of its own, then the pipe's bytes as they lie.
///
/// A send starts as soon as the connection is free and takes all that is there; what arrives meanwhile goes out
/// together with the next. That is all the batching there is.
final class Outflow {
    /// One send takes at most this much.
    private static let sendLimit = 1 << 20
    /// Control bytes that may wait; answers beyond it are not given.
    static let controlBound = 4096

    private(set) var pipe: Pipe?
    /// What a publisher's session sends from instead.
    var feed: Feed?
    /// Bytes of the session itself: handshake, PONG. They go at a message boundary, before the pipe's.
    var control: [UInt8] = []
    /// Whether the consuming side of the pipe is ours now.
    var isConsumer = false
    private var isSending = false
    private var isControl = false
    /// Memory of a control send or of a translated one; owned until its completion.
    private var own: UnsafeMutableRawBufferPointer?
    /// The parts of a send that gathers; owned until its completion.
    private var parts: UnsafeMutableBufferPointer<SendPart>?
    private var framing = PeerInfo.Framing.v2
    private var translated = 0
    /// Whether callers may send on the connection while the consuming side is theirs: then the loop touches it only
    /// while it has that side.
    private(set) var isShared = false
    private var isRaw = false

    var hasControl: Bool { !control.isEmpty }
    /// Whether something is in flight or waits to be sent. What is published counts even if its news has not come:
    /// an order may overtake the news of a pipe, since orders have one node in the list for all of them.
    var hasWork: Bool { isSending || isConsumer || hasControl || pipe?.isEmpty == false || feed?.hasWork ?? false }

    func open(_ pipe: Pipe?, framing: PeerInfo.Framing, isRaw: Bool = false) {
        self.pipe = pipe
        self.framing = framing
        self.isRaw = isRaw
    }

    // MARK: Sending

    /// Sends what there is, if the connection is free.
    /// - Parameter arrives: the pipe has just come, with its first bytes after it was empty.
    func flush<B: Backend & ~Copyable>(_ session: Session, arrives: Bool = false, on loop: Loop<B>) {
        guard !isSending, session.phase != .closing else { return }
        if hasControl {
            guard ownsConnection() else { return }
            let isAtBoundary = feed.map(\.isAtBoundary) ?? (!isConsumer || pipe!.reader.pointee.isAtBoundary)
            if isAtBoundary { return sendControl(session, on: loop) }
        }
        guard session.phase != .handshaking else { return }
        if let feed { return sendFeed(feed, session, on: loop) }
        guard let pipe else { return }
        if let message = pipe.latest?.take() {
            control = message.encoded(framing)
            return sendControl(session, on: loop)
        }
        share(pipe, session, on: loop)
        guard isConsumer else { return }
        let reader = pipe.reader
        while reader.pointee.look() == 0 {
            if reader.pointee.rest() {
                isConsumer = false
                if session.phase == .finishing { session.drained(on: loop) }
                return
            }
        }
        pipe.noteRun(first: arrives ? reader.pointee.count &+ UInt64(reader.pointee.remaining) : nil)
        if isRaw { return sendRaw(pipe, session, on: loop) }
        if framing == .v1 { return sendTranslated(pipe, session, on: loop) }
        let (elements, _) = reader.pointee.gather(into: loop.parts, limit: Self.sendLimit)
        send(loop.parts[..<elements], session, on: loop)
    }

    /// Most sends are of one piece, so a connection holds a list only while it gathers several.
    private func send<B: Backend & ~Copyable>(
        _ found: Slice<UnsafeMutableBufferPointer<SendPart>>, _ session: Session, on loop: Loop<B>
    ) {
        isSending = true
        isControl = false
        if found.count == 1 {
            let bytes = UnsafeRawBufferPointer(start: found[0].start, count: found[0].count)
            loop.backend.send(session.handle, bytes, toCompletion: false)
        } else {
            let list = UnsafeMutableBufferPointer<SendPart>.allocate(capacity: found.count)
            _ = list.initialize(fromContentsOf: found)
            parts = list
            loop.backend.send(session.handle, gather: list, toCompletion: false)
        }
    }

    func sent<B: Backend & ~Copyable>(_ completion: Completion, _ session: Session, on loop: Loop<B>) {
        isSending = false
        freeMemory()
        let bytes = Int(completion.result)
        if bytes >= 0, !isControl, let pipe {
            let taken = translated > 0 ? translated : bytes
            if pipe.reader.pointee.advance(taken) { loop.wake(pipe.writerList, pipe.notifyWriter(.room)) }
        }
        if let feed, !isControl {
            if bytes >= 0 { feed.sent(translated > 0 ? translated : bytes, on: loop) } else { feed.stopped() }
        }
        translated = 0
        guard session.phase != .closing else { return }
        if bytes < 0 { return session.end(.disconnected(completion.error), on: loop) }
        if isControl, session.phase == .finishing, !hasWork { return session.drained(on: loop) }
        flush(session, on: loop)
    }

    /// Sends what a subscriber has next, from the log that it shares with others.
    private func sendFeed<B: Backend & ~Copyable>(_ feed: Feed, _ session: Session, on loop: Loop<B>) {
        guard feed.prepare(toBoundary: hasControl, on: loop) else {
            if session.phase == .finishing { session.drained(on: loop) }
            return
        }
        if framing == .v1 {
            let (bytes, output) = feed.translate()
            return sendOwn(bytes, output, session, on: loop)
        }
        guard let piece = feed.piece else {
            return send(loop.parts[..<feed.gather(into: loop.parts)], session, on: loop)
        }
        isSending = true
        isControl = false
        loop.backend.send(session.handle, piece, toCompletion: false)
    }

    // MARK: Callers that send

    /// Once the session's own first bytes are out, callers may send too, if the bytes go as they lie in the pipe.
    private func share<B: Backend & ~Copyable>(_ pipe: Pipe, _ session: Session, on loop: Loop<B>) {
        guard !isShared, !isRaw, pipe.latest == nil, framing != .v1, session.phase == .running else { return }
        // If it is on its way here it comes with news, and this comes again.
        if !isConsumer { isConsumer = pipe.reader.pointee.seize() }
        guard isConsumer else { return }
        pipe.reader.pointee.descriptor = loop.backend.descriptor(of: session.handle)
        isShared = true
    }

    /// Whether nobody else can be sending on the connection. If a caller may be, it hands the pipe over when it has
    /// done so: that is news of the pipe.
    func ownsConnection() -> Bool {
        if isConsumer || !isShared { return true }
        isConsumer = pipe!.reader.pointee.demand()
        return isConsumer
    }

    private func sendControl<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: control.count, alignment: 1)
        memory.copyBytes(from: control)
        own = memory
        control = []
        isSending = true
        isControl = true
        loop.backend.send(session.handle, UnsafeRawBufferPointer(memory), toCompletion: true)
    }

    private func freeMemory() {
        own?.deallocate()
        own = nil
        parts?.deallocate()
        parts = nil
    }

    // MARK: ZMTP 1.0

    /// Writes whole frames in the old form into memory of our own and sends that to completion.
    private func sendTranslated<B: Backend & ~Copyable>(
        _ pipe: Pipe, _ session: Session, on loop: Loop<B>
    ) {
        let (bytes, output) = pipe.reader.pointee.translate(limit: Self.sendLimit)
        sendOwn(bytes, output, session, on: loop)
    }

    /// Sends bodies without their headers; an empty one is the order to close (zmq_socket(3), ZMQ_STREAM).
    private func sendRaw<B: Backend & ~Copyable>(_ pipe: Pipe, _ session: Session, on loop: Loop<B>) {
        let (bytes, output, isEnd) = pipe.reader.pointee.bodies(limit: Self.sendLimit)
        guard isEnd else { return sendOwn(bytes, output, session, on: loop) }
        if pipe.reader.pointee.advance(bytes) { loop.wake(pipe.writerList, pipe.notifyWriter(.room)) }
        session.endAsOrdered(on: loop)
    }

    /// Sends translated bytes to completion.
    private func sendOwn<B: Backend & ~Copyable>(
        _ bytes: Int, _ output: [UInt8], _ session: Session, on loop: Loop<B>
    ) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: output.count, alignment: 1)
        memory.copyBytes(from: output)
        own = memory
        translated = bytes
        isSending = true
        isControl = false
        loop.backend.send(session.handle, UnsafeRawBufferPointer(memory), toCompletion: true)
    }

    // MARK: The end

    func close() {
        freeMemory()
        control = []
        pipe = nil
        feed = nil
        isConsumer = false
        isShared = false
    }
}
