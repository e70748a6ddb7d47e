import Proactor
import Synchronization
import ZMTP

extension SocketType {
    /// Messages go out to peers.
    var sends: Bool { self != .pull && self != .gather && self != .dish && self != .sub && !isPublisher }
    /// Messages come in from peers.
    var receives: Bool { self != .push && self != .scatter && self != .radio && self != .pub }
    /// Messages go out through streams, to those that are subscribed to them.
    var isPublisher: Bool { self == .pub || self == .xpub }
    var isSubscriber: Bool { self == .sub || self == .xsub }
    /// Queues made by `connect` are kept while the peer is away (28/REQREP, 30/PIPELINE, 31/EXPAIR and their kin).
    /// Types that name their peers know one only once it has come, unless the connect gave it a name.
    var keepsQueueWhileAway: Bool {
        switch self {
        case .push, .pair, .req, .dealer, .client, .scatter, .channel, .xsub: true
        default: false
        }
    }
    /// At most one peer at a time.
    var hasOnePeer: Bool { self == .pair || self == .channel }
    /// Peers are known by names, which stand in front of each message.
    var namesPeers: Bool { self == .router || self == .stream }
    /// Peers are known by numbers (41/CLIENTSERVER).
    var numbersPeers: Bool { self == .server || self == .peer }
}

/// What application threads and loops share of one socket.
///
/// Sendable: `sender` and `receiver` belong to the one thread that sends and the one that receives (each traps a
/// second one); everything else is immutable, atomic or behind the mutex.
final class SocketCore: MemoryWaiter, @unchecked Sendable {
    enum Phase: UInt8, AtomicRepresentable {
        case open, closed, terminated
    }

    let context: ContextCore
    let type: SocketType
    let options: SocketOptions
    let sender: UnsafeMutablePointer<SendSide>
    /// The lists of the two halves, for all threads: looking for them through a half would be an access to it.
    let sendList: ReadyList
    let receiveList: ReadyList
    let receiver: UnsafeMutablePointer<ReceiveSide>
    /// Chunks of the pipes that the application writes; the sender is its taker.
    let sendPool: ChunkPool
    /// What its messages count in: its share, or the context's budget.
    let memory: MemoryBudget
    let losses = LossCounters()
    /// RADIO: who wants which group.
    let groups: GroupTable?
    /// DISH: the groups it has joined.
    let joined: JoinedGroups?
    /// What PUB and XPUB have besides.
    let publisher: Publisher?
    /// What SUB and XSUB have besides.
    let subscriptions: Subscriptions?
    /// The driver of a caller-driven context.
    let callerDriver: CallerDriver?
    /// Whether messages come with frames that the pattern takes off.
    let hasEnvelopes: Bool
    /// Whether a single frame goes to the next peer as it is, on a loop with a thread of its own.
    let isPlainSender: Bool
    /// Whether connections carry bytes as they are, without ZMTP.
    let isRaw: Bool
    /// Whether messages are delivered as they come.
    let isPlainReceiver: Bool
    /// Who waits for peers.
    let readiness = Readiness()
    /// `open` until `close` or the context's end.
    let phase = Atomic<Phase>(.open)
    let registry = Locked(Registry())
    /// How many listeners and connections of this socket each loop was given, by its number.
    let placed = Locked<[Int: Int]>([:])
    /// Loops that still hold something of this socket after `close`.
    let loopsLeft = Atomic<Int>(0)
    private let wakeSender = CallNode()
    private let wakeReceiver = CallNode()

    init(_ context: ContextCore, _ type: SocketType, _ options: SocketOptions) throws(ZeroMQError) {
        try options.validate(for: type, loops: context.allDoors.count)
        self.context = context
        self.type = type
        self.options = options
        groups = type == .radio ? GroupTable() : nil
        joined = type == .dish ? JoinedGroups() : nil
        callerDriver = context.driver.withLock { $0 }
        isRaw = type == .stream || options.isRouterRaw
        memory = options.memoryShare.map { MemoryBudget(limit: $0, within: context.budget) } ?? context.budget
        sendPool = ChunkPool(budget: memory)
        hasEnvelopes = type == .req || type == .rep || type == .sub || type == .xpub
        isPlainSender =
            type.keepsQueueWhileAway && type != .req && type != .xsub && callerDriver == nil
            && !options.isConflating
        isPlainReceiver = type == .pull || type == .dealer || type == .pair || type == .xsub
        sender = .allocate(capacity: 1)
        receiver = .allocate(capacity: 1)
        sender.initialize(
            to: SendSide(
                losses: losses, alwaysSendsItself: type == .req || type == .rep || callerDriver != nil,
                crowd: type.isSinglePart ? Crowd(isDirected: type.numbersPeers) : nil))
        receiver.initialize(to: ReceiveSide(crowd: type.isSinglePart ? Crowd() : nil))
        sendList = sender.pointee.list
        receiveList = receiver.pointee.list
        publisher =
            type.isPublisher
            ? Publisher(
                type, options, list: sendList, receiveList: receiveList, pool: sendPool, losses: losses) : nil
        subscriptions = type.isSubscriber ? Subscriptions() : nil
        try context.register(self)
    }

    deinit {
        sendList.close()
        receiveList.close()
        sender.deinitialize(count: 1)
        receiver.deinitialize(count: 1)
        sender.deallocate()
        receiver.deallocate()
    }

    // MARK: State

    /// Whether neither the socket nor its context was closed. One relaxed load.
    @inline(__always)
    var isOpen: Bool { phase.load(ordering: .relaxed) == .open }

    /// Throws if the socket or its context is closed.
    @inline(__always)
    func checkOpen() throws(ZeroMQError) {
        if !isOpen { throw closedError }
    }

    var closedError: ZeroMQError {
        phase.load(ordering: .acquiring) == .terminated
            ? ZeroMQError(.contextClosed, "the context of this \(type) socket was closed")
            : ZeroMQError(.socketClosed, "this \(type) socket was closed")
    }

    /// Ends every wait on the socket: the waiters find it closed.
    func endWaits(_ phase: Phase) {
        _ = self.phase.compareExchange(expected: .open, desired: phase, ordering: .acquiringAndReleasing)
        sendList.wake(sendList.push(wakeSender.node, .call))
        receiveList.wake(receiveList.push(wakeReceiver.node, .call))
        readiness.announce()
        subscriptions?.wakeWaiters()
    }

    /// A sender that waits for memory looks again.
    func memoryCame() { sendList.wake(sendList.push(wakeSender.node, .call)) }

    /// Closes, as the owner of the socket.
    func close() {
        context.close(self, as: .closed, linger: options.linger.map { .after($0) })
        if let callerDriver, callerDriver.isOnThread { try? callerDriver.turn(until: .distantPast) }
        awaitRelease(\.listeners.isEmpty)
    }

    /// Waits until the loop has given up addresses, unless the caller is a loop itself.
    func awaitRelease(_ isReleased: (Registry) -> Bool) {
        guard !registry.withLock({ isReleased($0) }), !context.isOnLoopThread else { return }
        _ = context.wait(until: .after(Self.releasePatience)) { registry.withLock { isReleased($0) } }
    }

    /// What a loop needs to give up an address is a turn or two; one that is kept from turning is not waited for.
    private static var releasePatience: Duration { .seconds(1) }

    /// The kernel has let go of what was bound.
    func released(_ endpoint: UInt64) {
        registry.withLock { _ = $0.listeners.remove(endpoint) }
        context.noteProgress()
    }

    // MARK: Events

    var monitorCount: Int { registry.withLock(\.monitors.count) }

    func add(_ monitor: SocketMonitor) {
        let isOver = registry.withLock { registry in
            if !registry.isOver { registry.monitors[ObjectIdentifier(monitor)] = .init(monitor: monitor) }
            return registry.isOver
        }
        if isOver { monitor.close() }
    }

    func forgetMonitor(_ id: ObjectIdentifier) { registry.withLock { $0.monitors[id] = nil } }

    func report(_ kind: SocketEvent.Kind, _ endpoint: String) { report(kind, EventPlace(endpoint: endpoint)) }

    func report(_ kind: SocketEvent.Kind, _ place: EventPlace) {
        // Held beyond the lock: the last reference to a monitor takes the lock.
        let monitors = registry.withLock { $0.monitors.values.compactMap(\.monitor) }
        context.log(type, kind, place.endpoint, place.peer)
        guard !monitors.isEmpty else { return }
        let event = SocketEvent(kind, place)
        for monitor in monitors { monitor.report(event) }
    }

    /// No event will come any more.
    func endMonitors() {
        let monitors = registry.withLock { registry in
            defer { registry.monitors = [:] }
            registry.isOver = true
            return registry.monitors.values.compactMap(\.monitor)
        }
        for monitor in monitors { monitor.close() }
    }

    /// Counts lost messages and tells about them.
    func lose(_ count: Int, _ reason: LossReason, endpoint: String = "") {
        guard count > 0 else { return }
        losses.add(count, reason)
        tally(endpoint) { $0.losses[reason, default: 0] += count }
        report(.lost(count, reason), endpoint)
    }
}
