import Proactor
import Synchronization

/// What one publishing socket has on one loop: the orders for it, and the streams that want to be looked after.
///
/// An order tells of a place between two messages, and the publisher posts it before it publishes what follows. So
/// whoever has seen a later message finds the order: every look at a stream is followed by a look at `hasOrders`.
///
/// Sendable: `orders` lies behind a lock, `hasOrders` is atomic, `unsettled` belongs to the loop.
final class Fanout: @unchecked Sendable {
    let id: UInt64
    let door: LoopDoor
    /// Whether publishers have credit only for what the slowest subscriber has been sent.
    let waitsForSlowest: Bool
    private let orders = Locked<[StreamOrder]>([])
    private let hasPosted = Atomic<Bool>(false)

    // By the loop.
    private var logs: [ObjectIdentifier: StreamLog] = [:]
    private var unsettled: [StreamLog] = []
    private var isListed = false
    private var isDraining = false

    init(id: UInt64, door: LoopDoor, waitsForSlowest: Bool) {
        self.id = id
        self.door = door
        self.waitsForSlowest = waitsForSlowest
    }

    // MARK: Orders

    /// By the publisher.
    func post(_ order: StreamOrder) {
        let isFirst = orders.withLock { orders in
            orders.append(order)
            hasPosted.store(true, ordering: .releasing)
            return orders.count == 1
        }
        if isFirst { door.post(.streams(self)) }
    }

    /// Whether something was posted before anything that the caller has seen published.
    @inline(__always)
    var hasOrders: Bool { hasPosted.load(ordering: .relaxed) }

    /// Obeys the orders in turn.
    func obey<B: Backend & ~Copyable>(on loop: Loop<B>) {
        // An order may lead to a look at a stream, which leads back here.
        guard !isDraining else { return }
        isDraining = true
        while hasOrders {
            let taken = orders.withLock { orders in
                hasPosted.store(false, ordering: .relaxed)
                defer { orders = [] }
                return orders
            }
            for order in taken { obey(order, on: loop) }
        }
        isDraining = false
    }

    private func obey<B: Backend & ~Copyable>(_ order: StreamOrder, on loop: Loop<B>) {
        switch order {
        case .move(let subscriber, let leave, let join):
            guard let feed = subscriber.feed else { return }
            if let leave { feed.leave(leave) }
            if let join { feed.join(log(of: join.stream), join) }
            feed.flush(on: loop)
        case .retire(let stream): stream.log?.retire(on: loop)
        }
    }

    private func log(of stream: Stream) -> StreamLog {
        if let log = stream.log { return log }
        let log = StreamLog(stream, self)
        stream.log = log
        logs[ObjectIdentifier(log)] = log
        stream.pipe.server = .stream(log)
        return log
    }

    func ended(_ log: StreamLog) { logs[ObjectIdentifier(log)] = nil }

    /// The socket has nothing on this loop any more.
    func end() {
        for log in logs.values { log.abandon() }
        logs = [:]
        unsettled = []
    }

    // MARK: Looking after streams

    /// The stream has news, or one of its subscribers has reached its end: it is looked at once, at the end of what
    /// the loop is doing.
    func note<B: Backend & ~Copyable>(_ log: StreamLog, on loop: Loop<B>) {
        unsettled.append(log)
        guard !isListed else { return }
        isListed = true
        loop.unsettled.append(self)
    }

    func settle<B: Backend & ~Copyable>(on loop: Loop<B>) {
        isListed = false
        let logs = unsettled
        unsettled.removeAll(keepingCapacity: true)
        for log in logs { log.settle(on: loop) }
    }
}
