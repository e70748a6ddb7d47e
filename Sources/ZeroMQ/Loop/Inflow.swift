import Glibc
import Proactor
import ZMTP

/// The receiving half of a session: bytes from the kernel become published messages.
///
/// A quiet connection waits by buffer select: it holds no memory, and what comes is copied out of the lent buffer
/// into a chunk of the pipe, which is given up again at once. One that stays quiet while messages come receives so
/// with one operation for all (multishot). A busy one (it filled a lent buffer) receives straight into its pipe's
/// chunk, behind its partial frame. A large body is received into storage of its own.
final class Inflow {
    enum Mode {
        case quiet, hot, body
    }

    /// A missing rest of a body from here on is received into storage of its own.
    private static let bodyThreshold = 32 << 10
    /// Bodies up to this size get their storage at once; beyond, it grows as bytes arrive.
    private static let trustedBody = 1 << 20
    static let hotMinimum = 16 << 10
    /// After so many small receives in a row one operation serves all that follow: taking it back costs more than
    /// starting a few anew, so a connection that turns busy now and then does without.
    private static let calmBound: UInt8 = 2
    /// At the mark, receiving goes on until so many bytes wait, in search of PINGs. Beyond, TCP holds the peer back,
    /// PINGs and all.
    private static let aheadBound = 64 << 10

    // First what every message needs: with many quiet connections these lines of memory are what one costs.

    private(set) var pipe: Pipe?
    var body: GrowingBody?
    /// Bytes behind the pipe's cursor that are not whole frames yet.
    var filled = 0
    private var mode = Mode.quiet
    private var isReceiving = false
    private var isRecalled = false
    /// The application is behind by the whole mark: what is filled waits.
    private(set) var isPaused = false
    private var isOpen = false
    /// Bytes come without ZMTP: each receive is a message.
    private var isRaw = false
    /// Small receives in a row, up to `calmBound`.
    private var calm: UInt8 = 0
    /// The receive in flight, if it goes on after each completion.
    private var lasting: Token?
    private var decoder: V1Decoder?
    var publishedPosition: UInt64 = 0
    /// Bytes of the chunks before the one that the last publication ends in.
    private var takenAtPublish = 0
    var scanner = MessageScanner()
    private var room = 0
    private var chunkSize = 64 << 10
    /// Bytes of the chunks that a message in assembly lies in.
    var chunkBytes: Int {
        guard let writer = pipe?.writer else { return 0 }
        return writer.pointee.takenBytes - max(takenAtPublish, writer.pointee.goneBytes)
    }
    private var lookahead: Lookahead?
    /// While it waits for memory: what the message in assembly holds meanwhile.
    var hunger: Int?
    /// The connection ended meanwhile: told when what waits has been delivered.
    private var pendingEnd: SocketEvent.Kind?
    /// What came behind a body that waits at the mark, from a receive that could not be called back before: at most
    /// the loop's lent buffers.
    private var held: [UInt8] = []
    /// Traffic of a type that receives nothing (PUSH): partial frames, bounded by the limits.
    var ignored: [UInt8] = []
    /// Of a conflating pipe: how many of the waiting bytes are whole frames that were walked.
    var scanned = 0

    /// The handshake is done.
    func open(_ pipe: Pipe?, _ info: PeerInfo, _ limits: ZMTPLimits) {
        self.pipe = pipe
        scanner = MessageScanner(limits: limits, supportsCommands: info.supportsCommands)
        if info.framing == .v1 { decoder = V1Decoder(limits: limits) }
        isOpen = true
    }

    /// Messages that are lost if the connection ends now: one that is not whole, and those that wait at the mark.
    var unpublished: Int {
        guard isOpen, decoder == nil || !isPaused else { return 0 }
        if let lookahead { return lookahead.messages + (lookahead.isInsideMessage(at: filled) ? 1 : 0) }
        return scanner.isInsideMessage || filled > 0 || body != nil ? 1 : 0
    }

    /// A connection without ZMTP.
    func openRaw(_ pipe: Pipe?) {
        self.pipe = pipe
        isRaw = true
        isOpen = true
    }

    // MARK: Receiving

    /// Starts the next receive, unless the application is behind by the whole mark and enough waits for it.
    func arm<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        guard !isReceiving, !isPaused || looksAhead, !hungers(session, on: loop) else { return }
        isReceiving = true
        if let space = body?.space {
            mode = .body
            loop.backend.receive(session.handle, into: space, untilFull: false)
        } else if mode == .hot, decoder == nil, !isPaused, let pipe {
            let space = pipe.writer.pointee.room(
                behind: filled, minimum: Self.hotMinimum,
                chunk: min(chunkSize, max(Self.hotMinimum, session.core.memory.limit / 16)))
            room = space.count
            loop.backend.receive(session.handle, into: space, untilFull: false)
        } else {
            mode = .quiet
            let lasts = calm >= Self.calmBound && !isPaused
            let token = loop.backend.receive(session.handle, multishot: lasts)
            lasting = lasts ? token : nil
        }
    }

    /// Ends a receive that goes on, where what comes next is to be received otherwise. What it delivers until its
    /// last completion is taken as before.
    private func recall<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        guard let lasting, !isRecalled,
            mode != .quiet || body != nil || isPaused && !looksAhead || isShort(session)
        else { return }
        isRecalled = true
        calm = 0
        loop.backend.cancel(lasting)
    }

    func received<B: Backend & ~Copyable>(
        _ completion: Completion, _ session: Session, on loop: Loop<B>
    ) {
        isReceiving = completion.flags.contains(.more)
        let count = Int(completion.result)
        let isEndOfRecalled = isRecalled && count == -Int(ECANCELED)
        if !isReceiving { (lasting, isRecalled) = (nil, false) }
        if isEndOfRecalled, session.phase != .closing { return goOn(session, on: loop) }
        guard count > 0, session.phase != .closing else {
            if completion.flags.contains(.buffer) { loop.backend.recycle(completion.buffer) }
            if session.phase == .running, isPaused {
                pendingEnd = .disconnected(completion.error)
            } else if session.phase != .closing {
                session.end(.disconnected(completion.error), on: loop)
            }
            return
        }
        session.noteLife()
        do throws(ZMTPError) {
            switch completion.flags.contains(.buffer) ? .quiet : mode {
            case .quiet: try takeLent(completion, count, session, on: loop)
            case .hot: try takeOwn(count, session, on: loop)
            case .body: try takeBody(count, session, on: loop)
            }
        } catch {
            if session.phase != .closing { session.end(.protocolViolation(error), on: loop) }
        }
        goOn(session, on: loop)
    }

    func goOn<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        guard session.phase == .handshaking || session.phase == .running else { return }
        if session.outflow.hasControl { session.outflow.flush(session, on: loop) }
        if isReceiving { recall(session, on: loop) } else { arm(session, on: loop) }
    }

    private func takeLent<B: Backend & ~Copyable>(
        _ completion: Completion, _ count: Int, _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        defer { loop.backend.recycle(completion.buffer) }
        let lent = loop.backend.buffer(completion.buffer)
        var bytes = UnsafeRawBufferPointer(rebasing: lent[..<count])
        if session.phase == .handshaking {
            let used = session.shakeHands(bytes, on: loop)
            bytes = UnsafeRawBufferPointer(rebasing: bytes[used...])
        }
        guard !bytes.isEmpty, isOpen, session.phase != .closing else { return }
        if isRaw { return takeRaw(bytes, on: loop) }
        if decoder != nil {
            var translated: [UInt8] = []
            try decoder!.decode(bytes, into: &translated)
            try translated.withTypedBytes { bytes throws(ZMTPError) in try take(bytes, session, on: loop) }
        } else {
            try take(bytes, session, on: loop)
        }
        calm = count < lent.count / 4 ? min(calm + 1, Self.calmBound) : 0
        if count == lent.count, let pipe, pipe.latest == nil, !isRaw { mode = .hot }
    }

    /// One message of what came. It may be the one that reaches the mark; nothing more is received then.
    private func takeRaw<B: Backend & ~Copyable>(_ bytes: UnsafeRawBufferPointer, on loop: Loop<B>) {
        guard let pipe else { return }
        pipe.writer.pointee.put([], bytes)
        if pipe.writer.pointee.publish(keep: false) { loop.wake(pipe.readerList, pipe.announce(.data)) }
        if !pipe.writer.pointee.hasRoom(), pipe.writer.pointee.waitForRoom() { isPaused = true }
    }

    /// Copies bytes into the pipe's chunk and walks them.
    private func take<B: Backend & ~Copyable>(
        _ received: UnsafeRawBufferPointer, _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        guard let pipe else { return try ignore(received, session, on: loop) }
        if let latest = pipe.latest { return try keepLatest(received, pipe, latest, session, on: loop) }
        var bytes = received
        if let body {
            // From a receive that was not called back in time.
            let part = min(body.missing, bytes.count)
            body.append(UnsafeRawBufferPointer(rebasing: bytes[..<part]))
            bytes = UnsafeRawBufferPointer(rebasing: bytes[part...])
            if body.isComplete, !isPaused { try finishBody(session, on: loop) }
            guard !bytes.isEmpty else { return }
            // The header of a body that waits at the mark must stay the last thing in the chunk.
            if self.body != nil { return held.append(contentsOf: bytes) }
        }
        // Only a decoder brings a large body here: its chunks double, so that it is copied a few times at most.
        let size = filled + bytes.count
        let space = pipe.writer.pointee.room(
            behind: filled, minimum: bytes.count, chunk: isPaused || size > Self.bodyThreshold ? size * 2 : size)
        space.copyMemory(from: bytes)
        filled += bytes.count
        if isPaused { return lookAhead(session, on: loop) }
        try walk(session, on: loop)
        if filled == 0, !scanner.isInsideMessage, !isPaused { pipe.writer.pointee.letGo() }
    }

    private func takeOwn<B: Backend & ~Copyable>(
        _ count: Int, _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        filled += count
        if count == room {
            chunkSize = min(chunkSize * 2, ChunkPool.largest)
        } else if count < Self.hotMinimum / 4 {
            // It has gone quiet: the next wait holds no memory.
            chunkSize = 64 << 10
            mode = .quiet
        }
        try walk(session, on: loop)
        if mode == .quiet, filled == 0, !scanner.isInsideMessage, !isPaused { pipe?.writer.pointee.letGo() }
    }

    // MARK: Walking frames

    /// Publishes the whole messages among the filled bytes, as many as the mark allows.
    private func walk<B: Backend & ~Copyable>(
        _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        guard let pipe else { return }
        let writer = pipe.writer
        while filled > 0 {
            guard writer.pointee.hasRoom() else {
                if writer.pointee.waitForRoom() {
                    pause(session)
                    return lookAhead(session, on: loop)
                }
                continue
            }
            let credit =
                writer.pointee.byteMark == PipeWord.byteBound
                ? writer.pointee.mark - writer.pointee.pendingAtMost : 1
            let start = UnsafeRawPointer(writer.pointee.cursor)
            let scan = try scanner.scan(
                UnsafeRawBufferPointer(start: start, count: filled), from: 0, maxMessages: credit)
            let before = writer.pointee.position
            writer.pointee.accept(bytes: scan.consumed, messages: scan.messages)
            filled -= scan.consumed
            lookahead?.passed(bytes: scan.consumed, messages: scan.messages)
            if let end = scan.messageEnd { publish(pipe, before &+ UInt64(end), on: loop) }
            switch scan.stop {
            case .limit: continue
            case .command(let range, _):
                try session.obey(
                    UnsafeRawBufferPointer(start: start + range.lowerBound, count: range.count), on: loop)
                if filled == 0 { forgetCommands(writer) }
            case .needMore(_, let header):
                lookahead = nil
                forgetCommands(writer)
                // What a decoder yields lies in the chunk to the end: the bytes on the wire are others.
                if decoder == nil, let header,
                    header.bodyCount - (filled - header.headerCount) >= Self.bodyThreshold
                {
                    startBody(header, UnsafeRawPointer(writer.pointee.cursor), session.core.memory)
                }
                return
            }
        }
        lookahead = nil
    }

    private func publish<B: Backend & ~Copyable>(_ pipe: Pipe, _ position: UInt64, on loop: Loop<B>) {
        publishedPosition = position
        takenAtPublish = pipe.writer.pointee.takenBeforeTail
        let owesNews = pipe.writer.pointee.publish(position: position, keep: true)
        pipe.noteRun(first: owesNews ? pipe.writer.pointee.count : nil)
        if owesNews { loop.wake(pipe.readerList, pipe.announce(.data)) }
    }

    /// Commands between messages leave no trace: nobody behind needs them, and heartbeats must not fill chunks. Before
    /// every wait, so that they never lie in more than one chunk; the partial frame behind them moves down.
    private func forgetCommands(_ writer: UnsafeMutablePointer<PipeWriter>) {
        let trace = writer.pointee.position &- publishedPosition
        guard !scanner.isInsideMessage, trace > 0, trace <= UInt64(Int.max) else { return }
        let rest = writer.pointee.cursor
        guard writer.pointee.retract(Int(trace)), filled > 0 else { return }
        writer.pointee.cursor.copyMemory(from: rest, byteCount: filled)
    }

    /// The application has made room.
    func resume<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        guard isPaused, session.phase == .running else { return }
        isPaused = false
        do throws(ZMTPError) {
            if let body, body.isComplete { try finishBody(session, on: loop) }
            if !isPaused { try walk(session, on: loop) }
            if body == nil, !held.isEmpty {
                let bytes = held
                held = []
                try bytes.withTypedBytes { bytes throws(ZMTPError) in try take(bytes, session, on: loop) }
            }
        } catch {
            return session.end(.protocolViolation(error), on: loop)
        }
        if !isPaused, let pendingEnd { return session.end(pendingEnd, on: loop) }
        if !isPaused { session.resumePulse(on: loop) }
        goOn(session, on: loop)
    }

    // MARK: At the mark

    private func pause(_ session: Session) {
        isPaused = true
        session.pausePulse()
    }

    /// Whether receiving goes on at the mark. Commands are of ZMTP 3; a large body has nothing behind it yet.
    private var looksAhead: Bool {
        guard let pipe, decoder == nil, body == nil, pendingEnd == nil else { return false }
        return filled < min(Self.aheadBound, pipe.writer.pointee.byteMark)
    }

    private func lookAhead<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        guard let pipe, decoder == nil else { return }
        var ahead = lookahead ?? Lookahead(scanner)
        filled = ahead.look(
            at: UnsafeMutableRawBufferPointer(start: pipe.writer.pointee.cursor, count: filled),
            answer: { session.answerAhead($0, on: loop) })
        lookahead = ahead
    }

    // MARK: Large bodies

    private func startBody(_ header: FrameHeader, _ start: UnsafeRawPointer, _ budget: MemoryBudget) {
        body = GrowingBody(
            header, trusted: Self.trustedBody,
            having: UnsafeRawBufferPointer(
                start: start + header.headerCount, count: filled - header.headerCount),
            budget: budget)
    }

    private func takeBody<B: Backend & ~Copyable>(
        _ count: Int, _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        guard let body else { return }
        body.filled(count)
        mode = .hot
        if body.isComplete { try finishBody(session, on: loop) }
    }

    /// The body is whole: it joins the chain where it lies.
    private func finishBody<B: Backend & ~Copyable>(
        _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        guard let pipe, let body else { return }
        let header = body.header
        if !header.flags.contains(.command), !header.flags.contains(.more), !pipe.writer.pointee.hasRoom() {
            // A message beyond the mark stays with the session until there is room.
            if pipe.writer.pointee.waitForRoom() { return pause(session) }
        }
        self.body = nil
        let ends = try scanner.acceptBody(flags: header.flags, bodyCount: header.bodyCount)
        filled = 0
        if header.flags.contains(.command) {
            return try session.obey(body.bytes, on: loop)
        }
        let storage = body.takeStorage()
        pipe.writer.pointee.accept(header: header.headerCount, extent: storage.bytes, owner: storage)
        guard ends else { return }
        pipe.writer.pointee.accept(bytes: 0, messages: 1)
        publish(pipe, pipe.writer.pointee.position, on: loop)
    }

    // MARK: The end

    func close() {
        body = nil
        held = []
        ignored = []
        filled = 0
        pipe?.server = nil
        pipe?.writer.pointee.letGo()
        pipe = nil
        isOpen = false
    }
}
