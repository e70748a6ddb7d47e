import Proactor
import ZMTP

/// Peers come, get a name or a number and their pipes, and go.
extension SocketCore {
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
                } else if let taken = registry.routes[name]?.id {
                    guard options.isRouterHandover else { return .refused("the identity \(name) is taken") }
                    cut = (registry.connections[taken]?.door, taken)
                }
            }
            let pipe = outbound()
            let peer = Peer(
                id: id, endpoint: arrival.endpoint, address: arrival.address, socketType: arrival.socketType,
                routingID: name, number: number, properties: arrival.properties, isDialed: arrival.isDialed,
                outbound: type == .req || type == .rep ? pipe : nil)
            let connection = Registry.Connection(
                peer: peer, inbound: inbound(peer), outbound: pipe, door: door, before: pipe?.passed ?? Traffic())
            registry.tally(arrival.endpoint) { $0.connections += 1 }
            registry.connections[id] = connection
            if type.namesPeers { registry.routes[name] = .init(id: id, outbound: pipe) }
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
            if registry.routes[connection.peer.routingID]?.id == id {
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
        registry.withLock { $0.routes[name]?.outbound ?? $0.reserved[name] }
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
}
