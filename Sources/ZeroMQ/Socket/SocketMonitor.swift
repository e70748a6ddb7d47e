import Proactor

/// One listener to a socket's events: a bounded queue that can be polled or iterated. A queue that nobody empties
/// loses the newest events, with a count, and never holds the loop up. Dropping it ends it: the socket does not hold it.
public final class SocketMonitor: Sendable, AsyncSequence {
    /// The elements.
    public typealias Element = SocketEvent

    private struct State {
        /// A ring, so that taking the oldest of many is cheap: the loop may be waiting for the lock.
        var ring: [SocketEvent] = []
        var first = 0
        var count = 0
        var lost = 0
        var isClosed = false
        var waiter: UnsafeContinuation<SocketEvent?, Never>?
    }

    private let state = Locked(State())
    private let bound: Int
    /// Whose events it gets. Neither holds the other.
    private weak let core: SocketCore?

    init(bound: Int, of core: SocketCore) {
        precondition(bound > 0, "a monitor has room for at least one event")
        self.bound = bound
        self.core = core
    }

    deinit { core?.forgetMonitor(ObjectIdentifier(self)) }

    /// Events lost because the queue was full.
    public var lostCount: Int { state.withLock(\.lost) }

    /// The oldest event, nil if there is none; by any thread.
    public func poll() -> SocketEvent? {
        state.withLock { state in
            guard state.count > 0 else { return nil }
            defer {
                state.first = (state.first + 1) % bound
                state.count -= 1
            }
            return state.ring[state.first]
        }
    }

    /// The oldest event; waits for one. Nil when the socket is closed and all were taken, or the task is cancelled.
    public func next() async -> SocketEvent? {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let isReady = state.withLock { state -> Bool in
                    precondition(state.waiter == nil, "two tasks wait for events of one monitor")
                    if state.count > 0 || state.isClosed || Task.isCancelled { return true }
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
            guard state.count < bound else {
                state.lost += 1
                return nil
            }
            let index = (state.first + state.count) % bound
            if index < state.ring.count { state.ring[index] = event } else { state.ring.append(event) }
            state.count += 1
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
