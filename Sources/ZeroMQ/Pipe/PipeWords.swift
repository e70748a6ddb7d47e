import Synchronization

/// Position, count and flags in one 64-bit word: position (34 bits) | messages (25 bits) | flags (5 bits).
///
/// Both numbers wrap; differences are taken modulo the field. What is unsent is therefore bounded:
/// less than 2^34 bytes and less than 2^25 messages.
struct PipeWord: Equatable {
    var rawValue: UInt64

    static let positionBits: UInt64 = 34
    static let countBits: UInt64 = 25
    static let positionMask: UInt64 = (1 << positionBits) - 1
    static let countMask: UInt64 = (1 << countBits) - 1
    /// The largest number of messages a pipe can hold: what "no mark" means.
    static let countBound = 1 << 25 - 1
    /// The largest number of bytes a pipe can hold.
    static let byteBound = 1 << 34 - 1

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(position: UInt64, count: UInt64, flags: UInt64 = 0) {
        rawValue = (position & Self.positionMask) << 30 | (count & Self.countMask) << 5 | flags
    }

    var position: UInt64 { rawValue >> 30 }
    var count: UInt64 { rawValue >> 5 & Self.countMask }

    func has(_ flag: UInt64) -> Bool { rawValue & flag != 0 }

    // Flags of the data word.

    /// The writer holds the tail of the last chunk.
    static let busy: UInt64 = 1
    /// Nobody consumes; whoever clears it owns the consuming side.
    static let idle: UInt64 = 2
    /// The pipe has no chunk.
    static let bare: UInt64 = 4
    /// The loop wants the consuming side, which the caller that sends has now.
    static let wanted: UInt64 = 8

    // Flag of the room word.

    /// The writer sleeps (or is paused) until half the mark is free.
    static let waiting: UInt64 = 1
}

/// The words that writer and consumer share, each edge on a cache line of its own.
///
/// - `data` (the writer advances it, the consumer sleeps on it) publishes everything before it: the bytes, the
///   chain's links and `first`.
/// - `room` (the consumer advances it, the writer sleeps on it).
///
/// On the line of each word lies what is touched together with it: among ten thousand quiet connections the lines of
/// memory are what a message costs.
///
/// Each edge is one word. The side that advances uses a read-modify-write that returns the sleeper's flag; the side
/// about to sleep sets its flag by a compare-exchange that expects the very value it judged. Who clears a flag owes
/// exactly one wake. `Models/` holds the proof.
struct PipeWords: ~Copyable {
    let data: Atomic<UInt64>
    private var first = First()
    /// When the loop last met the first messages of an empty pipe, where it can tell, and how many had been published by then, wide.
    let arrivalCount: Atomic<UInt64>
    let arrivalTime = Atomic<UInt64>(0)
    private let dataNode: NodePlace = (0, 0, 0)
    let room: Atomic<UInt64>
    /// What the consumer has credited since the beginning, wide; stored just before each credit, for statistics only.
    let passedCount: Atomic<UInt64>
    let passedPosition: Atomic<UInt64>
    private let roomNode: NodePlace = (0, 0, 0)
    private let gap: (UInt64, UInt64) = (0, 0)

    private typealias NodePlace = (UInt64, UInt64, UInt64)

    /// The first chunk after `bare`: written by the writer before it publishes, read by the consumer that finds it
    /// has none.
    struct First {
        var segment: Segment?
        /// Counts the values of `segment`: a recycled chunk may come back at the same address.
        var serial: UInt64 = 0
    }

    /// Where the plain fields lie, behind `data`. By address, since a write through `pointee` counts as an access to
    /// the whole structure, the atomics included.
    static func first(of words: UnsafeMutablePointer<PipeWords>) -> UnsafeMutablePointer<First> {
        (UnsafeMutableRawPointer(words) + MemoryLayout<Atomic<UInt64>>.stride).assumingMemoryBound(to: First.self)
    }

    /// Where the node lies that announces news of the edge. By address, for the same reason.
    static func node(
        _ edge: ReadyNode.Edge, of words: UnsafeMutablePointer<PipeWords>
    ) -> UnsafeMutablePointer<ReadyNode> {
        assert(MemoryLayout<ReadyNode>.size <= MemoryLayout<NodePlace>.size && MemoryLayout<PipeWords>.size == 128)
        return (UnsafeMutableRawPointer(words) + nodeOffset(edge)).assumingMemoryBound(to: ReadyNode.self)
    }

    /// The way back.
    static func ofNode(
        _ edge: ReadyNode.Edge, at node: UnsafeMutablePointer<ReadyNode>
    ) -> UnsafeMutablePointer<PipeWords> {
        (UnsafeMutableRawPointer(node) - nodeOffset(edge)).assumingMemoryBound(to: PipeWords.self)
    }

    /// As the fields stand: five words before the one node, a line and three words before the other.
    private static func nodeOffset(_ edge: ReadyNode.Edge) -> Int { edge == .data ? 5 * 8 : 64 + 3 * 8 }

    init(isIdle: Bool, startingAt start: (position: UInt64, count: UInt64)) {
        let flags = PipeWord.bare | (isIdle ? PipeWord.idle : 0)
        data = Atomic(PipeWord(position: start.position, count: start.count, flags: flags).rawValue)
        room = Atomic(PipeWord(position: start.position, count: start.count).rawValue)
        arrivalCount = Atomic(start.count)
        passedCount = Atomic(start.count)
        passedPosition = Atomic(start.position)
    }
}
