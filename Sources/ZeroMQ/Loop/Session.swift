import Glibc
import Proactor
import Synchronization
import ZMTP

/// One connection: its handshake, what it receives (`Inflow`) and what it sends (`Outflow`). Lives on one loop.
///
/// A session never outlives its operations: `end` closes the handle, and only the completion of that close, which
/// comes after every other, lets the session go.
final class Session {
    enum Phase {
        case handshaking
        case running
        /// Nothing more is received; what is queued is sent, then the connection ends.
        case finishing
        case closing
    }

    // First what every message needs.

    let handle: Handle
    private(set) var phase = Phase.handshaking
    /// The handle is to be closed when the caller that may be sending on it has handed the pipe over.
    private var closesOnArrival = false
    let inflow = Inflow()
    let outflow = Outflow()
    /// Heartbeats, where there are any.
    var pulse: Pulse?
    let core: SocketCore
    let endpoint: UInt64
    let text: String
    let address: SocketAddress?
    /// Who made the connection and will make the next; nil for accepted ones.
    let dialer: Dialer?

    /// Given up when hands are shaken: an idle connection is to be small.
    private var opening: Opening?

    /// The handshake, on the heap of its own.
    private final class Opening {
        var handshake: Handshake
        init(_ handshake: Handshake) { self.handshake = handshake }
    }

    private var handshakeTimer: Token?
    /// Why a finishing session ends.
    private var farewell = SocketEvent.Kind.closed
    private(set) var peer: Peer?
    /// Ended because linger was over.
    private var isAbandoned = false
    /// The context of a PING that asks whether we are admitted.
    static let confirmation = Array("ready".utf8)
    var answersPings = false
    /// The connection ended by the peer's doing or by a fault, not by ours.
    private var isDeparture = false
    /// DISH: what the peer knows of our groups.
    var announced = Announced()
    /// The descriptor, for events.
    private var number: Int32 = -1
    /// What comes from a subscriber, if this is a publisher's session.
    var upstream: Upstream?
    /// The subscriptions that a publisher was told of.
    var told: (version: UInt64, protocolVersion: ProtocolVersion)?

    init(
        _ core: SocketCore, endpoint: UInt64, text: String, handle: Handle, address: SocketAddress?, dialer: Dialer?
    ) {
        self.core = core
        self.endpoint = endpoint
        self.text = text
        self.handle = handle
        self.address = address
        self.dialer = dialer
        opening = Opening(
            Handshake(
                HandshakeConfiguration(
                    socketType: core.type, identity: core.options.routingID.bytes,
                    limits: core.options.protocolLimits)))
    }

    // MARK: Life

    func start<B: Backend & ~Copyable>(on loop: Loop<B>) {
        number = loop.backend.descriptor(of: handle)
        if core.isRaw { return startRaw(on: loop) }
        handshakeTimer = loop.startTimer(after: core.options.handshakeTimeout, .handshake(self))
        if let opening { outflow.control.append(contentsOf: opening.handshake.start()) }
        outflow.flush(self, on: loop)
        inflow.arm(self, on: loop)
    }

    /// No greeting, no handshake: bytes as they are.
    private func startRaw<B: Backend & ~Copyable>(on loop: Loop<B>) {
        let arrival = SocketCore.Arrival(
            endpoint: text, address: address, socketType: nil, identity: [], properties: [:],
            isDialed: dialer != nil)
        let admission = core.admit(
            arrival, outbound: dialer?.pipe, door: loop.door, readerList: loop.door.list,
            makeInbound: { core.makeInbound(pool: loop.receivePool(core), writerList: loop.door.list, peer: $0) })
        guard case .admitted(let connection) = admission else {
            return end(.peerRefused("its name is taken"), on: loop)
        }
        phase = .running
        core.noteArrival(of: connection.peer)
        inflow.openRaw(connection.inbound)
        attach(connection, framing: .v2)
        core.confirm(connection.peer.id)
        outflow.flush(self, on: loop)
        inflow.arm(self, on: loop)
    }

    /// The pipes of an admitted peer are served from here on. One that is written by others than `inflow` (XPUB's) has
    /// no news for a session.
    private func attach(_ connection: SocketCore.Registry.Connection, framing: PeerInfo.Framing) {
        peer = connection.peer
        inflow.pipe?.server = .session(self)
        outflow.open(connection.outbound, framing: framing, isRaw: core.isRaw)
        connection.outbound?.server = .session(self)
        guard let dialer else { return }
        dialer.established()
        if dialer.pipe != nil, dialer.isConsumer {
            // The pipe filled while nobody was connected.
            outflow.isConsumer = true
            dialer.isConsumer = false
        }
    }

    func complete<B: Backend & ~Copyable>(_ completion: Completion, on loop: Loop<B>) {
        switch completion.token.purpose {
        case .receive: inflow.received(completion, self, on: loop)
        case .send: outflow.sent(completion, self, on: loop)
        case .close:
            if let error = completion.error { report(.closeFailed(error)) }
            closed(on: loop)
        default: break
        }
    }

    /// The outbound pipe is ours to consume: it has bytes.
    func outboundArrived<B: Backend & ~Copyable>(on loop: Loop<B>) {
        outflow.isConsumer = true
        if closesOnArrival {
            closesOnArrival = false
            loop.backend.close(handle)
        }
        outflow.flush(self, arrives: true, on: loop)
    }

    /// The application has taken half of the mark.
    func inboundHasRoom<B: Backend & ~Copyable>(on loop: Loop<B>) {
        inflow.resume(self, on: loop)
    }

    // MARK: Handshake

    /// Feeds the handshake.
    /// - Returns: bytes that it took; the rest is traffic.
    func shakeHands<B: Backend & ~Copyable>(_ bytes: UnsafeRawBufferPointer, on loop: Loop<B>) -> Int {
        guard let opening else { return 0 }
        var used = 0
        do throws(ZMTPError) {
            used = try opening.handshake.ingest(bytes)
            outflow.control.append(contentsOf: opening.handshake.takeOutput())
        } catch {
            // A last ERROR may tell the peer why; the connection ends once that has gone.
            farewell = refusal ?? .handshakeFailed(error)
            phase = .finishing
            outflow.control.append(contentsOf: opening.handshake.takeOutput())
            outflow.flush(self, on: loop)
            if !outflow.hasWork { drained(on: loop) }
            return bytes.count
        }
        if let info = opening.handshake.result {
            self.opening = nil
            run(info, on: loop)
        }
        outflow.flush(self, on: loop)
        // The end was ordered while hands were shaken: what is queued goes, then the connection ends.
        if dialer?.isFinishing == true { finish(on: loop) }
        return used
    }

    private func run<B: Backend & ~Copyable>(_ info: PeerInfo, on loop: Loop<B>) {
        loop.cancelTimer(handshakeTimer)
        handshakeTimer = nil
        let arrival = SocketCore.Arrival(
            endpoint: text, address: address, socketType: info.socketType, identity: info.identity,
            properties: Dictionary(info.metadata.properties.map { ($0.name, $0.value) }) { first, _ in first },
            isDialed: dialer != nil)
        let admission = core.admit(
            arrival, outbound: dialer?.pipe, door: loop.door, readerList: loop.door.list,
            makeInbound: { core.makeInbound(pool: loop.receivePool(core), writerList: loop.door.list, peer: $0) })
        switch admission {
        case .refused(let why): end(.peerRefused(why), on: loop)
        case .admitted(let connection):
            phase = .running
            core.noteArrival(of: connection.peer)
            outflow.control.append(contentsOf: core.greeting(info.framing))
            if let joined = core.joined {
                for group in joined.set.withLock({ $0 }) {
                    announced.change(group, joins: true, to: &outflow.control)
                }
            }
            inflow.open(core.publisher == nil ? connection.inbound : nil, info, core.options.protocolLimits)
            attach(connection, framing: info.framing)
            if let publisher = core.publisher { serve(connection, publisher, info, on: loop) }
            if core.subscriptions != nil { tellAll(info.version) }
            report(.handshakeSucceeded)
            answersPings = info.supportsHeartbeats
            if core.readiness.isWanted.load(ordering: .acquiring) { confirm(on: loop) }
            startPulse(info, on: loop)
        }
    }

    func handshakeTimedOut<B: Backend & ~Copyable>(on loop: Loop<B>) {
        handshakeTimer = nil
        switch phase {
        case .handshaking: end(.handshakeTimedOut, on: loop)
        // The last words to a peer that failed it could not be sent.
        case .finishing: end(farewell, on: loop)
        case .running, .closing: break
        }
    }

    /// Asks the peer whether it has admitted us: a PING behind our READY is answered by a session that runs.
    func confirm<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard phase == .running, let peer else { return }
        if let told { return askForConfirmation(told.version, on: loop) }
        guard answersPings else { return core.confirm(peer.id) }
        Command.appendPing(ttl: 0, context: Self.confirmation, to: &outflow.control)
        outflow.flush(self, on: loop)
    }

    // MARK: The end

    /// Stops receiving, sends what is queued, then ends: an orderly close from our side.
    func finish<B: Backend & ~Copyable>(on loop: Loop<B>) {
        switch phase {
        case .handshaking:
            if dialer?.hasUnsent != true { end(.closed, on: loop) }
        case .running:
            phase = .finishing
            pausePulse()
            // A caller may be sending what it published: then the pipe comes, and `drained` with it.
            guard outflow.ownsConnection() else { return }
            outflow.feed?.freeze(on: loop)
            outflow.flush(self, on: loop)
            if !outflow.hasWork { end(.closed, on: loop) }
        case .finishing, .closing: break
        }
    }

    /// The application has ordered the end of a raw connection by an empty message; it is not made again.
    func endAsOrdered<B: Backend & ~Copyable>(on loop: Loop<B>) {
        dialer?.stop()
        end(.closed, on: loop)
    }

    /// Ends at once; linger is over.
    func abandon<B: Backend & ~Copyable>(on loop: Loop<B>) {
        if phase != .closing { isAbandoned = true }
        end(.closed, on: loop)
    }

    /// Everything queued went, in a session that is finishing.
    func drained<B: Backend & ~Copyable>(on loop: Loop<B>) {
        if phase == .finishing, !outflow.hasWork { end(farewell, on: loop) }
    }

    /// Ends the connection for the reason given. Further completions only free what they hold.
    func end<B: Backend & ~Copyable>(
        _ reason: SocketEvent.Kind, losing loss: LossReason = .cutShort, on loop: Loop<B>
    ) {
        guard phase != .closing else { return }
        // A connection may break while the last words to a peer that failed its handshake are sent.
        let reason = phase == .finishing && farewell != .closed ? farewell : reason
        let wasHandshaking = phase == .handshaking
        phase = .closing
        loop.cancelTimer(handshakeTimer)
        handshakeTimer = nil
        if let pulse { loop.forget(pulse) }
        pulse = nil
        inflow.forgetHunger(self, on: loop)
        core.lose(inflow.unpublished, loss, endpoint: text)
        tell(reason, wasHandshaking)
        closesOnArrival = !outflow.ownsConnection()
        if !closesOnArrival { loop.backend.close(handle) }
        dialer?.noteEnd(reason)
        switch reason {
        case .closed, .peerRefused: break
        default: isDeparture = true
        }
    }

    /// What went wrong, then the end, as long as the descriptor is open. An end on request is no news.
    private func tell(_ reason: SocketEvent.Kind, _ wasHandshaking: Bool) {
        switch reason {
        case .closed: return
        case .disconnected(let error):
            if wasHandshaking { report(.handshakeBroken(error)) }
            report(reason)
        default:
            report(reason)
            report(.disconnected(nil))
        }
    }

    /// The peer's ERROR, where it is the verdict of an authenticator: a status of 27/ZAP, as the reference sends it.
    private var refusal: SocketEvent.Kind? {
        guard let reason = opening?.handshake.peerReason, ["300", "400", "500"].contains(reason) else { return nil }
        return Int(reason).map { .authenticationFailed(status: $0) }
    }

    private func report(_ kind: SocketEvent.Kind) {
        core.report(
            kind,
            EventPlace(
                endpoint: text, peer: address, descriptor: number, isBound: dialer == nil,
                detail: kind == .handshakeFailed(.refusedByPeer) ? opening?.handshake.peerReason : nil))
    }

    /// Nothing is in flight any more.
    private func closed<B: Backend & ~Copyable>(on loop: Loop<B>) {
        // What is in the pipe of a closed socket, nobody will take any more.
        if core.phase.load(ordering: .acquiring) != .open, let pipe = inflow.pipe {
            core.lose(pipe.queued.messages, .notTaken, endpoint: text)
        }
        upstream?.close()
        let keepsFeed = outflow.feed != nil && dialer?.isFinishing == false && !isAbandoned
        if let feed = outflow.feed {
            if keepsFeed {
                feed.detach()
                dialer?.feed = feed
            } else {
                loop.end(feed, core, isAbandoned ? .lingerOver : .peerGone, text)
                dialer?.feed = nil
            }
        }
        if let peer {
            core.dismiss(peer.id, keepsSubscriber: keepsFeed)
            if isDeparture { core.noteDeparture(of: peer, inflow.pipe) }
        }
        inflow.close()
        if let pipe = outflow.pipe {
            if outflow.isShared { pipe.reader.pointee.descriptor = -1 }
            if let dialer, dialer.pipe === pipe {
                // Unsent messages stay; a half-sent one goes again, whole, on the next connection.
                if outflow.isConsumer { dialer.isConsumer = true }
                if outflow.isConsumer { pipe.reader.pointee.rewind() }
                pipe.server = .dialer(dialer)
            } else {
                pipe.server = nil
                loop.abandon(pipe, core, isAbandoned ? .lingerOver : .peerGone, text)
            }
        }
        outflow.close()
        loop.ended(self)
    }
}
