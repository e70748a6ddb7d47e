public import Proactor

/// Carries messages between two sockets, both ways where both types allow it: DEALER and ROUTER, XSUB and XPUB, PULL and
/// PUSH, and whatever else can receive on one side and send on the other without naming a peer by number. Changes nothing
/// in the messages.
///
/// Messages go in runs, frame by frame from pipe to pipe, large bodies by reference. It takes nothing from a side while
/// the other has no room, so marks and TCP hold the senders back; what a pattern drops by its nature (PUB, a ROUTER
/// that is not mandatory) is dropped and counted there.
///
/// Run it on a thread (`run()`), or as a task: on `Context.executor` of its sockets' context it lives on the loop that
/// serves them, without a thread of its own and without hops.
///
/// While it runs, nobody else may receive from or send on its sockets. It can be paused, resumed, ended and asked by
/// any thread, or by messages to a control socket.
public final class Proxy: Sendable {
    /// What went one way.
    public struct Traffic: Sendable, Hashable {
        /// Whole messages.
        public var messages = 0
        /// Bytes of their frames, names that ROUTER puts in front included.
        public var bytes = 0
    }

    /// What was carried so far.
    public struct Statistics: Sendable, Hashable {
        /// From the frontend to the backend.
        public var toBackend = Traffic()
        /// From the backend to the frontend.
        public var toFrontend = Traffic()
        /// Messages taken and given up: their peer is unknown or at its mark. The socket counts them by reason.
        public var dropped = 0
        /// Messages that the capture socket had no room for.
        public var uncaptured = 0
    }

    /// Why a run ended.
    public enum Ending: Sendable, Hashable {
        /// `terminate` was called, or asked for by the control socket.
        case terminated
        /// The deadline passed.
        case deadline
    }

    /// What others want of it, and what it tells them.
    struct Orders: Sendable {
        var isPaused = false
        var isTerminated = false
        var isRunning = false
        var statistics = Statistics()
    }

    let frontend: Socket
    let backend: Socket
    let capture: Socket?
    let control: Socket?
    let post = WatchPost()
    let orders = Locked(Orders())
    private let driver: (turns: CallerDriver, nudge: Nudge)?

    /// - Parameters:
    ///   - frontend: one side.
    ///   - backend: the other; the same socket, to carry it to itself.
    ///   - capture: gets a copy of each message; one that has no room misses it, and holds nobody up.
    ///   - control: obeys messages `PAUSE`, `RESUME`, `TERMINATE`, and answers `STATISTICS` with eight frames of 8 bytes
    ///     in the machine's order: messages and bytes received and sent by the frontend, then by the backend. A REP
    ///     answers the others with an empty message.
    /// - Throws: `invalidOption` if neither side can receive what the other can send; `wrongThread` if they live in two
    ///   caller-driven contexts.
    public init(
        frontend: Socket, backend: Socket, capture: (any SendingSocket)? = nil,
        control: (any ReceivingSocket)? = nil
    ) throws(ZeroMQError) {
        guard Self.leads(frontend, backend) || Self.leads(backend, frontend) else {
            throw ZeroMQError(
                .invalidOption, "a proxy between \(frontend.type) and \(backend.type) has nothing to carry")
        }
        let all: [Socket?] = [frontend, backend, capture, control]
        let driven = all.compactMap { $0?.core }.filter { $0.callerDriver != nil }
        guard driven.allSatisfy({ $0.context === driven[0].context }) else {
            throw ZeroMQError(.wrongThread, "a proxy turns one caller-driven context, not those of all its sockets")
        }
        self.frontend = frontend
        self.backend = backend
        self.capture = capture
        self.control = control
        for socket in [frontend, backend] {
            socket.core.context.posts.withLock { [post] in $0[ObjectIdentifier(post)] = post }
        }
        driver = driven.first.map { ($0.callerDriver!, Nudge($0.callerDriver!, $0.context.allDoors[0])) }
    }

    deinit {
        for socket in [frontend, backend] {
            _ = socket.core.context.posts.withLock { $0.removeValue(forKey: ObjectIdentifier(post)) }
        }
    }

    static func leads(_ source: Socket, _ target: Socket) -> Bool {
        (source is any ReceivingSocket || source is any SharedReceivingSocket)
            && (target is any SendingSocket || target is any SharedSendingSocket)
    }

    // MARK: Steering, by any thread

    /// Carries nothing until `resume`; at most the run that is under way.
    public func pause() { order { $0.isPaused = true } }

    /// Carries again.
    public func resume() { order { $0.isPaused = false } }

    /// Ends the present run, or the next one at once. What was not carried stays in its socket.
    public func terminate() { order { $0.isTerminated = true } }

    /// What was carried so far, over all runs.
    public var statistics: Statistics { orders.withLock(\.statistics) }

    private func order(_ change: (inout Orders) -> Void) {
        orders.withLock { change(&$0) }
        post.announce(0)
    }

    // MARK: Running

    /// Carries until it is ended; blocks the thread. Not on a loop's own thread (traps). A caller-driven context is
    /// turned meanwhile.
    /// - Parameter deadline: nil runs without end.
    /// - Throws: `socketClosed`, `contextClosed`, as soon as one of the two sockets is; `wrongThread`, `engineFailed`.
    @discardableResult
    public func run(until deadline: Deadline? = nil) throws(ZeroMQError) -> Ending {
        precondition(
            driver != nil || !frontend.core.context.isOnLoopThread,
            "a proxy that blocks a loop's thread would stop the loop: use await")
        let shift = ProxyShift(self)
        defer { shift.end() }
        while true {
            if let ending = try shift.work(until: deadline) { return ending }
            if let driver {
                try shift.turn(driver.turns, driver.nudge, until: deadline)
            } else if shift.isResting {
                _ = post.sleep(until: deadline)
            }
        }
    }

    /// Carries until it is ended; suspends the task while there is nothing to carry.
    /// - Throws: as the blocking form, and `cancelled`.
    @discardableResult
    public nonisolated(nonsending) func run(until deadline: Deadline? = nil) async throws(ZeroMQError) -> Ending {
        let shift = ProxyShift(self)
        defer { shift.end() }
        while true {
            if let ending = try shift.work(until: deadline) { return ending }
            if Task.isCancelled { throw ZeroMQError(.cancelled, "the task of the proxy was cancelled") }
            if let driver {
                try shift.turn(driver.turns, driver.nudge, until: deadline)
                await Task.yield()
            } else if shift.isResting {
                await post.list.suspend(until: deadline, alarmedBy: frontend.core.context)
            } else {
                // On a loop's executor this is what lets the loop turn.
                await Task.yield()
            }
        }
    }
}
