public import Proactor

/// Waits for many sockets, descriptors and timers at once. What happened comes back as values, in batches.
///
/// Level-triggered: a source is reported by each wait for as long as it is ready. A socket is readable while a receive
/// would get a message, writable while a send would be taken (for ROUTER, unless it is mandatory, that is always), and
/// reported as hung up once it is closed. Descriptors behave as with poll(2); a timer is reported once each time it is
/// due.
///
/// A wait costs what is ready and what has changed, not what is there: sockets that are quiet are not looked at.
///
/// While a wait is under way it counts as receiving on sockets that are asked about reading, and as sending on those
/// that are asked about writing: nobody else may do that at the same time, except on types that several may use at
/// once. Between waits they are free. Sources may be added, changed and removed by any thread, while somebody waits
/// too; when `remove` returns, the source is not touched any more. One thread or task waits at a time (a second traps).
///
/// Sockets may belong to several contexts, but to no other caller-driven one than the poller's own. The poller holds
/// its sockets and its context; descriptors stay their owner's, who removes them before closing them.
public final class Poller: Sendable {
    /// Names a source of one poller. Never used twice.
    public struct ID: Hashable, Sendable {
        let number: UInt64
    }

    /// What was waited for.
    public enum Source: Sendable {
        /// A socket.
        case socket(Socket)
        /// A descriptor of the system.
        case descriptor(Int32)
        /// A timer.
        case timer
    }

    /// A source that is ready.
    public struct Event: Sendable {
        /// The source, as `add` named it.
        public let id: ID
        /// The source itself.
        public let source: Source
        /// What it is ready for: of what was asked, and `hangUp` or `error` besides. Empty for a timer.
        public let ready: PollEvents
    }

    /// Whose loops know the time and look after descriptors for tasks.
    let context: Context
    let post = WatchPost()
    let state = Locked(PollerState())
    /// For caller-driven contexts.
    let driver: (turns: CallerDriver, nudge: Nudge)?

    /// A poller that waits for nothing yet.
    /// - Parameter context: where tasks that wait are woken; a caller-driven one is turned by waits.
    public init(_ context: Context) {
        self.context = context
        driver = context.core.driver.withLock { $0 }.map { ($0, Nudge($0, context.core.allDoors[0])) }
        context.core.posts.withLock { [post] in $0[ObjectIdentifier(post)] = post }
    }

    deinit {
        _ = context.core.posts.withLock { $0.removeValue(forKey: ObjectIdentifier(post)) }
        state.withLock { state in
            for source in state.sources.values { disarm(source) }
            if let lookout = state.lookout { context.core.allDoors[0].post(.endLookout(id: lookout)) }
        }
    }

    // MARK: Sources

    /// Waits for a socket too. The same socket may be added several times. O(1).
    /// - Parameters:
    ///   - socket: held by the poller until it is removed.
    ///   - events: `readable`, `writable` or both.
    /// - Throws: `wrongThread` for a socket of another caller-driven context.
    @discardableResult
    public func add(_ socket: Socket, for events: PollEvents) throws(ZeroMQError) -> ID {
        guard socket.core.callerDriver == nil || socket.core.context === context.core else {
            throw ZeroMQError(
                .wrongThread, "a poller turns its own caller-driven context only, and this socket lives in another")
        }
        return admit { .socket(PolledSocket(socket, events, post, $0)) }
    }

    /// Waits for a descriptor too. It stays the caller's, who removes it here before closing it. A file that poll(2)
    /// would call always ready is always reported.
    /// - Parameters:
    ///   - descriptor: its number.
    ///   - events: what to wait for; errors and hang-ups are always reported.
    /// - Throws: `invalidOption` if it is not open or was added before, `engineFailed` for want of resources.
    @discardableResult
    public func add(descriptor: Int32, for events: PollEvents) throws(ZeroMQError) -> ID {
        try state.withLock { (state) throws(ZeroMQError) in
            let number = state.nextNumber()
            let isAlwaysReady = try state.add(descriptor, number, events)
            state.sources[number] = .descriptor(descriptor, events, isAlwaysReady: isAlwaysReady)
            if isAlwaysReady { state.heat(number) }
            post.announce(0)
            return ID(number: number)
        }
    }

    /// A timer: due at the deadline, and with an interval again and again. Missed points are skipped. O(log n).
    /// - Parameters:
    ///   - deadline: when it is due first.
    ///   - interval: at least 1 ns. Without one the timer is gone once it was reported.
    @discardableResult
    public func addTimer(at deadline: Deadline, every interval: Duration? = nil) -> ID {
        state.withLock { state in
            let number = state.nextNumber()
            state.startTimer(number, at: deadline, every: interval)
            post.announce(0)
            return ID(number: number)
        }
    }

    /// Changes what a socket or descriptor is waited for; none at all is allowed. A wait that is under way obeys.
    /// - Throws: `endpointUnknown` if there is no such source, or it is a timer.
    public func modify(_ id: ID, for events: PollEvents) throws(ZeroMQError) {
        try state.withLock { (state) throws(ZeroMQError) in
            switch state.sources[id.number] {
            case .socket(var polled):
                polled.events = events
                state.sources[id.number] = .socket(polled)
                post.announce(id.number)
            case .descriptor(let descriptor, _, let isAlwaysReady):
                if !isAlwaysReady { try state.change(descriptor, id.number, events) }
                state.sources[id.number] = .descriptor(descriptor, events, isAlwaysReady: isAlwaysReady)
                post.announce(0)
            case .timer, nil: throw unknown()
            }
        }
    }

    /// Starts a timer again, with another deadline and interval.
    /// - Throws: `endpointUnknown` if there is no such timer, or it was due and had no interval.
    public func reset(_ id: ID, at deadline: Deadline, every interval: Duration? = nil) throws(ZeroMQError) {
        try state.withLock { (state) throws(ZeroMQError) in
            guard case .timer(let token) = state.sources[id.number] else { throw unknown() }
            state.stopTimer(token)
            state.startTimer(id.number, at: deadline, every: interval)
            post.announce(0)
        }
    }

    /// Waits for a source no more. When it returns, the poller does not touch it any more.
    /// - Throws: `endpointUnknown` if there is no such source.
    public func remove(_ id: ID) throws(ZeroMQError) {
        try state.withLock { (state) throws(ZeroMQError) in
            guard let source = state.sources.removeValue(forKey: id.number) else { throw unknown() }
            disarm(source)
            switch source {
            case .descriptor(let descriptor, _, let isAlwaysReady):
                if !isAlwaysReady { state.descriptors?.remove(descriptor) }
            case .timer(let token): state.stopTimer(token)
            case .socket: break
            }
        }
    }

    /// Sources that are waited for.
    public var count: Int { state.withLock { $0.sources.count } }

    private func admit(_ make: (UInt64) -> PollerState.Source) -> ID {
        state.withLock { state in
            let number = state.nextNumber()
            state.sources[number] = make(number)
            post.announce(number)
            return ID(number: number)
        }
    }

    private func disarm(_ source: PollerState.Source) {
        guard case .socket(let polled) = source else { return }
        polled.socket.core.receiveList.disarm(polled.watch)
        polled.socket.core.sendList.disarm(polled.watch)
    }

    private func unknown() -> ZeroMQError {
        ZeroMQError(.endpointUnknown, "this poller has no such source (any more)")
    }
}
