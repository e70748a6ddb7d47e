import Proactor
import Synchronization
import ZMTP

/// The consuming side of a pipe: a cursor in the chain, and the credit it gives back.
///
/// Two kinds of consumers: a loop gathers bytes and sends them (`gather`, `advance`), an application takes frames
/// (`next`, `finish`). Owned by whoever cleared `idle`; it goes back with `rest`.
struct PipeReader: ~Copyable {
    private let words: UnsafeMutablePointer<PipeWords>
    private let pool: ChunkPool
    private let mark: UInt64
    /// Credits of an application go back in lots of this many messages: half the mark, rounded up.
    let quantum: UInt64

    private var head: Segment?
    private var offset = 0
    private var serial: UInt64 = 0
    /// Bytes and messages consumed, wide.
    private(set) var position: UInt64 = 0
    private(set) var count: UInt64 = 0
    /// What was published when the data word was last read.
    private var published = PipeWord(rawValue: 0)
    /// Credited so far, wide.
    private(set) var creditedCount: UInt64 = 0
    private(set) var creditedPosition: UInt64 = 0

    // The last message boundary known to have been sent whole. Only a loop is ever beyond it: its chunks stay until
    // the last byte of a message went, since a half-sent message is sent again on the next connection.
    private var boundary: Segment?
    private var boundaryOffset = 0
    private var boundaryPosition: UInt64 = 0

    /// The connection on which whoever owns this side may send; -1 where only the loop does. Set by the loop while it
    /// owns the side, and taken back before the descriptor is closed.
    var descriptor: Int32 = -1

    init(
        words: UnsafeMutablePointer<PipeWords>, pool: ChunkPool, mark: Int,
        startingAt start: (position: UInt64, count: UInt64)
    ) {
        (position, count) = start
        (creditedPosition, creditedCount) = start
        boundaryPosition = start.position
        published = PipeWord(position: start.position, count: start.count)
        self.words = words
        self.pool = pool
        self.mark = UInt64(mark)
        quantum = UInt64((mark + 1) / 2)
    }

    /// Looks at what is published. After the side was taken over from `idle` this also finds the first chunk.
    /// - Returns: bytes that are published and not consumed.
    mutating func look() -> Int {
        published = PipeWord(rawValue: words.pointee.data.load(ordering: .acquiring))
        let available = Int((published.position &- position) & PipeWord.positionMask)
        if available > 0, serial != PipeWords.first(of: words).pointee.serial {
            serial = PipeWords.first(of: words).pointee.serial
            head = PipeWords.first(of: words).pointee.segment
            offset = 0
            boundary = head
            boundaryOffset = 0
        }
        return available
    }

    /// Messages that are published and not consumed, as of the last look.
    var remaining: Int { Int((published.count &- count) & PipeWord.countMask) }

    /// Goes to rest after the last look found nothing more; the chunk goes back unless the writer holds it.
    /// - Returns: false if something came: look again.
    mutating func rest() -> Bool {
        let isBusy = published.has(PipeWord.busy)
        let isBare = published.has(PipeWord.bare)
        let frees = !isBusy && !isBare
        // A writer that lets go of a resting pipe frees the chain, so it must know where the chain begins by now.
        if isBusy, !isBare { PipeWords.first(of: words).pointee.segment = head }
        let resting =
            published.rawValue & ~PipeWord.wanted | PipeWord.idle | (frees ? PipeWord.bare : 0)
        // Once the exchange succeeds the side, and these fields with it, may be another thread's.
        let (chain, last) = (head, boundary)
        if frees { (head, boundary) = (nil, nil) }
        let (exchanged, _) = words.pointee.data.compareExchange(
            expected: published.rawValue, desired: resting, ordering: .acquiringAndReleasing)
        guard exchanged else {
            (head, boundary) = (chain, last)
            return false
        }
        // All of it: behind what was published there may be parts of a message that never ended.
        if frees { pool.give(chain: chain) }
        return true
    }

    /// Whether the loop asked for the side, as of the last look.
    var isWanted: Bool { published.has(PipeWord.wanted) }

    /// Takes the consuming side if nobody has it (a connection or a socket ends).
    func seize() -> Bool {
        var seen = words.pointee.data.load(ordering: .acquiring)
        while seen & PipeWord.idle != 0 {
            let (exchanged, current) = words.pointee.data.compareExchange(
                expected: seen, desired: seen & ~PipeWord.idle, ordering: .acquiringAndReleasing)
            if exchanged { return true }
            seen = current
        }
        return false
    }

    /// Takes the consuming side if nobody has it, or asks whoever has it to hand it over through the ready list. By
    /// the loop, which does not have it.
    /// - Returns: whether it is the loop's now.
    func demand() -> Bool {
        var seen = words.pointee.data.load(ordering: .acquiring)
        while true {
            let isIdle = seen & PipeWord.idle != 0
            let (exchanged, current) = words.pointee.data.compareExchange(
                expected: seen, desired: isIdle ? seen & ~PipeWord.idle : seen | PipeWord.wanted,
                ordering: .acquiringAndReleasing)
            if exchanged { return isIdle }
            seen = current
        }
    }

    /// Gives credit for everything consumed.
    /// - Returns: true if the writer waits and half the mark is free: the caller owes it a wake.
    mutating func credit() -> Bool {
        credit(count: count, position: position)
    }

    /// Gives credit up to a boundary.
    mutating func credit(count: UInt64, position: UInt64) -> Bool {
        creditedCount = count
        creditedPosition = position
        words.pointee.passedCount.store(count, ordering: .relaxed)
        words.pointee.passedPosition.store(position, ordering: .relaxed)
        var seen = words.pointee.room.load(ordering: .acquiring)
        while true {
            let isWaiting = seen & PipeWord.waiting != 0
            var isOwed = false
            if isWaiting {
                // The waiter published before it waited, so this is what it judged, or more.
                let data = PipeWord(rawValue: words.pointee.data.load(ordering: .acquiring))
                isOwed = (data.count &- count) & PipeWord.countMask <= mark / 2
            }
            let word = PipeWord(
                position: position, count: count, flags: isWaiting && !isOwed ? PipeWord.waiting : 0)
            let (exchanged, current) = words.pointee.room.compareExchange(
                expected: seen, desired: word.rawValue, ordering: .acquiringAndReleasing)
            if exchanged { return isOwed }
            seen = current
        }
    }

    /// Frees the whole chain; for the pipe's end, when both sides are gone.
    mutating func discard() {
        let data = words.pointee.data.load(ordering: .acquiring)
        guard data & PipeWord.bare == 0 else { return }
        _ = look()
        var segment = boundary ?? head
        if segment == nil || serial != PipeWords.first(of: words).pointee.serial {
            segment = PipeWords.first(of: words).pointee.segment
        }
        pool.give(chain: segment)
        head = nil
        boundary = nil
    }
}

// MARK: - Taking frames (the application's consuming side)

/// A frame where it lies in the chain: valid until the next one is taken.
struct LentFrame {
    let flags: FrameFlags
    let body: UnsafeRawBufferPointer
    /// Keeps the body alive beyond the take, where it has storage of its own.
    let owner: Unmanaged<SharedBytes>?

    var hasMore: Bool { flags.contains(.more) }
}

extension PipeReader {
    /// Takes the next frame of a message; commands are skipped. Call only while `remaining` is not 0, to each
    /// message's end.
    @inline(__always)
    mutating func next() -> LentFrame {
        while true {
            let current = head.unsafelyUnwrapped
            // `end` is final once the writer has gone on.
            if let next = current.following, offset >= current.pointee.end {
                advanceSegment(to: next)
                continue
            }
            let start = current.pointee.base + offset
            let header = FrameHeader.parse(start, available: .max).unsafelyUnwrapped
            let total = header.headerCount + header.bodyCount
            position &+= UInt64(truncatingIfNeeded: total)
            if header.bodyCount >= PipeWriter.extentThreshold,
                let frame = takeExtent(header)
            {
                return frame
            }
            offset += total
            if header.flags.contains(.command) { continue }
            return LentFrame(
                flags: header.flags,
                body: UnsafeRawBufferPointer(start: start + header.headerCount, count: header.bodyCount), owner: nil
            )
        }
    }

    /// A walk over what comes next, which leaves it where it is. Call only while `remaining` is not 0, and go no
    /// further than the next message's end.
    var ahead: ChainWalk { ChainWalk(segment: head, offset: offset, position: position) }

    /// The body of the next message's first frame, which stays where it is. Call only while `remaining` is not 0.
    func peek() -> UnsafeRawBufferPointer {
        var walk = ahead
        return walk.nextFrame().body
    }

    /// Settles one message after its last frame was taken.
    /// - Returns: true if a lot of credit is due (`credit`).
    @inline(__always)
    mutating func finish() -> Bool {
        count &+= 1
        return count &- creditedCount >= quantum
    }

    /// A body that follows its header as a segment of its own.
    @inline(never)
    private mutating func takeExtent(_ header: FrameHeader) -> LentFrame? {
        guard let current = head, let next = current.following,
            offset + header.headerCount == current.pointee.end, let owner = next.pointee.owner
        else { return nil }
        advanceSegment(to: next)
        offset = header.bodyCount
        return LentFrame(
            flags: header.flags, body: UnsafeRawBufferPointer(start: next.pointee.base, count: header.bodyCount),
            owner: Unmanaged.passUnretained(owner))
    }

    private mutating func advanceSegment(to next: Segment) {
        if let head { pool.give(head) }
        head = next
        offset = 0
        boundary = next
        boundaryOffset = 0
    }
}

// MARK: - Sending bytes (the loop's consuming side)

extension PipeReader {
    /// Fills a gather list from the cursor on.
    /// - Returns: elements used and bytes covered, at most `limit` of them (but always one element).
    mutating func gather(
        into list: UnsafeMutableBufferPointer<SendPart>, limit: Int
    ) -> (elements: Int, bytes: Int) {
        var available = Int((published.position &- position) & PipeWord.positionMask)
        var (elements, bytes) = (0, 0)
        var segment = head
        var start = offset
        while let piece = segment, available > 0, elements < list.count, bytes < limit {
            let following = piece.following
            let length = min(following == nil ? available : piece.pointee.end - start, available, limit - bytes)
            if length > 0 {
                list[elements] = SendPart(start: piece.pointee.base + start, count: length)
                elements += 1
                bytes += length
                available -= length
            }
            segment = following
            start = 0
        }
        return (elements, bytes)
    }

    /// The next `count` bytes, if they lie in one piece.
    func piece(of count: Int) -> UnsafeRawBufferPointer? {
        var (segment, start) = (head, offset)
        while let piece = segment, let next = piece.following, start >= piece.pointee.end {
            start -= piece.pointee.end
            segment = next
        }
        guard let piece = segment, piece.following == nil || piece.pointee.end - start >= count else { return nil }
        return UnsafeRawBufferPointer(start: piece.pointee.base + start, count: count)
    }

    /// Moves on by what the kernel has accepted, and settles the messages whose last byte went.
    /// - Returns: true if the writer must be woken.
    mutating func advance(_ bytes: Int) -> Bool {
        var left = bytes
        position &+= UInt64(bytes)
        while let piece = head {
            let following = piece.following
            let rest = (following == nil ? Int.max : piece.pointee.end) - offset
            if left < rest || following == nil {
                offset += left
                break
            }
            left -= rest
            head = following
            offset = 0
        }
        if position & PipeWord.positionMask == published.position {
            settleAll()
        } else {
            settleWhole()
        }
        guard count != creditedCount else { return false }
        return credit(count: count, position: boundaryPosition)
    }

    /// Whether the cursor stands between two messages.
    var isAtBoundary: Bool { position == boundaryPosition }

    /// Goes back to the last boundary: a half-sent message is sent again, whole, on the next connection.
    mutating func rewind() {
        head = boundary
        offset = boundaryOffset
        position = boundaryPosition
    }

    /// Everything that was published has gone: position and count are one snapshot.
    private mutating func settleAll() {
        count &+= (published.count &- count) & PipeWord.countMask
        moveBoundary(to: head, offset, position)
    }

    /// Walks the headers from the boundary to the cursor. Only after a partial send.
    private mutating func settleWhole() {
        var walk = ChainWalk(segment: boundary, offset: boundaryOffset, position: boundaryPosition)
        var whole = walk
        var messages: UInt64 = 0
        while let ends = walk.step(limit: position) {
            guard ends else { continue }
            messages &+= 1
            whole = walk
        }
        guard messages > 0 else { return }
        count &+= messages
        moveBoundary(to: whole.segment, whole.offset, whole.position)
    }

    private mutating func moveBoundary(to segment: Segment?, _ newOffset: Int, _ newPosition: UInt64) {
        while let piece = boundary, piece != segment {
            boundary = piece.following
            pool.give(piece)
        }
        boundary = segment
        boundaryOffset = newOffset
        boundaryPosition = newPosition
    }

    /// Messages whose last byte has not gone.
    mutating func unsent() -> Int {
        _ = look()
        return remaining
    }

    /// Passes over everything published, for a pipe that nobody will consume any more; its chunks but the last go back.
    /// - Returns: the messages passed over, and whether the writer must be woken.
    mutating func skip() -> (messages: Int, owesWake: Bool) {
        _ = look()
        let lost = remaining
        let owesWake = advance(Int((published.position &- position) & PipeWord.positionMask))
        return (lost, owesWake)
    }
}

// MARK: - Logs (a loop that sends the same bytes to many)

extension PipeReader {
    /// Looks at what is published, and leaves the cursor where it is.
    mutating func lookAhead() -> StreamPoint {
        _ = look()
        return StreamPoint(
            position: position &+ ((published.position &- position) & PipeWord.positionMask),
            count: count &+ ((published.count &- count) & PipeWord.countMask))
    }

    /// Moves the cursor to a boundary. The bytes before it stay in the chain, which `StreamLog` frees.
    mutating func pass(to point: StreamPoint) {
        position = point.position
        count = point.count
    }

    /// The chain begins here from now on: what lies before is no longer the pipe's.
    mutating func keep(from segment: Segment) {
        serial = PipeWords.first(of: words).pointee.serial
        head = segment
        boundary = segment
    }
}

// MARK: - ZMTP 1.0

extension PipeReader {
    /// The whole frames from the cursor on, in the form of ZMTP 1.0, about `limit` bytes of them but at least one.
    /// - Returns: bytes of the chain that were translated (for `advance`), and what to send.
    func translate(limit: Int) -> (bytes: Int, output: [UInt8]) {
        var output: [UInt8] = []
        var bytes = 0
        var walk = ChainWalk(segment: head, offset: offset, position: position)
        let end = position &+ ((published.position &- position) & PipeWord.positionMask)
        while output.count < limit, let frame = walk.frame(limit: end) {
            V1FrameHeader.append(
                to: &output, more: frame.header.flags.contains(.more), bodyCount: frame.header.bodyCount)
            output.append(contentsOf: frame.body)
            bytes += frame.header.headerCount + frame.header.bodyCount
        }
        return (bytes, output)
    }
}

// MARK: - Raw connections

extension PipeReader {
    /// The bodies of the frames from the cursor on, about `limit` bytes of them but at least one. Stops before an empty
    /// frame; one that stands at the cursor is the end.
    /// - Returns: bytes of the chain that were gone over (for `advance`), and what to send.
    func bodies(limit: Int) -> (bytes: Int, output: [UInt8], isEnd: Bool) {
        var output: [UInt8] = []
        var bytes = 0
        var walk = ChainWalk(segment: head, offset: offset, position: position)
        let end = position &+ ((published.position &- position) & PipeWord.positionMask)
        while output.count < limit, let frame = walk.frame(limit: end) {
            if frame.body.isEmpty {
                return output.isEmpty ? (frame.header.headerCount, [], true) : (bytes, output, false)
            }
            output.append(contentsOf: frame.body)
            bytes += frame.header.headerCount + frame.header.bodyCount
        }
        return (bytes, output, false)
    }
}
