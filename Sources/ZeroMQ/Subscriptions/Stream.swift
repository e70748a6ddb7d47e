import Synchronization

/// A place in a stream, between two messages: what was published before it. Wide numbers, from the stream's start.
struct StreamPoint: Equatable, Sendable {
    var position: UInt64 = 0
    var count: UInt64 = 0
}

/// What is published for one distinct set of subscriptions, towards one loop: a message is encoded once into each
/// stream whose set it matches, however many subscribers have that set.
///
/// It is a pipe whose bytes the loop sends several times (`StreamLog`). The publisher never lets go of its claim, so
/// the last chunk stays where it is while cursors stand in it.
///
/// Sendable: the pipe's writing side belongs to the socket's sending half, `log` to the loop; `refused` is an atomic.
final class Stream: @unchecked Sendable {
    let pipe: Pipe
    let pool: ChunkPool
    /// Messages that the publisher did not put in, since the loop was behind by the whole mark. By the publisher.
    let refused = Atomic<Int>(0)
    /// The message at which the loop was last asked to look. By the publisher.
    private var askedAt = UInt64.max
    /// What the loop makes of it. By the loop.
    var log: StreamLog?

    /// - Parameter mark: messages that may be published before the loop has taken note of them, or, where the publisher
    ///   waits for its subscribers, before the slowest has them. 0 is no mark.
    init(mark: Int, byteMark: Int, pool: ChunkPool, readerList: ReadyList, writerList: ReadyList) {
        self.pool = pool
        pipe = Pipe(mark: mark, byteMark: byteMark, pool: pool, readerList: readerList, writerList: writerList)
        // The first chunk is there before the first subscriber: its cursor has a place from the start.
        _ = pipe.writer.pointee.room(behind: 0, minimum: 1, chunk: ChunkPool.smallest)
    }

    /// Where the publisher stands. By the publisher, between messages.
    var end: StreamPoint {
        StreamPoint(position: pipe.writer.pointee.position, count: pipe.writer.pointee.count)
    }

    /// The first chunk, for the loop that meets the stream.
    var firstSegment: Segment { PipeWords.first(of: pipe.words).pointee.segment! }

    /// Publishes what was put in.
    /// - Returns: whether the loop had rested, and was told.
    @inline(__always)
    @discardableResult
    func publish() -> Bool {
        guard pipe.writer.pointee.publish(keep: true) else { return false }
        announce()
        return true
    }

    /// The publisher is at the mark. A loop whose subscribers are all busy looks when one of them has been sent
    /// something; it is asked to look now, since they may be stuck.
    @inline(never)
    func askForLook() {
        let count = pipe.writer.pointee.count
        guard askedAt != count else { return }
        askedAt = count
        announce()
    }

    @inline(never)
    private func announce() { pipe.readerList.wake(pipe.announce(.data)) }
}

/// What a publisher tells a loop, in the order of what it publishes.
enum StreamOrder: Sendable {
    /// A subscriber has left one stream and joined another between two messages; `refused` tells how many messages
    /// each stream had refused by then.
    case move(Subscriber, leave: Leave?, join: Join?)
    /// Nobody is subscribed to the stream any more, and nothing will be published into it.
    case retire(Stream)

    struct Leave: Sendable {
        let point: StreamPoint
        let refused: Int
    }

    struct Join: Sendable {
        let stream: Stream
        let point: StreamPoint
        let refused: Int
    }
}
