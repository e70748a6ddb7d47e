import Synchronization
import ZMTP

/// The writing side of a pipe: fills chunks with encoded frames and publishes whole messages, one exchange each.
///
/// Owned by one thread at a time. Bytes are written where the consumer will read or send them; nothing is copied
/// twice. While the side is *held* (`busy` is set) the consumer leaves the last chunk alone.
struct PipeWriter: ~Copyable {
    /// Bodies from here on that come with storage of their own travel by reference, as an extent of the chain.
    static let extentThreshold = 32 << 10
    /// Chunks double up to this size under backlog.
    static let largestChunk = 64 << 10

    private let words: UnsafeMutablePointer<PipeWords>
    private let pool: ChunkPool
    /// The marks: messages and bytes that may be published and not yet credited.
    let mark: Int
    let byteMark: Int

    private var tail: Segment?
    /// The next byte to write, in `tail`.
    private(set) var cursor: UnsafeMutableRawPointer
    private var limit: UnsafeMutableRawPointer
    /// Bytes and messages up to `cursor`, wide.
    private(set) var position: UInt64 = 0
    private(set) var count: UInt64 = 0
    /// What the consumer had credited when it was last asked, wide.
    private var creditedPosition: UInt64 = 0
    private var creditedCount: UInt64 = 0
    /// Whether the claim is kept.
    private(set) var isHeld = false
    /// The chunk was taken while the pipe was bare and is not published yet.
    private var isPrivate = false
    /// Whether the budget refused when it was last asked.
    private(set) var isStarved = false
    private var sizeHint = UInt32(ChunkPool.smallest)
    /// Bytes of all chunks and extents that were ever taken, and of those that were gone when the pipe was last bare.
    private(set) var takenBytes = 0
    private(set) var goneBytes = 0
    /// Up to here messages may begin without a look at the byte mark and the budget: so a budget costs nothing but a
    /// look each 16 KiB.
    private var admittedPosition: UInt64
    private let budget: MemoryBudget?
    private static let budgetQuantum: UInt64 = 16 << 10

    /// Of the next chunk.
    private var nextSize: Int {
        get { Int(sizeHint) }
        set { sizeHint = UInt32(newValue) }
    }

    init(
        words: UnsafeMutablePointer<PipeWords>, pool: ChunkPool, mark: Int, byteMark: Int, budget: MemoryBudget?,
        startingAt start: (position: UInt64, count: UInt64)
    ) {
        (position, count) = start
        (creditedPosition, creditedCount) = start
        admittedPosition = start.position
        self.budget = budget
        self.words = words
        self.pool = pool
        self.mark = mark
        self.byteMark = byteMark
        // Nothing can be written before a claim has set both.
        cursor = UnsafeMutableRawPointer(words)
        limit = cursor
    }

    // MARK: Room

    /// Whether one more message may be published. Exact: the consumer's word is read when the known credit is used
    /// up, so a stale view only delays, never overruns.
    @inline(__always)
    mutating func hasRoom() -> Bool {
        if count &- creditedCount < mark, position < admittedPosition { return true }
        return refreshRoom()
    }

    @inline(never)
    private mutating func refreshRoom() -> Bool {
        let room = PipeWord(rawValue: words.pointee.room.load(ordering: .acquiring))
        creditedCount = count &- ((count &- room.count) & PipeWord.countMask)
        creditedPosition = position &- ((position &- room.position) & PipeWord.positionMask)
        let waiting = position &- creditedPosition
        guard count &- creditedCount < mark, waiting < byteMark else { return false }
        if let budget, budget.isExhausted {
            isStarved = true
            budget.countRefusal()
            // A chunk that is held for the next message may be what is wanting.
            letGo()
            return false
        }
        isStarved = false
        let free = UInt64(byteMark) &- waiting
        admittedPosition = position &+ (budget == nil ? free : min(free, Self.budgetQuantum))
        return true
    }

    /// Announces that the writer waits for room, unless some has come.
    /// - Returns: true if the consumer will wake the writer; false if there is room now.
    mutating func waitForRoom() -> Bool {
        while true {
            let seen = words.pointee.room.load(ordering: .acquiring)
            if seen & PipeWord.waiting != 0 { return true }
            if refreshRoom() { return false }
            let (exchanged, _) = words.pointee.room.compareExchange(
                expected: seen, desired: seen | PipeWord.waiting, ordering: .acquiringAndReleasing)
            if exchanged { return true }
        }
    }

    /// Messages that are published and not yet credited, as far as is known: never less than there are.
    var pendingAtMost: Int { Int(count &- creditedCount) }

    // MARK: Writing

    /// Appends one frame. The caller has made sure of room before a message's first frame.
    @inline(__always)
    mutating func put(_ flags: FrameFlags, _ body: UnsafeRawBufferPointer) {
        if !isHeld { claim() }
        let total = body.count &+ (body.count > 255 ? 9 : 2)
        if limit - cursor < total { grow(total) }
        let head = FrameHeader.write(at: cursor, flags: flags, bodyCount: body.count)
        if let bytes = body.baseAddress { (cursor + head).copyMemory(from: bytes, byteCount: body.count) }
        cursor += total
        position &+= UInt64(truncatingIfNeeded: total)
    }

    /// Appends one frame whose large body stays where it is, kept alive by its owner.
    mutating func put(_ flags: FrameFlags, _ body: UnsafeRawBufferPointer, owner: SharedBytes) {
        guard body.count >= Self.extentThreshold else { return put(flags, body) }
        if !isHeld { claim() }
        if limit - cursor < FrameHeader.maximumCount { grow(FrameHeader.maximumCount) }
        let head = FrameHeader.write(at: cursor, flags: flags, bodyCount: body.count)
        cursor += head
        append(pool.extent(body, owner: owner))
        position &+= UInt64(head + body.count)
    }

    /// Appends frames that are encoded already (an envelope).
    mutating func put(encoded bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        if !isHeld { claim() }
        if limit - cursor < bytes.count { grow(bytes.count) }
        cursor.copyMemory(from: base, byteCount: bytes.count)
        cursor += bytes.count
        position &+= UInt64(bytes.count)
    }

    /// Publishes everything written, as one more whole message.
    /// - Parameter keep: holds on to the chunk for the next message: cheaper, at the price of one chunk in a pipe
    ///   that falls silent.
    /// - Returns: true if nobody was consuming: the consuming side is the caller's, who must announce it.
    @inline(__always)
    mutating func publish(keep: Bool) -> Bool {
        count &+= 1
        return publish(position: position, keep: keep)
    }

    /// Publishes up to a message's end; `count` is settled already.
    @inline(__always)
    mutating func publish(position: UInt64, keep: Bool) -> Bool {
        let word = PipeWord(position: position, count: count, flags: keep ? PipeWord.busy : 0)
        let old = words.pointee.data.exchange(word.rawValue, ordering: .acquiringAndReleasing)
        isHeld = keep
        isPrivate = false
        return old & PipeWord.idle != 0
    }

    /// Gives up a kept claim. If nobody consumes either, the chunk goes back: a pipe without data holds nothing.
    mutating func letGo() {
        guard isHeld else { return }
        isHeld = false
        if isPrivate {
            isPrivate = false
            giveChain()
            words.pointee.data.subtract(PipeWord.busy, ordering: .acquiringAndReleasing)
            return
        }
        while true {
            let old = words.pointee.data.load(ordering: .acquiring)
            let isDrained = old & PipeWord.idle != 0
            let new = old & ~PipeWord.busy | (isDrained ? PipeWord.bare : 0)
            let (exchanged, _) = words.pointee.data.compareExchange(
                expected: old, desired: new, ordering: .acquiringAndReleasing)
            guard exchanged else { continue }
            if isDrained { giveChain() }
            return
        }
    }

    /// Takes hold of the last chunk, or of a fresh one.
    @inline(never)
    private mutating func claim() {
        let old = words.pointee.data.add(PipeWord.busy, ordering: .acquiringAndReleasing).oldValue
        assert(old & PipeWord.busy == 0)
        isHeld = true
        guard old & PipeWord.bare != 0 else {
            nextSize = min(nextSize * 2, Self.largestChunk)
            return
        }
        nextSize = max(nextSize / 2, ChunkPool.smallest)
        let chunk = pool.take(nextSize)
        goneBytes = takenBytes
        PipeWords.first(of: words).pointee.segment = chunk
        PipeWords.first(of: words).pointee.serial &+= 1
        isPrivate = true
        open(chunk)
    }

    @inline(never)
    private mutating func grow(_ minimum: Int) {
        nextSize = min(nextSize * 2, Self.largestChunk)
        append(pool.take(max(minimum, nextSize)))
    }

    /// Goes on in another segment.
    private mutating func append(_ segment: Segment) {
        tail!.pointee.end = cursor - tail!.pointee.base
        tail!.link(segment)
        open(segment)
    }

    private mutating func open(_ segment: Segment) {
        tail = segment
        takenBytes += segment.pointee.capacity
        cursor = segment.pointee.base
        limit = cursor + segment.pointee.capacity
        // An extent is full from the start.
        if segment.pointee.owner != nil { cursor = limit }
    }

    /// Frees the chain that no consumer looks at: from the first chunk of a claim that never published, or from where
    /// the consumer rests.
    private mutating func giveChain() {
        pool.give(chain: PipeWords.first(of: words).pointee.segment)
        tail = nil
        cursor = limit
    }

    /// The private chunk of a claim that never published; for the pipe's end.
    mutating func discard() {
        if isPrivate { giveChain() }
        isPrivate = false
    }
}

// MARK: - Receiving into a pipe (the loop's writing side)

extension PipeWriter {
    /// Room behind `filled` received bytes that are not whole frames yet, at least `minimum` bytes of it. The filled
    /// bytes move along if the chunk has to change.
    mutating func room(behind filled: Int, minimum: Int, chunk size: Int) -> UnsafeMutableRawBufferPointer {
        if !isHeld {
            nextSize = min(max(nextSize, size), ChunkPool.largest)
            claim()
        }
        if limit - cursor < filled + minimum {
            let chunk = pool.take(max(filled + minimum, size))
            chunk.pointee.base.copyMemory(from: cursor, byteCount: filled)
            append(chunk)
        }
        let start = cursor + filled
        return UnsafeMutableRawBufferPointer(start: start, count: limit - start)
    }

    /// Moves the filled bytes into a chunk of their size, if this one is much larger: memory is short.
    mutating func shrink(behind filled: Int) {
        guard isHeld, limit - cursor > max(2 * filled, 2 * ChunkPool.smallest) else { return }
        let chunk = pool.take(filled)
        chunk.pointee.base.copyMemory(from: cursor, byteCount: filled)
        append(chunk)
    }

    /// Takes whole frames that lie behind the cursor into the chain; `messages` of them end messages.
    mutating func accept(bytes: Int, messages: Int) {
        cursor += bytes
        position &+= UInt64(bytes)
        count &+= UInt64(messages)
    }

    /// Takes a large body that was received into storage of its own into the chain. Its header lies behind the
    /// cursor, as a whole.
    mutating func accept(header: Int, extent: UnsafeRawBufferPointer, owner: SharedBytes) {
        cursor += header
        append(pool.extent(extent, owner: owner))
        position &+= UInt64(header + extent.count)
    }

    /// Bytes of all chunks and extents that were taken before the last one.
    var takenBeforeTail: Int { takenBytes - (tail?.pointee.capacity ?? 0) }

    /// Drops the last `bytes` accepted bytes again (commands, which no one behind needs), if they lie in this chunk.
    mutating func retract(_ bytes: Int) -> Bool {
        guard let tail, tail.pointee.owner == nil, cursor - tail.pointee.base >= bytes else { return false }
        cursor -= bytes
        position &-= UInt64(bytes)
        return true
    }
}
