import Proactor
import Synchronization
import ZMTP

/// The consuming side of a pipe: a cursor in the chain, and the credit it gives back.
///
/// Two kinds of consumers: a loop gathers bytes and sends them (`gather`, `advance`), an application takes frames
/// (`next`, `finish`). Owned by whoever cleared `idle`; it goes back with `rest`. The files beside this one have what
/// each kind does with the cursor.
struct PipeReader: ~Copyable {
    // First what each message needs: with many pipes these lines of memory are what a turn costs.

    var head: Segment?
    var offset = 0
    /// Bytes and messages consumed, wide.
    var position: UInt64 = 0
    var count: UInt64 = 0
    /// What was published when the data word was last read.
    var published = PipeWord(rawValue: 0)
    /// Credited so far, wide.
    private(set) var creditedCount: UInt64 = 0
    /// Credits of an application go back in lots of this many messages: half the mark, rounded up.
    let quantum: UInt64

    let words: UnsafeMutablePointer<PipeWords>
    let pool: ChunkPool
    private let mark: UInt64
    var serial: UInt64 = 0
    private(set) var creditedPosition: UInt64 = 0

    // The last message boundary known to have been sent whole. Only a loop is ever beyond it: its chunks stay until
    // the last byte of a message went, since a half-sent message is sent again on the next connection.
    var boundary: Segment?
    var boundaryOffset = 0
    var boundaryPosition: UInt64 = 0

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
        } else if published.has(PipeWord.bare) {
            // The writer let go of a resting pipe, and with it of the chain that this side remembers.
            (head, boundary) = (nil, nil)
        }
        return available
    }

    /// Looks, and brings near what was found: others have their turn before.
    mutating func lookAndFetch() {
        if look() > 0, let head { CacheLine.fetchTwo(head) }
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
