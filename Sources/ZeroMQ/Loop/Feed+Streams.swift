import Proactor
import Synchronization

/// How a subscriber comes, moves from stream to stream, and goes.
extension Feed {
    /// Leaves its home at a point.
    func leave(_ leave: StreamOrder.Leave) {
        guard let home, !isFrozen else { return }
        home.advance(to: leave.point)
        var lost = leave.refused - refused
        if isCut { lost += Int(leave.point.count &- gap.count) } else { close(at: home.tail, home.tailCount) }
        home.remove(self)
        self.home = nil
        isWaiting = false
        keepBooks(lost: lost)
        if isCut { core.lose(Int(leave.point.count &- gap.count), .mark, endpoint: session?.text ?? "") }
    }

    /// Belongs to a stream from a point on.
    func join(_ log: StreamLog, _ join: StreamOrder.Join) {
        guard home == nil, !isFrozen else { return }
        log.advance(to: join.point)
        home = log
        refused = join.refused
        if isCut { gap = join.point } else { open(log) }
        log.add(self)
        keepBooks()
    }

    /// Takes nothing more: what is published by now is the end.
    func freeze<B: Backend & ~Copyable>(on loop: Loop<B>) {
        home?.look(on: loop)
        guard let home, !isFrozen else { return isFrozen = true }
        leave(StreamOrder.Leave(point: home.end, refused: home.stream.refused.load(ordering: .relaxed)))
        isCut = false
        isFrozen = true
        home.note(on: loop)
    }

    /// A connection has come.
    func attach<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        self.session = session
        subscriber.feed = self
        home?.note(on: loop)
    }

    /// A message that stands before all others, for this subscriber alone.
    func begin<B: Backend & ~Copyable>(with message: Message, pool: ChunkPool, on loop: Loop<B>) {
        let stream = Stream(
            mark: 0, byteMark: 0, pool: pool, readerList: loop.door.list, writerList: loop.door.list)
        let log = StreamLog(stream, subscriber.fanout!)
        open(log)
        stream.pipe.put(message, from: 0)
        _ = stream.pipe.writer.pointee.publish(keep: true)
        log.advance(to: stream.end)
        close(at: log.tail, log.tailCount)
        log.retire(on: loop)
        keepBooks()
    }

    /// The connection is gone and another one will come: a half-sent message will go again, whole.
    func detach() {
        flight = nil
        session = nil
        isWaiting = false
        guard !legs.isEmpty else { return }
        settleKnown()
        legs[0].sent = legs[0].known
    }

    /// The end.
    /// - Returns: messages that were queued.
    func end<B: Backend & ~Copyable>(on loop: Loop<B>) -> Int {
        flight = nil
        if !legs.isEmpty { settleKnown() }
        let last = home
        freeze(on: loop)
        let lost = legs.reduce(0) { $0 + $1.messages }
        for leg in legs {
            letGo(leg.log, from: leg.known.segment, to: leg.endSegment!, included: true)
            leg.log.removeHolder(self)
        }
        legs = []
        session = nil
        keepBooks(lost: lost)
        last?.note(on: loop)
        return lost
    }
}
