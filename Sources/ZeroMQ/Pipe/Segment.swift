import Glibc
import Proactor
import Synchronization

/// One piece of a pipe's byte chain: a chunk of our own, or the body of a large message where it lies.
///
/// A segment has one owner at any time: the writer until it is published, then the consumer, which gives it back
/// when the last byte is done. So it needs no reference count; who may touch it follows from the pipe's data word.
struct SegmentHeader: ~Copyable {
    /// The next piece, 0 while this is the last. Set by the writer before it publishes bytes of that piece, while
    /// the consumer may be looking: hence atomic. Once it is set, `end` is final.
    let next = Atomic<UInt>(0)
    /// First byte.
    var base: UnsafeMutableRawPointer
    /// Bytes that fit.
    var capacity: Int
    /// Bytes that belong to the chain; valid for the consumer once `next` is set.
    var end = 0
    /// Keeps foreign memory alive: the storage of a large body. Nil for chunks.
    var owner: SharedBytes?
    /// What a budget was charged for it.
    var charge = 0
}

/// What the loop counts in a chunk of a stream's log, while the writer may still be at work in the same chunk: hence
/// beside the header and not in it.
struct LogMarks {
    /// Subscribers that follow the stream's end and stand in this piece; -1 once the log begins behind it.
    var cursors: Int32 = 0
    /// Parts with an end that this piece belongs to.
    var holds: Int32 = 0
}

typealias Segment = UnsafeMutablePointer<SegmentHeader>

extension UnsafeMutablePointer where Pointee == SegmentHeader {
    /// The next piece, if the writer has gone on to one.
    var following: Segment? {
        Segment(bitPattern: pointee.next.load(ordering: .acquiring))
    }

    /// By the loop that has the log.
    var marks: UnsafeMutablePointer<LogMarks> {
        UnsafeMutableRawPointer(self + 1).assumingMemoryBound(to: LogMarks.self)
    }

    /// Links the piece after this one; this one's `end` becomes final.
    func link(_ segment: Segment) {
        pointee.next.store(UInt(bitPattern: segment), ordering: .releasing)
    }
}

/// Where the chunks of one loop, or of one socket's sending half, come from and go back to.
///
/// Chunks are taken by one thread and given back by any: givers push onto `returned`, the taker takes that list
/// whole (no ABA). The pool keeps at most `bound` bytes; what comes back beyond that is freed.
///
/// Sendable: `returned` is a lock-free stack that is only pushed to and taken whole, `kept` is an atomic count; the
/// free lists are touched by whoever holds `isHeld`.
final class ChunkPool: @unchecked Sendable {
    /// Room behind each chunk, so that a fixed-size copy of a small body may read past its end.
    static let slack = 64
    /// Chunks start small and double up to this size; larger ones are made to measure for one body.
    static let smallest = 256
    static let largest = 256 << 10
    /// Bytes that a pool keeps for reuse.
    static let bound = 8 << 20

    private static let classes = 11  // 256 bytes ... 256 KiB
    private let returned = Atomic<UInt>(0)
    private let kept = Atomic<Int>(0)
    private let free: UnsafeMutablePointer<Segment?>
    /// Somebody is at the free lists: the taker, or who trims the pool because memory is short.
    private let isHeld = Atomic<Bool>(false)
    /// What chunks are charged to; nil in tests of the pipes alone.
    let budget: MemoryBudget?

    init(budget: MemoryBudget? = nil) {
        self.budget = budget
        free = .allocate(capacity: Self.classes)
        free.initialize(repeating: nil, count: Self.classes)
        budget?.add(self)
    }

    deinit {
        budget?.remove(ObjectIdentifier(self))
        trim()
        free.deallocate()
    }

    /// A chunk of at least `size` bytes. Only by the taker.
    func take(_ size: Int) -> Segment {
        guard size <= Self.largest else { return make(size) }
        let index = Self.index(size)
        guard let segment = reuse(index) else { return make(Self.smallest << index) }
        kept.subtract(segment.pointee.capacity, ordering: .relaxed)
        segment.pointee.next.store(0, ordering: .relaxed)
        segment.pointee.end = 0
        return segment
    }

    private func reuse(_ index: Int) -> Segment? {
        // Nobody but a trimmer is ever met here, and it leaves soon.
        while isHeld.exchange(true, ordering: .acquiring) { sched_yield() }
        defer { isHeld.store(false, ordering: .releasing) }
        if free[index] == nil { sort(returned.exchange(0, ordering: .acquiring)) }
        guard let segment = free[index] else { return nil }
        let next = Segment(bitPattern: segment.pointee.next.load(ordering: .relaxed))
        free[index] = next
        // Another core has usually given it back.
        if let next { CacheLine.fetch(next) }
        return segment
    }

    /// Frees what is kept for reuse; by any thread. Does nothing while the taker is there.
    func trim() {
        guard !isHeld.exchange(true, ordering: .acquiring) else { return }
        sort(returned.exchange(0, ordering: .acquiring))
        var (bytes, charged) = (0, 0)
        for index in 0..<Self.classes {
            while let segment = free[index] {
                free[index] = Segment(bitPattern: segment.pointee.next.load(ordering: .relaxed))
                bytes += segment.pointee.capacity
                charged += segment.pointee.charge
                Self.destroy(segment)
            }
        }
        isHeld.store(false, ordering: .releasing)
        kept.subtract(bytes, ordering: .relaxed)
        budget?.release(charged)
    }

    /// Gives a segment back; by any thread.
    func give(_ segment: Segment) {
        let size = segment.pointee.capacity
        guard segment.pointee.owner == nil, size <= Self.largest,
            kept.load(ordering: .relaxed) + size <= Self.bound, budget?.isExhausted != true
        else { return discard(segment) }
        kept.add(size, ordering: .relaxed)
        var head = returned.load(ordering: .relaxed)
        while true {
            segment.pointee.next.store(head, ordering: .relaxed)
            let (exchanged, current) = returned.weakCompareExchange(
                expected: head, desired: UInt(bitPattern: segment), ordering: .releasing)
            if exchanged { return }
            head = current
        }
    }

    /// Gives a segment and all that follow it back; by any thread.
    func give(chain first: Segment?) {
        var next = first
        while let segment = next {
            next = segment.following
            give(segment)
        }
    }

    /// A segment over foreign memory, kept alive by its owner.
    func extent(_ bytes: UnsafeRawBufferPointer, owner: SharedBytes) -> Segment {
        let charge = budget == nil || owner.isCharged ? 0 : bytes.count
        budget?.charge(charge)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.headerSize, alignment: 64)
        return Self.initialize(
            memory,
            SegmentHeader(
                base: UnsafeMutableRawPointer(mutating: bytes.baseAddress!), capacity: bytes.count,
                end: bytes.count, owner: owner, charge: charge))
    }

    private static func index(_ size: Int) -> Int {
        guard size > smallest else { return 0 }
        return Int.bitWidth - (size - 1).leadingZeroBitCount - smallest.trailingZeroBitCount
    }

    private func make(_ size: Int) -> Segment {
        budget?.charge(size)
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: Self.headerSize + size + Self.slack, alignment: 64)
        return Self.initialize(
            memory,
            SegmentHeader(
                base: memory + Self.headerSize, capacity: size, owner: nil, charge: budget == nil ? 0 : size))
    }

    /// Header and marks, in whole cache lines.
    private static var headerSize: Int {
        (MemoryLayout<SegmentHeader>.stride + MemoryLayout<LogMarks>.stride + 63) & ~63
    }

    private static func initialize(_ memory: UnsafeMutableRawPointer, _ header: consuming SegmentHeader) -> Segment
    {
        let segment = memory.bindMemory(to: SegmentHeader.self, capacity: 1)
        segment.initialize(to: header)
        UnsafeMutableRawPointer(segment + 1).initializeMemory(as: LogMarks.self, to: LogMarks())
        return segment
    }

    private func discard(_ segment: Segment) {
        let charge = segment.pointee.charge
        Self.destroy(segment)
        budget?.release(charge)
    }

    private static func destroy(_ segment: Segment) {
        segment.deinitialize(count: 1)
        UnsafeMutableRawPointer(segment).deallocate()
    }

    /// Sorts a list of returned chunks into the free lists.
    private func sort(_ list: UInt) {
        var rest = list
        while let segment = Segment(bitPattern: rest) {
            rest = segment.pointee.next.load(ordering: .relaxed)
            let index = Self.index(segment.pointee.capacity)
            segment.pointee.next.store(UInt(bitPattern: free[index]), ordering: .relaxed)
            free[index] = segment
        }
    }
}
