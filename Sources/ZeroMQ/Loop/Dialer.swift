import Proactor

/// Makes one connection, and makes it again when it is lost: connect, back off, again. Lives on one loop.
final class Dialer {
    private enum Phase {
        case idle, resolving, connecting, connected, pausing
        /// The attempt's descriptor is being closed; then comes a pause or the end.
        case failing
        case ended
    }

    let core: SocketCore
    let endpoint: UInt64
    let target: Endpoint
    let text: String
    /// The queue that is kept while the peer is away; nil for types that name a peer before they queue.
    let pipe: Pipe?
    /// Whether the pipe's consuming side is here: it has bytes and no connection.
    var isConsumer = false
    var session: Session?
    /// What a publisher keeps for the peer while it is away.
    var feed: Feed?

    private var phase = Phase.idle
    /// No further connection is wanted once what is queued has gone.
    private(set) var isFinishing = false
    private var failures = 0
    private var wasConnected = false
    private var handle: Handle?
    /// The descriptor of the attempt, and where it goes: for events.
    private var place: EventPlace
    private var timer: Token?
    private var isRefused = false

    init(_ core: SocketCore, endpoint: UInt64, target: Endpoint, pipe: Pipe?) {
        self.core = core
        self.endpoint = endpoint
        self.target = target
        text = target.description
        place = EventPlace(endpoint: text)
        self.pipe = pipe
        pipe?.server = .dialer(self)
    }

    // MARK: One attempt

    func attempt<B: Backend & ~Copyable>(on loop: Loop<B>) {
        timer = nil
        guard phase == .idle || phase == .pausing else { return }
        switch target {
        case .ipc(let path): connect(SocketAddress(unix: path), on: loop)
        case .tcp(let host, let port):
            if let address = SocketAddress(numeric: host, port: port) { return connect(address, on: loop) }
            // Names are asked for again at each attempt: they may have moved.
            phase = .resolving
            Resolver.resolve(host, port: port) { [door = loop.door, core, endpoint] address in
                door.post(.resolved(core, endpoint: endpoint, address))
            }
        case .inproc: preconditionFailure("inproc has no dialer")
        }
    }

    func resolved<B: Backend & ~Copyable>(_ address: SocketAddress?, on loop: Loop<B>) {
        guard phase == .resolving else { return }
        if isFinishing, !hasUnsent { return endNow(on: loop) }
        connect(address, on: loop)
    }

    private func connect<B: Backend & ~Copyable>(_ address: SocketAddress?, on loop: Loop<B>) {
        place = EventPlace(endpoint: text, peer: address)
        guard let address else { return pause(.connectFailed(nil), on: loop) }
        do throws(ProactorError) {
            let handle = try loop.backend.adopt(Descriptor.stream(for: address))
            self.handle = handle
            loop.own(handle, .dialer(self))
            place.descriptor = loop.backend.descriptor(of: handle)
            Transport.configure(loop.backend.descriptor(of: handle), address, core.options)
            phase = .connecting
            loop.backend.connect(handle, to: address)
            if let timeout = core.options.connectTimeout { timer = loop.startTimer(after: timeout, .attempt(self)) }
            core.report(.connectDelayed, place)
        } catch {
            pause(.connectFailed(SystemError(code: error.errno)), on: loop)
        }
    }

    func attemptTimedOut<B: Backend & ~Copyable>(on loop: Loop<B>) {
        timer = nil
        if phase == .connecting { fail(.timedOut, on: loop) }
    }

    func complete<B: Backend & ~Copyable>(_ completion: Completion, on loop: Loop<B>) {
        switch completion.token.purpose {
        case .connect where phase == .connecting:
            loop.cancelTimer(timer)
            timer = nil
            guard completion.result >= 0, let handle else { return fail(completion.error, on: loop) }
            phase = .connected
            self.handle = nil
            let address = Descriptor.peerAddress(of: loop.backend.descriptor(of: handle))
            core.report(.connected, EventPlace(endpoint: text, peer: address, descriptor: place.descriptor))
            loop.startSession(core, endpoint: endpoint, text: text, handle, address, dialer: self)
        case .close:
            if let handle { loop.disown(handle) }
            handle = nil
            if let error = completion.error { core.report(.closeFailed(error), place) }
            guard phase == .failing else { return endNow(on: loop) }
            pause(on: loop)
        default: break
        }
    }

    private func fail<B: Backend & ~Copyable>(_ error: SystemError?, on loop: Loop<B>) {
        phase = .failing
        core.report(.connectFailed(error), place)
        if let handle { loop.backend.close(handle) }
    }

    // MARK: Again

    /// The handshake is done; the next loss starts from the shortest pause.
    func established() {
        failures = 0
        if wasConnected { core.tally(text) { $0.reconnects += 1 } }
        wasConnected = true
    }

    /// Why the session ended: a peer that refused us or broke the protocol is not asked again (37/ZMTP, Error
    /// Handling).
    func noteEnd(_ reason: SocketEvent.Kind) {
        switch reason {
        case .handshakeFailed: isRefused = true
        // 300 is a refusal for now (27/ZAP).
        case .authenticationFailed(let status): isRefused = status != 300
        default: break
        }
    }

    /// No further connections after this one.
    func stop() { isRefused = true }

    /// The connection is gone, nothing of it is in flight.
    func lost<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        self.session = nil
        if isRefused || isFinishing && !hasUnsent { return endNow(on: loop) }
        pause(on: loop)
    }

    private func pause<B: Backend & ~Copyable>(_ failure: SocketEvent.Kind? = nil, on loop: Loop<B>) {
        if let failure { core.report(failure, EventPlace(endpoint: text, peer: place.peer)) }
        if isFinishing, !hasUnsent { return endNow(on: loop) }
        phase = .pausing
        let span = nextPause()
        failures += 1
        core.report(.connectRetried(after: span), text)
        timer = loop.startTimer(after: span, .pause(self))
    }

    /// The interval, doubled per failure up to its maximum, and up to a quarter more at random.
    private func nextPause() -> Duration {
        var span = core.options.reconnectInterval
        if let maximum = core.options.reconnectIntervalMaximum {
            for _ in 0..<min(failures, 32) where span < maximum { span = min(span * 2, maximum) }
        }
        return span + span * Double.random(in: 0..<0.25)
    }

    // MARK: The pipe while nobody is connected

    func pipeArrived() {
        isConsumer = true
        pipe?.noteRun()
    }

    var hasUnsent: Bool { pipe?.isEmpty == false || feed?.hasWork ?? false }

    // MARK: The end

    /// No further connections; what is queued is sent first.
    func finish<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard phase != .ended else { return }
        isFinishing = true
        if let session { return session.finish(on: loop) }
        if !hasUnsent, phase != .failing, phase != .resolving { abandon(on: loop) }
    }

    /// Ends at once.
    func abandon<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard phase != .ended else { return }
        isFinishing = true
        isRefused = true
        if let session { return session.abandon(on: loop) }
        loop.cancelTimer(timer)
        timer = nil
        switch phase {
        case .connecting:
            phase = .ended
            if let handle { loop.backend.close(handle) }
        case .failing: phase = .ended
        default: endNow(on: loop)
        }
    }

    private func endNow<B: Backend & ~Copyable>(on loop: Loop<B>) {
        phase = .ended
        if let pipe { loop.abandon(pipe, core, isRefused && !isFinishing ? .peerGone : .lingerOver, text) }
        if let feed {
            loop.end(feed, core, isRefused && !isFinishing ? .peerGone : .lingerOver, text)
            core.publisher?.gone(feed.subscriber)
            self.feed = nil
        }
        core.report(.closed, text)
        loop.ended(self)
    }
}
