import Proactor
import ZMTP

/// One loop: a backend, and everything that lives on its thread. Nothing in here is shared; others come in through
/// `door`.
///
/// A turn takes the news (pipes, orders), waits, and hands each completion to whoever started the operation. What
/// is started in a turn is submitted by the next wait: one kernel entry.
final class Loop<B: Backend & ~Copyable> {
    /// Unchecked, as `batch` is: one thread turns the loop, and nothing that a turn calls turns it again. The check would
    /// cost as much as a tenth of what a turn does itself.
    @exclusivity(unchecked)
    var backend: B
    let door: LoopDoor
    /// Runs Swift tasks on this thread.
    let executor: LoopExecutor
    /// Chunks of the pipes that this loop writes.
    let pool: ChunkPool
    let context: ContextCore
    @exclusivity(unchecked)
    private var batch: CompletionBatch
    /// Where a send's parts are listed before it is known whether it gathers; good within one call.
    let parts = UnsafeMutableBufferPointer<SendPart>.allocate(capacity: 64)
    /// By slot of the handle.
    private var owners: [Owned] = []
    /// Owners whose slot has gone to a new handle while their last completions stand in the batch that is being
    /// dispatched: a backend frees a slot when it delivers the close, not when we hear of it.
    private var displaced: [UInt32: [Owner]] = [:]
    /// By token, for the same reason: a slot may be used again before its expiry was dispatched.
    private var timers: [Token: TimerOwner] = [:]
    /// By socket.
    var members: [ObjectIdentifier: Members] = [:]
    private var alarms: [UInt64: Token] = [:]
    /// Sessions that wait for memory.
    var starved: [ObjectIdentifier: Session] = [:]
    private var lookouts: [UInt64: Lookout] = [:]
    /// Heartbeats of the sessions, and the one timer that serves them (`Pulse.swift`).
    var pulses = PulseQueue()
    var pulseTimer: Token?
    var hasDuePulses = false
    /// Publishers with streams to look after, before the turn goes on.
    var unsettled: [Fanout] = []
    private(set) var isStopped = false
    var departures = 0
    /// After so many connections have gone, the heap gives back what they held.
    static var departuresPerTrim: Int { 1000 }

    /// Who started the operations on a handle.
    enum Owner {
        case nobody
        case session(Session)
        case listener(Listener)
        case dialer(Dialer)
        case lookout(Lookout)
    }

    private struct Owned {
        var handle: Handle?
        var owner = Owner.nobody
    }

    /// Who waits for a timer.
    enum TimerOwner {
        case handshake(Session)
        case attempt(Dialer)
        case pause(Dialer)
        case linger(SocketCore)
        case alarm(any Interruptible, id: UInt64)
        case pulses
    }

    /// What a loop holds of one socket.
    struct Members {
        let core: SocketCore
        /// By endpoint.
        var listeners: [UInt64: Listener] = [:]
        var dialers: [UInt64: Dialer] = [:]
        var sessions: [ObjectIdentifier: Session] = [:]
        /// What a publishing socket has here.
        var fanout: Fanout?
        var isClosing = false
        /// Chunks for what it receives, where they count in a share of its own.
        var pool: ChunkPool?
        var linger: (timer: Token, end: Deadline)?

        var isEmpty: Bool { listeners.isEmpty && dialers.isEmpty && sessions.isEmpty }
    }

    init(backend: consuming B, context: ContextCore) {
        let door = LoopDoor(waker: backend.waker)
        self.door = door
        executor = LoopExecutor { [door] in door.nudge() }
        self.backend = backend
        self.context = context
        pool = ChunkPool(budget: context.budget)
        batch = CompletionBatch(capacity: 256)
    }

    deinit {
        parts.deallocate()
        door.close()
        for those in members.values { those.fanout?.end() }
        // Tasks that still run here go on elsewhere: they learn that their socket is closed.
        executor.finish()
    }

    // MARK: Turning

    /// Runs until stopped.
    func run() throws(ProactorError) {
        while !isStopped { try turn(until: nil) }
    }

    /// One turn: news, wait, completions.
    func turn(until deadline: Deadline?) throws(ProactorError) {
        var limit = deadline
        let hadNews = takeNews()
        if !unsettled.isEmpty { settleStreams() }
        executor.runJobs()
        if hadNews || !door.list.fallAsleep() || !executor.prepareToRest() {
            // Something is there or was just started: submit, but do not wait.
            limit = .distantPast
        }
        try backend.wait(until: limit, into: &batch)
        door.list.wakeUp()
        for index in 0..<batch.count { dispatch(batch[index]) }
        if hasDuePulses { servePulses() }
        if !unsettled.isEmpty { settleStreams() }
        context.noteTurn()
    }

    /// Streams are looked after once for all that has come: what they start leaves with the next wait.
    private func settleStreams() {
        while let fanout = unsettled.popLast() { fanout.settle(on: self) }
    }

    /// Serves pipes and orders in the order they came: a pipe's server is ordered before the pipe can have news.
    private func takeNews() -> Bool {
        door.list.take { edge, reasons, owner in
            if let owner { return serve(owner.takeRetainedValue(), edge, reasons) }
            for command in door.takeCommands() { obey(command) }
        }
    }

    func serve(_ pipe: Pipe, _ edge: ReadyNode.Edge, _ reasons: ReadyReasons) {
        switch (pipe.server, edge) {
        case (.session(let session), .data): session.outboundArrived(on: self)
        case (.session(let session), _): session.inboundHasRoom(on: self)
        case (.dialer(let dialer), .data): dialer.pipeArrived()
        case (.stream(let log), .data): log.arrived(on: self)
        case (.dialer, _), (.stream, _), (nil, _): break  // the connection is gone; its pipe is a thing of the past
        }
    }

    private func dispatch(_ completion: Completion) {
        if completion.token.purpose == .timer { return expire(completion) }
        let slot = Int(completion.token.slot)
        guard slot < owners.count else { return }
        var owner = owners[slot].owner
        if !displaced.isEmpty, let earlier = displaced[completion.token.slot] {
            // Whatever the new handle started comes in a later batch.
            owner = earlier[0]
            if completion.token.purpose == .close {
                displaced[completion.token.slot] = earlier.count > 1 ? Array(earlier.dropFirst()) : nil
            }
        }
        switch owner {
        case .session(let session): session.complete(completion, on: self)
        case .listener(let listener): listener.complete(completion, on: self)
        case .dialer(let dialer): dialer.complete(completion, on: self)
        case .lookout(let lookout): lookout.complete(completion, on: self)
        case .nobody: break
        }
    }

    private func expire(_ completion: Completion) {
        guard let owner = timers.removeValue(forKey: completion.token), completion.result >= 0 else { return }
        switch owner {
        case .handshake(let session): session.handshakeTimedOut(on: self)
        case .attempt(let dialer): dialer.attemptTimedOut(on: self)
        case .pause(let dialer): dialer.attempt(on: self)
        case .linger(let core): lingerIsOver(core)
        case .pulses: pulsesAreDue()
        case .alarm(let waiting, let id):
            alarms[id] = nil
            waiting.interrupt()
        }
    }

    // MARK: Services for what lives here

    /// Whose completions those of a handle are.
    func own(_ handle: Handle, _ owner: Owner) {
        let slot = Int(handle.slot)
        while owners.count <= slot { owners.append(Owned()) }
        if let earlier = owners[slot].handle, earlier != handle {
            displaced[handle.slot, default: []].append(owners[slot].owner)
        }
        owners[slot] = Owned(handle: handle, owner: owner)
    }

    /// The handle's close was the last of it.
    func disown(_ handle: Handle) {
        if owners[Int(handle.slot)].handle == handle { owners[Int(handle.slot)] = Owned() }
    }

    func startTimer(after span: Duration, _ owner: TimerOwner) -> Token {
        startTimer(at: .after(span), owner)
    }

    func startTimer(at deadline: Deadline, _ owner: TimerOwner) -> Token {
        let token = backend.startTimer(at: deadline, every: nil)
        timers[token] = owner
        return token
    }

    func cancelTimer(_ token: Token?) {
        guard let token else { return }
        // One that has expired already, dispatched or not, is not to be heard of either.
        if timers.removeValue(forKey: token) != nil { backend.cancel(token) }
    }

    /// Wakes whom a push into a socket's list found asleep: through the ring where it can.
    @inline(__always)
    func wake(_ list: ReadyList, _ sleeper: Sleeper) {
        switch sleeper {
        case .none: break
        case .thread:
            list.tellWatches()
            backend.wakeThread(sleepingOn: list.futex)
        case .task, .watch: list.wake(sleeper)
        }
    }

    // MARK: Orders

    private func obey(_ command: LoopCommand) {
        switch command {
        case .listen(let core, let endpoint, let text, let descriptor):
            let listener = Listener(core, endpoint: endpoint, text: text)
            guard !isClosing(core) else { return command.drop() }
            guard listener.start(Descriptor(owning: descriptor), on: self) else { return }
            member(core) { $0.listeners[endpoint] = listener }
        case .dial(let core, let endpoint, let target, let pipe):
            guard !isClosing(core) else {
                // It crossed the socket's close.
                if let pipe { abandon(pipe, core, .lingerOver, target.description) }
                return
            }
            let dialer = Dialer(core, endpoint: endpoint, target: target, pipe: pipe)
            member(core) { $0.dialers[endpoint] = dialer }
            dialer.attempt(on: self)
        case .serve(let core, let endpoint, let text, let descriptor):
            let descriptor = Descriptor(owning: descriptor)
            guard !isClosing(core) else { return }
            startSession(core, endpoint: endpoint, text: text, descriptor, dialer: nil)
        case .end(let core, let endpoint): end(core, endpoint)
        case .close(let core, let linger): close(core, linger)
        case .hurry(let core, let deadline): limitLinger(core, deadline)
        case .resolved(let core, let endpoint, let address):
            members[ObjectIdentifier(core)]?.dialers[endpoint]?.resolved(address, on: self)
        case .cut(let core, let peer, let reason):
            members[ObjectIdentifier(core)]?.sessions.values.first { $0.peer?.id == peer }?.end(reason, on: self)
        case .confirm(let core): for session in sessions(of: core) { session.confirm(on: self) }
        case .group(let core, let group, let joins):
            for session in sessions(of: core) { session.announce(group, joins: joins, on: self) }
        case .alarm(let waiting, let deadline, let id):
            alarms[id] = startTimer(at: deadline, .alarm(waiting, id: id))
        case .cancelAlarm(let id): cancelTimer(alarms.removeValue(forKey: id))
        case .streams(let fanout): fanout.obey(on: self)
        case .tell(let core, let change): for session in sessions(of: core) { session.tell(change, on: self) }
        case .memoryCame: feedStarved()
        case .lookOut(let id, let descriptors, let watch):
            let lookout = lookouts[id] ?? Lookout(descriptors)
            lookouts[id] = lookout
            lookout.start(telling: watch, on: self)
        case .endLookout(let id): lookouts.removeValue(forKey: id)?.end(on: self)
        case .stop: isStopped = true
        }
    }

    /// Whether the order to close the socket has been obeyed, perhaps to its end.
    private func isClosing(_ core: SocketCore) -> Bool {
        if let those = members[ObjectIdentifier(core)] { return those.isClosing }
        return core.registry.withLock { $0.leftLoops.contains(ObjectIdentifier(door)) }
    }

    private func sessions(of core: SocketCore) -> [Session] {
        members[ObjectIdentifier(core)].map { Array($0.sessions.values) } ?? []
    }

    /// What the publishing socket has on this loop.
    func fanout(of core: SocketCore) -> Fanout {
        if let made = members[ObjectIdentifier(core)]?.fanout { return made }
        let made = Fanout(id: context.nextID(), door: door, waitsForSlowest: core.options.slowSubscribers == .wait)
        member(core) { $0.fanout = made }
        return made
    }

    func member(_ core: SocketCore, _ change: (inout Members) -> Void) {
        change(&members[ObjectIdentifier(core), default: Members(core: core)])
    }

    /// Where chunks for a socket's received messages come from.
    func receivePool(_ core: SocketCore) -> ChunkPool {
        guard core.memory !== context.budget else { return pool }
        if let own = members[ObjectIdentifier(core)]?.pool { return own }
        let made = ChunkPool(budget: core.memory)
        member(core) { $0.pool = made }
        return made
    }

    /// Begins to serve a connected descriptor.
    func startSession(
        _ core: SocketCore, endpoint: UInt64, text: String, _ descriptor: consuming Descriptor, dialer: Dialer?
    ) {
        do throws(ProactorError) {
            let address = Descriptor.peerAddress(of: descriptor.number)
            Transport.configure(descriptor.number, address, core.options)
            let handle = try backend.adopt(descriptor)
            startSession(core, endpoint: endpoint, text: text, handle, address, dialer: dialer)
        } catch {
            core.report(.disconnected(SystemError(code: error.errno)), EventPlace(endpoint: text, isBound: true))
        }
    }

    func startSession(
        _ core: SocketCore, endpoint: UInt64, text: String, _ handle: Handle, _ address: SocketAddress?,
        dialer: Dialer?
    ) {
        let session = Session(
            core, endpoint: endpoint, text: text, handle: handle, address: address, dialer: dialer)
        own(handle, .session(session))
        member(core) { $0.sessions[ObjectIdentifier(session)] = session }
        dialer?.session = session
        session.start(on: self)
    }

    /// Those that wait for memory try again, and enter themselves anew where there is too little.
    private func feedStarved() {
        let those = starved.values
        for session in those { session.inflow.memoryCame(session, on: self) }
    }
}
