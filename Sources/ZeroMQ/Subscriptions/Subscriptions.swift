import Proactor
import Synchronization
import ZMTP

/// What a SUB or XSUB is subscribed to: state that every connection is told of when it stands, and of each change from
/// then on.
///
/// Each change of the state has a number, so that a connection which was told of the whole state is not told again of
/// a change that was under way to it.
///
/// Sendable: everything lies behind a lock, but `generation`, which is atomic.
final class Subscriptions: Sendable {
    struct Change: Sendable {
        let change: Subscription
        let prefix: Frame
        let version: UInt64
    }

    private struct State {
        var counts: [Frame: Int] = [:]
        var version: UInt64 = 0
        /// Publishers over inproc, by connection: they are told by the caller itself.
        var inproc: [UInt64: (publisher: Publisher, subscriber: Subscriber)] = [:]
        /// Endpoints that were connected.
        var targets: Set<UInt64> = []
        /// By connection: its endpoint, and the version that the publisher has confirmed.
        var confirmed: [UInt64: (endpoint: UInt64, version: UInt64)] = [:]
        var waiters: [Waiter] = []
    }

    private let state = Locked(State())
    /// Changes with the state; the receiving half compares it before it filters.
    let generation = Atomic<UInt64>(0)

    // MARK: Changing

    /// Subscribes or cancels, and tells everybody who has to know.
    /// - Parameters:
    ///   - tellsAgain: whether publishers hear of a subscription that is there already, and of a cancellation after
    ///     which it still is.
    ///   - tell: orders the loops to tell their connections, in the order of changes.
    /// - Returns: false if there was nothing to cancel.
    @discardableResult
    func apply(
        _ change: Subscription, _ prefix: Frame, tellsAgain: Bool, tell: (Change) -> Void
    ) -> Bool {
        state.withLock { state in
            let count = state.counts[prefix, default: 0]
            guard change == .subscribe || count > 0 else { return false }
            let now = change == .subscribe ? count + 1 : count - 1
            state.counts[prefix] = now > 0 ? now : nil
            let isEdge = change == .subscribe ? count == 0 : now == 0
            guard isEdge || tellsAgain else { return true }
            state.version += 1
            generation.store(state.version, ordering: .releasing)
            for (publisher, subscriber) in state.inproc.values { publisher.take(change, prefix, of: subscriber) }
            tell(Change(change: change, prefix: prefix, version: state.version))
            return true
        }
    }

    /// The state and its version, for a connection that has just come.
    var snapshot: (prefixes: [Frame], version: UInt64) {
        state.withLock { (Array($0.counts.keys), $0.version) }
    }

    // MARK: Inproc

    /// Joins a publisher of the same context, and tells it everything.
    func join(_ publisher: Publisher, _ subscriber: Subscriber, connection: UInt64, endpoint: UInt64) {
        state.withLock { state in
            state.inproc[connection] = (publisher, subscriber)
            for prefix in state.counts.keys { publisher.take(.subscribe, prefix, of: subscriber) }
            state.confirmed[connection] = (endpoint, .max)
        }
        wakeWaiters()
    }

    /// A connection is gone.
    func forget(_ connection: UInt64) {
        state.withLock { state in
            state.inproc[connection] = nil
            state.confirmed[connection] = nil
        }
    }

    // MARK: Barriers

    /// A caller that waits until publishers have the state.
    final class Waiter: Sendable {
        let list = ReadyList()
        private let call = CallNode()

        func wake() { list.wake(list.push(call.node, .call)) }
    }

    /// An endpoint is to be connected: a barrier waits for it.
    func expect(_ endpoint: UInt64) { state.withLock { _ = $0.targets.insert(endpoint) } }

    func forgetTarget(_ endpoint: UInt64) {
        state.withLock { _ = $0.targets.remove(endpoint) }
        wakeWaiters()
    }

    /// A publisher has said that it has the state of this version.
    func confirm(_ connection: UInt64, endpoint: UInt64, version: UInt64) {
        state.withLock { state in
            let known = state.confirmed[connection]?.version ?? 0
            state.confirmed[connection] = (endpoint, max(known, version))
        }
        wakeWaiters()
    }

    /// - Returns: the version that has to be confirmed.
    func add(_ waiter: Waiter) -> UInt64 {
        state.withLock { state in
            state.waiters.append(waiter)
            return state.version
        }
    }

    func remove(_ waiter: Waiter) { state.withLock { $0.waiters.removeAll { $0 === waiter } } }

    /// Whether every endpoint that was connected, and so many publishers at least, have the state of a version.
    func isConfirmed(_ version: UInt64, publishers: Int) -> Bool {
        state.withLock { state in
            let those = state.confirmed.values.filter { $0.version >= version }
            return those.count >= publishers
                && state.targets.allSatisfy { target in those.contains { $0.endpoint == target } }
        }
    }

    func wakeWaiters() {
        for waiter in state.withLock(\.waiters) { waiter.wake() }
    }
}
