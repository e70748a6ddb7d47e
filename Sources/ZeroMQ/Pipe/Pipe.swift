import Proactor
import Synchronization

/// Bytes of whole messages on their way from one thread to another: the one way in which anything crosses threads.
///
/// A pipe has a writing side and a consuming side. From application to loop the loop consumes and sends the bytes as
/// they lie there; from loop to application the loop writes what it received and the application takes frames out;
/// for inproc both are applications. The two sides share nothing but `words`; each owns its own state below.
///
/// Sendable: `writer` is touched only by whoever owns the writing side, `reader` only by whoever owns the consuming
/// side (it passes with the `idle` flag), `words` are atomics. Stress-tested in `PipeStressTests`.
final class Pipe: @unchecked Sendable {
    // First what every message needs.

    let words: UnsafeMutablePointer<PipeWords>
    let writer: UnsafeMutablePointer<PipeWriter>
    let reader: UnsafeMutablePointer<PipeReader>
    /// Holds the one message of a conflating pipe, through which no bytes go.
    let latest: LatestMessage?
    /// Whom the bytes come from, for pipes that an application consumes; set before the consumer meets the pipe.
    private(set) var peer: Peer?
    /// Who on the loop's thread serves this pipe. Touched by that thread only.
    var server: PipeServer?
    /// Where the sending half keeps it. Touched by that half only.
    var sendPlace = SendPlace.outside
    /// Where the consumer finds news of this pipe. The writer uses it only when it has won `idle`; so a pipe that was
    /// made before its consumer (inproc, connected before it is bound) starts with nobody idle, and gets its list
    /// before it is announced.
    private(set) var readerList: ReadyList
    /// Where the writer finds news of this pipe.
    let writerList: ReadyList
    private let ages = AgeMarks()
    /// What the application finds behind the last message of a peer that has gone. Set before `ended` is announced, read
    /// by the consumer that finds it.
    var sequel: Pipe?

    /// - Parameters:
    ///   - mark: messages that may be published and not yet credited; 0 stands for `PipeWord.countBound`.
    ///   - byteMark: the same in bytes; 0 stands for `PipeWord.byteBound`.
    ///   - readerList: nil for a pipe whose consumer comes later (`join`).
    ///   - budget: what has to have room for each message; nil for what was received, which occupies memory already.
    ///   - start: where positions and counts begin; tests begin near the wrap.
    init(
        mark: Int, byteMark: Int, pool: ChunkPool, readerList: ReadyList?, writerList: ReadyList, peer: Peer? = nil,
        latest: LatestMessage? = nil,
        budget: MemoryBudget? = nil,
        startingAt start: (position: UInt64, count: UInt64) = (0, 0)
    ) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.memorySize, alignment: 64)
        words = memory.bindMemory(to: PipeWords.self, capacity: 1)
        reader = (memory + Self.readerOffset).bindMemory(to: PipeReader.self, capacity: 1)
        writer = (memory + Self.writerOffset).bindMemory(to: PipeWriter.self, capacity: 1)
        self.readerList = readerList ?? writerList
        self.writerList = writerList
        self.peer = peer
        self.latest = latest
        let mark = mark == 0 ? PipeWord.countBound : min(mark, PipeWord.countBound)
        words.initialize(to: PipeWords(isIdle: readerList != nil, startingAt: start))
        for edge in [ReadyNode.Edge.data, .room] {
            PipeWords.node(edge, of: words).initialize(to: ReadyNode(edge: edge, owner: .passUnretained(self)))
        }
        writer.initialize(
            to: PipeWriter(
                words: words, pool: pool, mark: mark, byteMark: byteMark == 0 ? PipeWord.byteBound : byteMark,
                budget: budget, startingAt: start))
        reader.initialize(to: PipeReader(words: words, pool: pool, mark: mark, startingAt: start))
    }

    deinit {
        writer.pointee.discard()
        reader.pointee.discard()
        writer.deinitialize(count: 1)
        reader.deinitialize(count: 1)
        for edge in [ReadyNode.Edge.data, .room] { PipeWords.node(edge, of: words).deinitialize(count: 1) }
        words.deinitialize(count: 1)
        UnsafeMutableRawPointer(words).deallocate()
    }

    // The shared words and what each side owns: one piece of memory, each part from a cache line's begin.
    private static let readerOffset = MemoryLayout<PipeWords>.stride
    private static let writerOffset = lines(readerOffset + MemoryLayout<PipeReader>.size)
    private static let memorySize = lines(writerOffset + MemoryLayout<PipeWriter>.size)

    /// Brings near what a consumer needs first of a pipe whose turn comes soon.
    static func fetch(_ pipe: Unmanaged<Pipe>, announcedBy node: UnsafeMutablePointer<ReadyNode>) {
        CacheLine.fetchTwo(pipe.toOpaque())
        guard node.pointee.edge == .data else { return }
        CacheLine.fetchTwo(UnsafeRawPointer(PipeWords.ofNode(.data, at: node)) + readerOffset)
    }

    private static func lines(_ size: Int) -> Int { (size + 63) & ~63 }

    /// Gives the pipe the consumer that it was made without.
    func join(_ readerList: ReadyList, peer: Peer) {
        self.readerList = readerList
        self.peer = peer
        readerList.wake(announce(.data))
    }

    /// Messages published and not yet credited, and their bytes; by any thread, at any time.
    var queued: (messages: Int, bytes: Int) {
        let room = PipeWord(rawValue: words.pointee.room.load(ordering: .acquiring))
        let data = PipeWord(rawValue: words.pointee.data.load(ordering: .acquiring))
        return (
            Int((data.count &- room.count) & PipeWord.countMask),
            Int((data.position &- room.position) & PipeWord.positionMask)
        )
    }

    /// Whether nothing waits in it.
    var isEmpty: Bool { queued.messages == 0 && latest?.isEmpty != false }

    /// Messages and bytes that the consumer has credited since the beginning; by any thread. Each number is exact, the
    /// two may be of neighbouring moments.
    var passed: Traffic {
        Traffic(
            messages: words.pointee.passedCount.load(ordering: .relaxed),
            bytes: words.pointee.passedPosition.load(ordering: .relaxed))
    }

    /// The same for what was published.
    var published: Traffic {
        // The older one first: what follows it fits into the fields of the word.
        let passed = passed
        let data = PipeWord(rawValue: words.pointee.data.load(ordering: .acquiring))
        return Traffic(
            messages: passed.messages &+ ((data.count &- passed.messages) & PipeWord.countMask),
            bytes: passed.bytes &+ ((data.position &- passed.bytes) & PipeWord.positionMask))
    }

    /// Why it takes no message now.
    var reasonToRefuse: LossReason { writer.pointee.isStarved ? .memory : .mark }

    /// Notes when what is published now was there. By the loop once for each run of messages, never by a sender.
    /// - Parameter first: nothing was in the pipe before; so many messages have been published now, wide. It is noted
    ///   where the loop has to write anyway.
    func noteRun(first: UInt64? = nil) {
        guard let first else { return ages.note(published: published.messages, passed: passed.messages) }
        words.pointee.arrivalTime.store(AgeMarks.now, ordering: .relaxed)
        words.pointee.arrivalCount.store(first, ordering: .releasing)
    }

    /// How long the oldest message has waited, as far as is known; nil while none waits.
    var oldest: Duration? {
        guard queued.messages > 0 else { return nil }
        // In this order: the time may then be a later one, never an earlier one.
        let first = AgeMarks.Mark(
            published: words.pointee.arrivalCount.load(ordering: .acquiring),
            time: words.pointee.arrivalTime.load(ordering: .relaxed))
        return ages.age(published: published.messages, passed: passed.messages, first: first)
    }

    /// Tells the consumer: it owns the consuming side from now on (`publish` answered so), or the writer has ended.
    func announce(_ reason: ReadyReasons) -> Sleeper {
        withExtendedLifetime(self) { readerList.push(PipeWords.node(.data, of: words), reason) }
    }

    /// Tells the writer.
    func notifyWriter(_ reason: ReadyReasons) -> Sleeper {
        withExtendedLifetime(self) { writerList.push(PipeWords.node(.room, of: words), reason) }
    }
}

/// Who serves a pipe on the loop's side.
enum PipeServer {
    case session(Session)
    case dialer(Dialer)
    case stream(StreamLog)
}
