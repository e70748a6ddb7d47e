import Proactor
public import ZMTP

/// What all sockets have: endpoints, options, events, statistics, an end.
///
/// A socket may be used from any thread or task; at most one sends and one receives at a time (more trap). Closing
/// and asking may happen meanwhile.
///
/// Dropping the last reference closes: see `close`.
///
/// Sendable: the stored properties are immutable and Sendable.
public class Socket: @unchecked Sendable {
    let core: SocketCore
    /// A context lives as long as its sockets: the loops go on for them.
    private let context: Context

    init(_ type: SocketType, _ context: Context, _ options: SocketOptions) throws(ZeroMQError) {
        self.context = context
        core = try SocketCore(context.core, type, options)
    }

    deinit { core.close() }

    /// The socket's type.
    public final var type: SocketType { core.type }

    // MARK: Patterns

    /// Puts one single-frame message into a pipe, if a peer can take it. Patterns with something to say override it.
    func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        guard let pipe = core.sender.pointee.choose() else { return .full }
        if let latest = pipe.latest {
            try core.conflate(Message(Frame(copying: bytes)), in: latest, pipe)
            return .sent
        }
        pipe.writer.pointee.put([], bytes)
        try core.commit(pipe)
        return .sent
    }

    /// Puts one message into a pipe, if a peer can take it.
    func offer(_ message: Message) throws(ZeroMQError) -> SendResult {
        guard let pipe = core.sender.pointee.choose() else { return .full }
        if let latest = pipe.latest {
            try core.conflate(message, in: latest, pipe)
            return .sent
        }
        pipe.put(message, from: 0)
        try core.commit(pipe)
        return .sent
    }

    /// Looks at the message that a pipe has next, takes envelope frames off, or drops it.
    /// - Returns: false if the message was dropped.
    func admit(_ pipe: Pipe) -> Bool { true }

    /// Before a receive: throws if the pattern does not allow one now.
    func checkReceive() throws(ZeroMQError) {}

    /// Whether the next receive would get a message: looked at without taking one. By the receiver. If not, the news
    /// has been taken in, and whatever brings a message tells the watches of the receiving list.
    func canReceive() -> Bool { core.receiver.pointee.hasMessage() }

    /// Whether the next send would be taken. By the sender. If not, the news has been taken in, and if `prepareToWait`
    /// agrees, whatever brings room tells the watches of the sending list.
    func canSend() -> Bool { core.sender.pointee.hasRoom() }

    // MARK: Endpoints

    /// Binds to `tcp://host:port` (`*` for any host or port), `ipc://path`, `ipc://@name` (abstract), `ipc://*`, or
    /// `inproc://name`. A socket may bind and connect as often as it likes.
    /// - Returns: the endpoint as it really is.
    /// - Throws: `addressInUse`, `bindFailed`, `invalidEndpoint`, `unsupportedTransport`; nothing is bound then.
    @discardableResult
    public final func bind(_ endpoint: String) throws(ZeroMQError) -> String {
        try core.checkOpen()
        let parsed = try Endpoint(endpoint)
        let id = core.context.nextID()
        if case .inproc(let name) = parsed {
            try core.refuseRawInproc(endpoint)
            try core.context.inproc.bind(name, core)
            core.add(id, parsed.description, door: nil, inproc: name)
            return parsed.description
        }
        let (descriptor, actual): (Int32, Endpoint)
        do throws(ZeroMQError) {
            (descriptor, actual) = try Transport.listen(parsed, core.options)
        } catch {
            // A name that has no address is no error of the system's; libzmq says ENODEV.
            core.report(
                .bindFailed(error.underlying ?? SystemError(code: 19)),
                EventPlace(endpoint: parsed.description, isBound: true))
            throw error
        }
        let door = core.context.nextDoor(for: core)
        core.add(id, actual.description, door: door, inproc: nil)
        core.registry.withLock { _ = $0.listeners.insert(id) }
        door.post(.listen(core, endpoint: id, text: actual.description, descriptor: descriptor))
        return actual.description
    }

    /// Connects, now or as soon as the other side is there, and again whenever the connection is lost.
    /// - Throws: `invalidEndpoint`, `unsupportedTransport`; a peer that is not there is no error.
    public final func connect(_ endpoint: String) throws(ZeroMQError) { try connect(endpoint, as: nil) }

    /// Connects to a peer that has a name from the start.
    final func connect(_ endpoint: String, named routingID: Frame) throws(ZeroMQError) {
        guard 1...255 ~= routingID.count, routingID.withUnsafeBytes({ $0[0] != 0 }) else {
            throw ZeroMQError(
                .invalidOption, "a routing id has 1 to 255 bytes, the first not zero: not \(routingID)")
        }
        try connect(endpoint, as: .routingID(routingID))
    }

    /// - Parameter peer: what the peer is called from now on; its queue is made at once and kept.
    final func connect(_ endpoint: String, as peer: SocketCore.PeerName?) throws(ZeroMQError) {
        try core.checkOpen()
        let target = try Endpoint(endpoint)
        let id = core.context.nextID()
        core.subscriptions?.expect(id)
        switch target {
        case .inproc(let name):
            try core.refuseRawInproc(endpoint)
            try core.context.inproc.connect(name, core, endpoint: id, as: peer)
            return core.add(id, target.description, door: nil, inproc: name)
        case .tcp(let host, let port):
            guard port != 0, host != "*" else {
                throw ZeroMQError(.invalidEndpoint, "cannot connect \(endpoint): host and port must be given")
            }
        case .ipc(let path):
            guard path != "*" else {
                throw ZeroMQError(.invalidEndpoint, "cannot connect \(endpoint): a path or name must be given")
            }
        }
        let door = core.context.nextDoor(for: core)
        var pipe: Pipe?
        if peer != nil || core.type.keepsQueueWhileAway && !core.options.isImmediate {
            pipe = core.makeOutbound(readerList: door.list)
        }
        if let peer, let pipe { try core.reserve(peer, for: pipe) }
        core.add(id, target.description, door: door, inproc: nil, pipe: pipe)
        door.post(.dial(core, endpoint: id, target: target, pipe: pipe))
        // Only now may the sender meet the pipe: the loop knows whose it is.
        if let pipe { core.sendList.wake(pipe.notifyWriter(.attached)) }
        if let driver = core.callerDriver { try driver.turn(until: .distantPast) }
    }

    /// Ends a bind: no further connections, those there are finish sending and end. The address can be bound again
    /// when it returns, with the exception that `close` names.
    /// - Throws: `endpointUnknown`.
    public final func unbind(_ endpoint: String) throws(ZeroMQError) { try core.remove(endpoint) }

    /// Ends a connect: what is queued is sent if the peer is there, then the connection ends.
    /// - Throws: `endpointUnknown`.
    public final func disconnect(_ endpoint: String) throws(ZeroMQError) { try core.remove(endpoint) }

    /// The endpoint last bound or connected, as it really is; empty before.
    public final var lastEndpoint: String { core.registry.withLock(\.lastEndpoint) }

    // MARK: Seeing

    /// A new listener to the socket's events, for as long as somebody holds it.
    /// - Parameter bound: events that may wait; beyond, the newest are lost with a count. Default 1024.
    public final func monitor(bound: Int = 1024) -> SocketMonitor {
        let monitor = SocketMonitor(bound: bound, of: core)
        core.add(monitor)
        return monitor
    }

    /// Tells every monitor each peer's queue lengths, as `queues` events (libzmq's zmq_socket_monitor_pipes_stats).
    public final func reportQueues() {
        for share in statistics.peers {
            core.report(
                .queues(toSend: share.toSend.messages, toTake: share.toTake.messages),
                EventPlace(endpoint: share.peer.endpoint, peer: share.peer.address, isBound: share.peer.isBound))
        }
    }

    /// Queue lengths and losses at this moment.
    public final var statistics: SocketStatistics { SocketStatistics(core) }

    // MARK: The end

    /// Closes the socket: waiting calls end with `socketClosed`, endpoints go, unsent messages are kept for the
    /// linger time while the loop goes on in the background; `Context.close` tells what was not delivered.
    ///
    /// It does not wait for linger, only for the loop to give up what was bound, a turn or two: the addresses can be
    /// bound again when it returns. On a loop's own thread (a task on `Context.executor`) it does not wait for that
    /// either; there a monitor's `closed` event says when.
    public final func close() { core.close() }
}

extension Pipe {
    /// Puts the frames of a message from an index on; they are published together.
    func put(_ message: Message, from start: Int) {
        let last = message.count - 1
        for index in start...last {
            let frame = message[index]
            frame.withUnsafeBytes { bytes in
                let flags: FrameFlags = index == last ? [] : .more
                if let owner = frame.owner {
                    writer.pointee.put(flags, bytes, owner: owner)
                } else {
                    writer.pointee.put(flags, bytes)
                }
            }
        }
    }
}

extension SocketCore {
    /// Publishes what was put into a pipe, and lets it leave.
    @inline(__always)
    func commit(_ pipe: Pipe) throws(ZeroMQError) {
        let departure = sender.pointee.publish(pipe)
        if let callerDriver { try callerDriver.afterSend(pipe.queued.bytes, departure) }
    }

    func refuseRawInproc(_ endpoint: String) throws(ZeroMQError) {
        guard isRaw else { return }
        throw ZeroMQError(
            .unsupportedTransport, "cannot use \(endpoint): a connection without ZMTP is one of tcp or ipc")
    }

    /// Publishes messages that were put into a pipe and counted, and lets them leave.
    func commitRun(_ pipe: Pipe) throws(ZeroMQError) {
        let departure = sender.pointee.publishRun(pipe)
        if let callerDriver { try callerDriver.afterSend(pipe.queued.bytes, departure) }
    }

    func add(_ id: UInt64, _ text: String, door: LoopDoor?, inproc: String?, pipe: Pipe? = nil) {
        registry.withLock { registry in
            registry.entries.append(.init(id: id, text: text, door: door, inproc: inproc, pipe: pipe))
            registry.lastEndpoint = text
        }
    }

    func remove(_ text: String) throws(ZeroMQError) {
        try checkOpen()
        let wanted = try Endpoint(text).description
        let entry = registry.withLock { registry -> Registry.Entry? in
            guard let index = registry.entries.lastIndex(where: { $0.text == wanted }) else { return nil }
            return registry.entries.remove(at: index)
        }
        guard let entry else {
            throw ZeroMQError(.endpointUnknown, "this \(type) socket has neither bound nor connected \(text)")
        }
        subscriptions?.forgetTarget(entry.id)
        if let name = entry.inproc {
            context.inproc.unbind(name, self)
            context.inproc.forget(name, self, endpoint: entry.id)
            leaveInproc(endpoint: wanted)
        } else {
            // The sender hears of it before its next message: nothing more goes that way.
            let connected = registry.withLock { registry in
                registry.connections.values.filter { $0.peer.endpoint == wanted }.compactMap(\.outbound)
            }
            if let pipe = entry.pipe { unreserve(pipe) }
            for pipe in connected + (entry.pipe.map { [$0] } ?? []) {
                sendList.wake(pipe.notifyWriter(.leaving))
            }
            entry.door?.post(.end(self, endpoint: entry.id))
            // Connections accepted for it may live on other loops.
            for door in context.allDoors where door !== entry.door { door.post(.end(self, endpoint: entry.id)) }
            awaitRelease { !$0.listeners.contains(entry.id) }
        }
    }
}
