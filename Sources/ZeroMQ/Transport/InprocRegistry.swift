import Proactor
import ZMTP

/// Names within a context: sockets of one process joined pipe to pipe, without a loop. Binding and connecting may
/// come in any order.
final class InprocRegistry: Sendable {
    /// A connect that waits for its bind.
    struct Waiting {
        let core: SocketCore
        let endpoint: UInt64
        /// Made without a consumer; nil for types that send nothing or that name peers first.
        let outbound: Pipe?
    }

    private struct Names {
        var bound: [String: SocketCore] = [:]
        var waiting: [String: [Waiting]] = [:]
        /// Names that a socket has bound or connected, until it leaves: with many sockets none looks at all names.
        var own: [ObjectIdentifier: Set<String>] = [:]
    }

    private let names = Locked(Names())

    func bind(_ name: String, _ core: SocketCore) throws(ZeroMQError) {
        let waiting = names.withLock { names -> [Waiting]? in
            guard names.bound[name] == nil else { return nil }
            names.bound[name] = core
            names.own[ObjectIdentifier(core), default: []].insert(name)
            return names.waiting.removeValue(forKey: name) ?? []
        }
        guard let waiting else {
            throw ZeroMQError(.addressInUse, "cannot bind inproc://\(name): the name is taken in this context")
        }
        core.report(.listening, "inproc://\(name)")
        for each in waiting { Self.join(name, each, to: core) }
    }

    func connect(
        _ name: String, _ core: SocketCore, endpoint: UInt64, as peer: SocketCore.PeerName? = nil
    ) throws(ZeroMQError) {
        // A pipe that will be joined now or later starts without a consumer either way. Its mark has the receiver's
        // room as well if that is known already.
        let known = names.withLock { $0.bound[name] }
        let outbound =
            core.type.sends && (peer != nil || core.type.keepsQueueWhileAway && !core.options.isImmediate)
            ? core.makeOutbound(readerList: nil, extraMark: known.map(\.inprocMark) ?? 0) : nil
        core.greet(outbound)
        if let peer, let outbound { try core.reserve(peer, for: outbound) }
        if let outbound { core.sendList.wake(outbound.notifyWriter(.attached)) }
        let each = Waiting(core: core, endpoint: endpoint, outbound: outbound)
        let binder = names.withLock { names -> SocketCore? in
            if let binder = names.bound[name] { return binder }
            names.waiting[name, default: []].append(each)
            names.own[ObjectIdentifier(core), default: []].insert(name)
            return nil
        }
        if let binder { Self.join(name, each, to: binder) }
    }

    func unbind(_ name: String, _ core: SocketCore) {
        names.withLock { names in
            if names.bound[name] === core { names.bound[name] = nil }
        }
    }

    /// Ends a connect that still waits for its bind.
    func forget(_ name: String, _ core: SocketCore, endpoint: UInt64) {
        let pipes = names.withLock { names -> [Pipe] in
            guard let waiting = names.waiting[name] else { return [] }
            names.waiting[name] = waiting.filter { $0.endpoint != endpoint }
            return waiting.filter { $0.endpoint == endpoint }.compactMap(\.outbound)
        }
        for pipe in pipes { core.unreserve(pipe) }
        for pipe in pipes { pipe.writerList.wake(pipe.notifyWriter(.ended)) }
    }

    /// Forgets a socket wherever it stands: those are names of its own, so that many sockets go in linear time.
    /// - Returns: the pipes of its connects that no bind ever met.
    func leave(_ core: SocketCore) -> [(name: String, pipe: Pipe)] {
        names.withLock { names in
            var left: [(String, Pipe)] = []
            for name in names.own.removeValue(forKey: ObjectIdentifier(core)) ?? [] {
                if names.bound[name] === core { names.bound[name] = nil }
                guard let waiting = names.waiting[name] else { continue }
                let others = waiting.filter { $0.core !== core }
                left += waiting.filter { $0.core === core }.compactMap(\.outbound).map { (name, $0) }
                names.waiting[name] = others.isEmpty ? nil : others
            }
            return left
        }
    }

    /// Joins a connecting socket to a bound one: each admits the other, each gets the other's pipe to read from.
    private static func join(_ name: String, _ waiting: Waiting, to binder: SocketCore) {
        let text = "inproc://\(name)"
        let connector = waiting.core
        guard connector.type.isCompatible(with: binder.type) else {
            connector.report(.handshakeFailed(.incompatibleSocketTypes), text)
            return
        }
        func arrival(of core: SocketCore, isDialed: Bool) -> SocketCore.Arrival {
            SocketCore.Arrival(
                endpoint: text, address: nil, socketType: core.type, identity: core.options.routingID.bytes,
                properties: [:], isDialed: isDialed)
        }
        let forth =
            waiting.outbound
            ?? (connector.sendsInproc(to: binder)
                ? connector.makeOutbound(readerList: nil, extraMark: binder.inprocMark) : nil)
        let back =
            binder.sendsInproc(to: connector)
            ? binder.makeOutbound(readerList: nil, extraMark: connector.inprocMark) : nil
        // Before the writer knows the pipe.
        binder.greet(back)
        if waiting.outbound == nil { connector.greet(forth) }
        // A pipe's news comes before its bytes, and before anybody can find the pipe elsewhere.
        if let back { binder.sendList.wake(back.notifyWriter(.attached)) }
        if let forth, waiting.outbound == nil { connector.sendList.wake(forth.notifyWriter(.attached)) }
        func end() {
            for pipe in [forth, back] {
                if let pipe { pipe.writerList.wake(pipe.notifyWriter(.ended)) }
            }
        }
        guard
            case .admitted(let atBinder) = binder.admit(
                arrival(of: connector, isDialed: false), outbound: back, inbound: forth)
        else {
            connector.report(.peerRefused("the bound socket takes no further peer"), text)
            return end()
        }
        guard
            case .admitted(let atConnector) = connector.admit(
                arrival(of: binder, isDialed: true), outbound: forth, inbound: back)
        else {
            binder.dismiss(atBinder.peer.id)
            connector.report(.peerRefused("this socket takes no further peer"), text)
            return end()
        }
        binder.pair(atBinder.peer.id, with: connector, atConnector.peer.id)
        connector.pair(atConnector.peer.id, with: binder, atBinder.peer.id)
        connector.tellGroups(to: binder, atBinder.peer.id)
        binder.tellGroups(to: connector, atConnector.peer.id)
        binder.noteArrival(of: atBinder.peer)
        connector.noteArrival(of: atConnector.peer)
        forth?.join(binder.receiveList, peer: atBinder.peer)
        back?.join(connector.receiveList, peer: atConnector.peer)
        if let back, binder.type.isPublisher {
            binder.serveInproc(atBinder.peer, back, connector, atConnector.peer, endpoint: waiting.endpoint)
        }
        if let forth, connector.type.isPublisher {
            connector.serveInproc(atConnector.peer, forth, binder, atBinder.peer, endpoint: 0)
        }
        binder.report(.accepted, text)
        connector.report(.connected, text)
        binder.confirm(atBinder.peer.id)
        connector.confirm(atConnector.peer.id)
    }
}

extension SocketCore {
    /// What a receiver adds to the mark of an inproc pipe: there is one queue, and it has both sides' room.
    var inprocMark: Int? { options.receiveHighWaterMark == 0 ? nil : options.receiveHighWaterMark }

    /// Whether a pipe leads from here to the other socket of an inproc connection.
    func sendsInproc(to other: SocketCore) -> Bool {
        type.isPublisher || type.sends && other.type.receives
    }

    /// Begins to serve a subscriber of the same context: it is matched here and has a pipe of its own.
    func serveInproc(
        _ peer: Peer, _ pipe: Pipe, _ other: SocketCore, _ atOther: Peer, endpoint: UInt64
    ) {
        guard let publisher, let subscriptions = other.subscriptions else { return }
        let subscriber = Subscriber(id: peer.id, fanout: nil, pipe: pipe)
        note(subscriber, of: peer.id)
        if let message = options.welcomeMessage { publisher.settle(subscriber, welcome: message) }
        publisher.arrived(subscriber)
        subscriptions.join(publisher, subscriber, connection: atOther.id, endpoint: endpoint)
    }
}
