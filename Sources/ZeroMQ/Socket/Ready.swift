public import Proactor
import Synchronization
import ZMTP

extension Socket {
    /// Waits until at least so many peers are ready: connected, their handshake done, and admitted by both sides. A
    /// message sent after that finds its peer; no sleep is needed anywhere.
    ///
    /// Exact between peers of this library and with any that answer PING (ZMTP 3.1, so libzmq from 4.2 on): each peer
    /// is asked with a PING behind our READY and counts when it has answered. Older peers count when their handshake is
    /// done. A peer that is paused at its mark answers when it goes on. inproc peers count when they are joined.
    ///
    /// For publishers it says that subscribers are there, not what they have subscribed to: `subscribers` does that.
    ///
    /// For SUB and XSUB it says more: that publishers have all subscriptions made so far, every one that was connected
    /// and `peers` of them at least. What they send from then on arrives, as far as it matches. Exact where the
    /// publisher is a socket of this library: it answers only after the subscriptions stand before its next message. An
    /// answer of libzmq says that its I/O thread has them; its sending thread looks for them at its next call, at most
    /// about a millisecond late. Of a peer before ZMTP 3.1 it says that they were handed to the connection.
    /// - Parameters:
    ///   - peers: at least so many; 0 is always true.
    ///   - deadline: nil waits on.
    /// - Throws: `timedOut`, `socketClosed`, `contextClosed`.
    public final func ready(peers: Int = 1, until deadline: Deadline? = nil) throws(ZeroMQError) {
        if core.type.isSubscriber { return try core.awaitConfirmation(peers, until: deadline) }
        while true {
            guard let waiter = try core.awaitReady(peers, until: deadline) else { return }
            if let driver = core.callerDriver {
                core.readiness.leave(waiter)
                try driver.turn(until: deadline)
                continue
            }
            precondition(
                !core.context.isOnLoopThread, "a blocking wait on a loop's thread would stop the loop: use await")
            waiter.sleep(until: deadline)
            core.readiness.leave(waiter)
        }
    }

    /// Suspends until at least so many peers are ready.
    /// - Throws: as the blocking form, and `cancelled`.
    public final nonisolated(nonsending) func ready(
        peers: Int = 1, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        if core.type.isSubscriber { return try await core.awaitConfirmation(peers, until: deadline) }
        while true {
            guard !Task.isCancelled else { throw ZeroMQError(.cancelled, "the task was cancelled") }
            guard let waiter = try core.awaitReady(peers, until: deadline) else { return }
            if let driver = core.callerDriver {
                core.readiness.leave(waiter)
                try driver.turn(until: deadline)
                continue
            }
            await waiter.suspend(core.context, until: deadline)
            core.readiness.leave(waiter)
        }
    }
}

/// Who waits for peers to be ready.
final class Readiness: Sendable {
    /// Whether peers are asked to confirm: from the first wait on.
    let isWanted = Atomic<Bool>(false)
    private let waiters = Locked<[Waiter]>([])

    func join() -> Waiter {
        let waiter = Waiter()
        waiters.withLock { $0.append(waiter) }
        return waiter
    }

    func leave(_ waiter: Waiter) { waiters.withLock { $0.removeAll { $0 === waiter } } }

    /// Something has changed: all look again.
    func announce() {
        let all = waiters.withLock { waiters in
            defer { waiters.removeAll() }
            return waiters
        }
        for waiter in all { waiter.wake() }
    }
}

extension SocketCore {
    /// - Returns: nil if so many are ready, else what to wait on.
    fileprivate func awaitReady(_ peers: Int, until deadline: Deadline?) throws(ZeroMQError) -> Waiter? {
        if !readiness.isWanted.exchange(true, ordering: .acquiringAndReleasing) {
            for door in context.allDoors { door.post(.confirm(self)) }
        }
        // First in the queue, then the look: what changes after it wakes us.
        let waiter = readiness.join()
        do throws(ZeroMQError) {
            try checkOpen()
            if registry.withLock({ $0.connections.values.count { $0.isConfirmed } >= peers }) {
                readiness.leave(waiter)
                return nil
            }
            if let deadline, Deadline.now >= deadline {
                throw ZeroMQError(.timedOut, "this \(type) socket has not had \(peers) ready peers by the deadline")
            }
        } catch {
            readiness.leave(waiter)
            throw error
        }
        return waiter
    }

    /// A peer has admitted us as well.
    func confirm(_ id: UInt64) {
        registry.withLock { $0.connections[id]?.isConfirmed = true }
        readiness.announce()
    }
}
