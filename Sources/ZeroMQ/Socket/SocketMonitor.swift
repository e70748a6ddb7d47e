public import Proactor
public import ZMTP

/// Something that happened to a socket's connections.
public struct SocketEvent: Sendable, CustomStringConvertible {
    /// What happened.
    public enum Kind: Sendable, Equatable {
        /// A listener stands.
        case listening
        /// A listener took a connection.
        case accepted
        /// A listener could not take one; it tries again by itself.
        case acceptFailed(SystemError)
        /// A connection stands; its handshake begins.
        case connected
        /// An attempt to connect is under way.
        case connectDelayed
        /// An attempt failed or a connection was lost; the next attempt comes after the pause.
        case connectRetried(after: Duration)
        /// The handshake is done: messages flow.
        case handshakeSucceeded
        /// The peer broke the rule named, or refused us.
        case handshakeFailed(ZMTPError)
        /// A connection ended; `nil` is an orderly end.
        case disconnected(SystemError?)
        /// The peer broke the rule named in traffic; its connection was cut.
        case protocolViolation(ZMTPError)
        /// The peer did not finish its handshake in time.
        case handshakeTimedOut
        /// The peer was silent for longer than heartbeats allow; its connection was cut.
        case heartbeatTimedOut
        /// A second peer came to a socket that takes one, or one with an identity that is taken.
        case peerRefused(String)
        /// The listener or the attempts to connect ended, on request.
        case closed
        /// Messages were given up.
        case lost(Int, LossReason)
    }

    /// What happened.
    public let kind: Kind
    /// The endpoint that was bound or connected.
    public let endpoint: String
    /// The peer's address, where there is one.
    public let peer: SocketAddress?

    /// `tcp://…: kind`.
    public var description: String { "\(endpoint)\(peer.map { " (\($0))" } ?? ""): \(kind)" }
}

/// One listener to a socket's events: a bounded queue that can be polled or iterated. A queue that nobody empties
/// loses the newest events, with a count, and never holds the loop up. Dropping it ends it: the socket does not hold it.
public final class SocketMonitor: Sendable, AsyncSequence {
    /// The elements.
    public typealias Element = SocketEvent

    private struct State {
        var queue: [SocketEvent] = []
        var lost = 0
        var isClosed = false
        var waiter: UnsafeContinuation<SocketEvent?, Never>?
    }

    private let state = Locked(State())
    private let bound: Int
    /// Whose events it gets. Neither holds the other.
    private weak let core: SocketCore?

    init(bound: Int, of core: SocketCore) {
        self.bound = bound
        self.core = core
    }

    deinit { core?.forgetMonitor(ObjectIdentifier(self)) }

    /// Events lost because the queue was full.
    public var lostCount: Int { state.withLock(\.lost) }

    /// The oldest event, nil if there is none; by any thread.
    public func poll() -> SocketEvent? {
        state.withLock { $0.queue.isEmpty ? nil : $0.queue.removeFirst() }
    }

    /// The oldest event; waits for one. Nil when the socket is closed and all were taken, or the task is cancelled.
    public func next() async -> SocketEvent? {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let isReady = state.withLock { state -> Bool in
                    precondition(state.waiter == nil, "two tasks wait for events of one monitor")
                    if !state.queue.isEmpty || state.isClosed || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume(returning: poll()) }
            }
        } onCancel: {
            state.withLock { $0.waiter.take() }?.resume(returning: nil)
        }
    }

    func report(_ event: SocketEvent) {
        let waiter = state.withLock { state -> UnsafeContinuation<SocketEvent?, Never>? in
            if let waiter = state.waiter.take() { return waiter }
            if state.queue.count < bound { state.queue.append(event) } else { state.lost += 1 }
            return nil
        }
        waiter?.resume(returning: event)
    }

    func close() {
        let waiter = state.withLock { state -> UnsafeContinuation<SocketEvent?, Never>? in
            state.isClosed = true
            return state.waiter.take()
        }
        waiter?.resume(returning: nil)
    }

    /// Iterates over the events until the socket is closed. One iteration at a time.
    public struct Iterator: AsyncIteratorProtocol {
        let monitor: SocketMonitor
        /// The next event.
        public mutating func next() async -> SocketEvent? { await monitor.next() }
    }

    /// Iterates over the events.
    public func makeAsyncIterator() -> Iterator { Iterator(monitor: self) }
}
