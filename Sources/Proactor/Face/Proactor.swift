/// A completion engine in safe form: start operations, then wait for what became of them, as values.
///
/// Owned by one thread, the one that made it; only its `waker` may be used by others. Nothing calls back: an
/// operation returns at once, and its event comes with a later `wait`. A TCP echo server:
///
/// ```swift
/// var proactor = try Proactor()
/// let listener = try proactor.listen(on: SocketAddress(numeric: "127.0.0.1", port: 7777)!)
/// proactor.acceptAll(on: listener)
/// while true {
///     for event in try proactor.wait() {
///         switch event {
///         case .accepted(let connection, _), .sent(let connection, _): proactor.receive(on: connection)
///         case .received(let connection, let bytes): proactor.send(bytes, on: connection)
///         case .ended(let connection, _): proactor.close(connection)
///         case .failed(let failure): if let connection = failure.handle { proactor.close(connection) }
///         default: break
///         }
///     }
/// }
/// ```
///
/// Each socket may have one receive (or accept) and one send (or connect) in flight; a second one traps, as does
/// a handle whose `close` has completed. Starting an operation is O(1); `wait` is O(events).
public struct Proactor: ~Copyable {
    var backend: ChosenBackend
    var batch: CompletionBatch
    /// What the face knows about each handle, by slot.
    var sockets: [SocketRecord] = []
    /// The events of the last turn. Kept so that their memory serves every turn.
    var events: [Event] = []
    /// Counts waits: tickets carry it, so that a ticket of an earlier turn is recognised.
    var turn: UInt64 = 1
    /// The turn in which each pool buffer was lent and not yet moved on; 0 otherwise.
    var leases: [UInt64]
    /// Pool buffers to recycle with the next wait, unless moved on.
    var lent: [UInt16] = []
    /// Accepted in this batch, adopted after it: the slot of a socket whose `close` lies further back in the batch is
    /// free already, and must not have a new owner before that completion is seen.
    var arrivals: [(listener: Handle, descriptor: Int32)] = []
    /// Own buffers that came back this turn, until taken.
    var returned: [OwnedBuffer.Place?] = []

    /// Makes an engine for the calling thread.
    /// - Parameters:
    ///   - choice: Which backend; nil takes what the environment variable `PROACTOR_BACKEND` says (`auto`,
    ///     `io_uring`, `epoll`), and `automatic` without it.
    ///   - configuration: Sizes of the engine.
    ///   - eventsPerTurn: Events that one `wait` delivers at most, 1 to 65536.
    /// - Throws: `unavailable` where a forced backend cannot run (with reason and cure), `system` for want of
    ///   descriptors or memory.
    public init(
        _ choice: BackendChoice? = nil, configuration: EngineConfiguration = EngineConfiguration(),
        eventsPerTurn: Int = 256
    ) throws(ProactorError) {
        let backend = try ChosenBackend(choice, configuration)
        self.backend = backend
        batch = CompletionBatch(capacity: eventsPerTurn)
        leases = Array(repeating: 0, count: configuration.receiveBufferCount)
    }

    /// Cancels and closes what is left, and frees the memory when the kernel has let go of it.
    deinit {
        let open = sockets.compactMap { $0.isClosing ? nil : $0.handle }
        let closing = sockets.count { $0.isClosing }
        for place in returned { if let place { _ = OwnedBuffer(place) } }
        // Memory that the kernel has not handed back is leaked: freeing it would be worse.
        guard backend.drain(open, alreadyClosing: closing) else { return }
        for socket in sockets {
            if let place = socket.inbound { _ = OwnedBuffer(place) }
            if let place = socket.outbound { _ = OwnedBuffer(place) }
        }
    }

    /// Which backend runs.
    public var kind: BackendKind { backend.kind }
    /// Which backend and features are in use, and why not the others; printable.
    public var report: EngineReport { backend.report }
    /// What was counted so far.
    public var counters: EngineCounters { backend.counters }
    /// Ends a `wait` from any thread, with a value or without.
    public var waker: Waker { backend.waker }

    /// Submits what was started, waits, and delivers what became of it.
    ///
    /// Returns with at least one event, or empty at the deadline, after a wake without value, or when a signal
    /// interrupted it. Tickets of the turn before (bytes lent, buffers returned) end here.
    /// - Parameter deadline: nil waits without end, `.distantPast` does not wait at all.
    /// - Throws: `forked` in a child of the process that made the proactor; `system` if the kernel refuses to wait.
    public mutating func wait(until deadline: Deadline? = nil) throws(ProactorError) -> [Event] {
        endTickets()
        events.removeAll(keepingCapacity: true)
        try backend.wait(until: deadline, into: &batch)
        for position in 0..<batch.count { translate(batch[position]) }
        adoptArrivals()
        return events
    }

    /// What the face knows about a socket.
    struct SocketRecord {
        var handle: Handle?
        var isClosing = false
        /// The own buffer under the receive in flight.
        var inbound: OwnedBuffer.Place?
        /// The own buffer under the send in flight.
        var outbound: OwnedBuffer.Place?
        /// The pool buffer under the send in flight.
        var outboundLent: UInt16?
        /// Bytes that the send in flight must transfer.
        var outboundCount = 0
        var isDatagram = false
        /// The copied bytes of a send: nobody wants the buffer back.
        var isCopy = false
    }
}
