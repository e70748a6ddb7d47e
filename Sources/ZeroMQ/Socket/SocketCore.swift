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
    /// Loops that still hold something of this socket after `close`.
    let loopsLeft = Atomic<Int>(0)
    private let wakeSender = CallNode()
    private let wakeReceiver = CallNode()

    /// Endpoints, peers and addresses. Changed when connections come and go; read by name on ROUTER's send path.
    struct Registry: Sendable {
        struct Entry: Sendable {
            let id: UInt64
            let text: String
            let door: LoopDoor?
            let inproc: String?
            /// The queue that is kept while the peer is away.
            let pipe: Pipe?
        }
        struct Connection: Sendable {
            let peer: Peer
            let inbound: Pipe?
            let outbound: Pipe?
            /// Nil for inproc.
            let door: LoopDoor?
            /// The peer as a subscriber of this publisher.
            var subscriber: Subscriber?
            /// What the outbound pipe had passed before this connection: it may outlive several.
            var before = Traffic()
            /// The other socket of an inproc connection, and what it calls this one.
            var partner: (core: SocketCore, id: UInt64)?
            /// The peer has admitted us as well.
            var isConfirmed = false
        }
        var entries: [Entry] = []
        /// Binds whose address the kernel still holds for us.
        var listeners: Set<UInt64> = []
        var lastEndpoint = ""
        var connections: [UInt64: Connection] = [:]
        var routes: [Frame: UInt64] = [:]
        /// Each takes itself out when it is dropped.
        var monitors: [ObjectIdentifier: Listening] = [:]
        struct Listening: Sendable {
            weak var monitor: SocketMonitor?
        }
        /// SERVER and PEER: the pipe towards each number.
        var numbers: [UInt32: Pipe] = [:]
        private var lastNumber = UInt32.random(in: 0...(.max))
        /// Names that a connect gave to a queue before its peer came, and which queue that is.
        var reserved: [Frame: Pipe] = [:]
        var reservations: [ObjectIdentifier: PeerName] = [:]
        /// No event will come any more: no loop holds anything of the socket.
        var isOver = false
        /// Doors of the loops that hold nothing of this closed socket any more.
        var leftLoops: [ObjectIdentifier] = []
        var undelivered: [(endpoint: String, messages: Int)] = []
        /// What went over connections that are gone.
        var departed = Exchange()
        /// By endpoint.
        var tallies: [String: EndpointTally] = [:]
        /// Outbound pipes that have ended since the sender's news was last swept.
        var endedPipes = 0

        /// A number that no peer has, never 0.
        mutating func nextNumber() -> UInt32 {
            repeat { lastNumber &+= 1 } while lastNumber == 0 || numbers[lastNumber] != nil
            return lastNumber
        }

        mutating func unreserve(_ pipe: Pipe) {
            switch reservations.removeValue(forKey: ObjectIdentifier(pipe)) {
            case .number(let number): numbers[number] = nil
            case .routingID(let name): reserved[name] = nil
            case nil: break
            }
        }
    }

    /// What a connect may call its peer from the start.
    enum PeerName: Sendable {
        case routingID(Frame)
        case number(UInt32)
    }

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

    // MARK: Connections

    /// A pipe that the application writes and a loop (or another application) consumes.
    /// - Parameters:
    ///   - readerList: nil where the consumer comes later (inproc).
    ///   - extraMark: what the other side of an inproc connection adds to the mark; nil is no mark.
    func makeOutbound(readerList: ReadyList?, extraMark: Int? = 0) -> Pipe {
        let mark = options.sendHighWaterMark
        return Pipe(
            mark: mark == 0 ? 0 : extraMark.map { mark + $0 } ?? 0, byteMark: options.sendByteMark,
            pool: readerList == nil ? inprocPool : sendPool,
            readerList: readerList, writerList: sendList, latest: makeLatest(), budget: memory)
    }

    /// A pipe that a loop writes and the application consumes.
    func makeInbound(pool: ChunkPool, writerList: ReadyList, peer: Peer) -> Pipe {
        Pipe(
            mark: options.receiveHighWaterMark, byteMark: options.receiveByteMark, pool: pool,
            readerList: receiveList, writerList: writerList, peer: peer, latest: makeLatest())
    }

    /// What the handshake found, for admission.
    struct Arrival {
        let endpoint: String
        let address: SocketAddress?
        let socketType: SocketType?
        let identity: [UInt8]
        let properties: [String: [UInt8]]
        /// Whether we made the connection.
        let isDialed: Bool
    }

    enum Admission {
        case admitted(Registry.Connection)
        case refused(String)
    }

    /// Admits a peer whose handshake is done: names it, makes the pipes that are missing, and puts it into the
    /// tables. By the loop that has the connection, or by the thread that joins two inproc sockets.
    /// - Parameters:
    ///   - outbound: the pipe that outlives the connection, if there is one.
    ///   - make: makes the inbound pipe for the record of the peer.
    func admit(
        _ arrival: Arrival, outbound: Pipe?, door: LoopDoor, readerList: ReadyList, makeInbound: (Peer) -> Pipe?
    ) -> Admission {
        admit(
            arrival, door: door, kept: outbound,
            outbound: {
                if let outbound { return outbound }
                guard self.type.sends else { return nil }
                // Who sees the peer in the statistics finds its pipe among the news. The loop that serves the pipe is
                // the one that runs this, so the pipe has its server before it can have bytes.
                let made = self.makeOutbound(readerList: readerList)
                made.writerList.wake(made.notifyWriter(.attached))
                return made
            },
            inbound: { self.type.receives ? makeInbound($0) : nil })
    }

    /// Admits the other socket of an inproc connection, whose pipes exist already.
    func admit(_ arrival: Arrival, outbound: Pipe?, inbound: Pipe?) -> Admission {
        admit(arrival, door: nil, kept: outbound, outbound: { outbound }, inbound: { _ in inbound })
    }

    private func admit(
        _ arrival: Arrival, door: LoopDoor?, kept: Pipe?, outbound: () -> Pipe?, inbound: (Peer) -> Pipe?
    ) -> Admission {
        let id = context.nextID()
        var cut: (LoopDoor?, UInt64)?
        let admission = registry.withLock { registry -> Admission in
            if type.hasOnePeer, !registry.connections.isEmpty { return .refused("\(type) has a peer already") }
            var name = Frame(arrival.identity)
            var number: UInt32 = 0
            let reservation = kept.flatMap { registry.reservations[ObjectIdentifier($0)] }
            if type.numbersPeers {
                if case .number(let reserved) = reservation {
                    number = reserved
                } else {
                    number = registry.nextNumber()
                }
            }
            if type.namesPeers {
                if case .routingID(let reserved) = reservation {
                    name = reserved
                } else if registry.reserved[name] != nil {
                    return .refused("the identity \(name) is that of a connect")
                } else if name.isEmpty {
                    name = context.makeRoutingID()
                } else if let taken = registry.routes[name] {
                    guard options.isRouterHandover else { return .refused("the identity \(name) is taken") }
                    cut = (registry.connections[taken]?.door, taken)
                }
            }
            let pipe = outbound()
            let peer = Peer(
                id: id, endpoint: arrival.endpoint, address: arrival.address, socketType: arrival.socketType,
                routingID: name, number: number, properties: arrival.properties, isDialed: arrival.isDialed,
                outbound: pipe)
            let connection = Registry.Connection(
                peer: peer, inbound: inbound(peer), outbound: pipe, door: door, before: pipe?.passed ?? Traffic())
            registry.tally(arrival.endpoint) { $0.connections += 1 }
            registry.connections[id] = connection
            if type.namesPeers { registry.routes[name] = id }
            if number != 0, let pipe { registry.numbers[number] = pipe }
            return .admitted(connection)
        }
        if let (door, taken) = cut {
            door?.post(.cut(self, peer: taken, .peerRefused("its identity was taken over")))
        }
        return admission
    }

    /// Takes a peer out of the tables.
    /// - Parameter keepsSubscriber: the peer will come back, and what it subscribed to is kept for it.
    func dismiss(_ id: UInt64, keepsSubscriber: Bool = false) {
        let subscriber = registry.withLock { registry -> Subscriber? in
            guard let connection = registry.connections.removeValue(forKey: id) else { return nil }
            registry.departed += connection.exchange
            if registry.routes[connection.peer.routingID] == id {
                registry.routes[connection.peer.routingID] = nil
            }
            if let pipe = connection.outbound {
                groups?.remove(pipe)
                // The queue of a connect outlives its connections, so its name does; inproc is never connected again.
                if connection.door == nil { registry.unreserve(pipe) }
                if registry.reservations[ObjectIdentifier(pipe)] == nil {
                    registry.numbers[connection.peer.number] = nil
                }
            }
            return connection.subscriber
        }
        if let subscriber, !keepsSubscriber { publisher?.gone(subscriber) }
        subscriptions?.forget(id)
    }

    func note(_ subscriber: Subscriber, of peer: UInt64) {
        registry.withLock { $0.connections[peer]?.subscriber = subscriber }
    }

    /// The subscriber of that number, while it is connected (XPUB).
    func subscriber(_ id: UInt64) -> Subscriber? {
        registry.withLock { registry in registry.connections.values.first { $0.subscriber?.id == id }?.subscriber }
    }

    /// The pipe towards the peer of that name (ROUTER).
    func route(_ name: Frame) -> Pipe? {
        registry.withLock { registry in
            registry.routes[name].flatMap { registry.connections[$0]?.outbound } ?? registry.reserved[name]
        }
    }

    /// Ended pipes that may wait in the sender's news before it is swept; more where there are many peers.
    private static var endedBound: Int { 64 }

    /// An outbound pipe has ended, and the sender has been told. A socket whose user only receives never hears of it,
    /// and would keep a pipe for each peer that was there: pipes that came and went between two sends are taken out of
    /// its news. The sender puts nothing into a pipe before it has heard of it, so nothing is lost with them.
    func noteEnded() {
        let isDue = registry.withLock { registry in
            registry.endedPipes += 1
            guard registry.endedPipes >= max(Self.endedBound, registry.connections.count / 2) else { return false }
            registry.endedPipes = 0
            return true
        }
        if isDue { sendList.sweep([.attached, .ended]) }
    }

    /// The pipe towards the peer of that number (SERVER, PEER).
    func route(number: UInt32) -> Pipe? { registry.withLock { $0.numbers[number] } }

    /// Names the peer of a connect before it is there.
    /// - Throws: `invalidOption` if the name is taken.
    func reserve(_ name: PeerName, for pipe: Pipe) throws(ZeroMQError) {
        let isFree = registry.withLock { registry in
            switch name {
            case .number(let number): registry.numbers[number] = pipe
            case .routingID(let name):
                guard registry.routes[name] == nil, registry.reserved[name] == nil else { return false }
                registry.reserved[name] = pipe
            }
            registry.reservations[ObjectIdentifier(pipe)] = name
            return true
        }
        guard isFree else {
            throw ZeroMQError(.invalidOption, "a peer of this \(type) socket has the routing id \(name) already")
        }
    }

    /// The queue of a connect ends: its name, if it has one, leads nowhere any more.
    func unreserve(_ pipe: Pipe) { registry.withLock { $0.unreserve(pipe) } }

    // MARK: Inproc

    func pair(_ id: UInt64, with core: SocketCore, _ partner: UInt64) {
        registry.withLock { $0.connections[id]?.partner = (core, partner) }
    }

    /// The other side of an inproc connection goes.
    private func partnerLeaves(_ id: UInt64, isClosing: Bool) {
        let connection = registry.withLock { $0.connections[id] }
        dismiss(id)
        if isClosing, let connection { noteDeparture(of: connection.peer, connection.inbound) }
    }

    /// Leaves inproc connections.
    /// - Parameter endpoint: only those there, and what is queued can still be taken on both sides; nil leaves all
    ///   because this socket closes, and the other sides count what nobody will take.
    func leaveInproc(endpoint: String? = nil) {
        let connections = registry.withLock { registry in
            registry.connections.filter {
                $0.value.door == nil && (endpoint == nil || $0.value.peer.endpoint == endpoint)
            }
        }
        for (id, connection) in connections {
            dismiss(id)
            if let (core, partner) = connection.partner {
                core.partnerLeaves(partner, isClosing: endpoint == nil)
                core.report(.disconnected(nil), connection.peer.endpoint)
            }
            if endpoint != nil {
                for pipe in [connection.inbound, connection.outbound] {
                    if let pipe { pipe.writerList.wake(pipe.notifyWriter(.leaving)) }
                }
            } else if let inbound = connection.inbound {
                _ = inbound.reader.pointee.seize()
                inbound.writerList.wake(inbound.notifyWriter(.ended))
            }
        }
    }
}
