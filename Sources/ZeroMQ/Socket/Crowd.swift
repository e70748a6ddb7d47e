import Proactor
import Synchronization

/// Many callers of one half of a socket: a lock around the short work, and a queue of those who wait.
///
/// `lock` is held while a message is encoded or taken, never while anybody sleeps. Who finds nothing to do queues up
/// and arms the half's list, both under the lock, and then sleeps outside it.
///
/// Law: while somebody is queued, either the list is armed and nothing was left to do when it was, or a caller who has
/// been woken is on the way. That caller *holds the wake*: it does its work and looks whether there is more
/// (`handOn`), or it leaves and wakes the next. So a caller that times out or is cancelled loses nothing.
///
/// `@unchecked Sendable`: the half is touched under `lock` only; the queue has a lock of its own, the only one that a
/// loop ever takes. For receivers explored in `Models/crowd.pml`, stress-tested in `CrowdStressTests`.
final class Crowd: @unchecked Sendable {
    let lock = BriefLock()
    /// Whether those who wait want different things (SERVER: each its own peer), so that a wake is for all of them.
    private let isDirected: Bool
    private let queue = Locked<[Waiter]>([])

    init(isDirected: Bool = false) { self.isDirected = isDirected }

    // MARK: Waking

    /// Wakes the one who waits longest. By anybody, a loop included.
    func wakeOne() {
        guard !isDirected else {
            let all = queue.withLock { queue in
                defer { queue.removeAll() }
                return queue
            }
            for waiter in all { waiter.wake() }
            return
        }
        queue.withLock { $0.isEmpty ? nil : $0.removeFirst() }?.wake()
    }

    /// After its work, by who holds the wake, under the lock.
    /// - Parameters:
    ///   - list: the half's.
    ///   - hasMore: whether another caller would find work.
    ///   - prepare: announces that somebody waits; false if there is work after all.
    /// - Returns: whether the next one is to be woken, after the lock was given back.
    private func handsOn(_ list: ReadyList, _ hasMore: () -> Bool, _ prepare: () -> Bool) -> Bool {
        guard !isDirected, !queue.withLock(\.isEmpty) else { return false }
        return hasMore() || !prepare() || !list.arm()
    }

    // MARK: Waiting

    /// Who comes back from a wake keeps its place.
    private func enqueue(_ waiter: Waiter, inFront: Bool) {
        queue.withLock { $0.insert(waiter, at: inFront ? 0 : $0.count) }
    }

    /// - Returns: whether the waiter had been chosen, so that the wake is with it now.
    private func leave(_ waiter: Waiter) -> Bool {
        queue.withLock { queue in
            guard let index = queue.firstIndex(where: { $0 === waiter }) else { return true }
            queue.remove(at: index)
            return false
        }
    }

    /// One try under the lock.
    private enum Turn<Result> {
        case done(Result)
        /// The list is armed, the waiter is queued.
        case waits(Waiter)
        /// A caller-driven context has nobody to wake us.
        case drives(CallerDriver)
    }

    private func take<Result>(
        _ work: borrowing CrowdWork<Result>, _ core: SocketCore, holdsWake: Bool, until deadline: Deadline?
    ) throws(ZeroMQError) -> Turn<Result> {
        lock.lock()
        do throws(ZeroMQError) {
            if let result = try work.attempt() {
                let handsOn = holdsWake && handsOn(work.list, work.hasMore, work.prepare)
                lock.unlock()
                if handsOn { wakeOne() }
                return .done(result)
            }
            // After the attempt: a close that this look misses finds the list armed.
            try core.checkOpen()
            if let deadline, Deadline.now >= deadline { throw core.timedOut(work.verb) }
        } catch {
            lock.unlock()
            if holdsWake { wakeOne() }
            throw error
        }
        if let driver = core.callerDriver {
            lock.unlock()
            return .drives(driver)
        }
        let waiter = Waiter()
        enqueue(waiter, inFront: holdsWake)
        let isArmed = work.prepare() && work.list.arm()
        lock.unlock()
        if !isArmed { wakeOne() }
        return .waits(waiter)
    }

    /// Works, or sleeps on this thread until it can.
    /// - Throws: what the work throws, `timedOut`, `socketClosed`, `contextClosed`.
    func perform<Result>(
        _ work: borrowing CrowdWork<Result>, _ core: SocketCore, until deadline: Deadline?
    ) throws(ZeroMQError) -> Result {
        var holdsWake = false
        while true {
            switch try take(work, core, holdsWake: holdsWake, until: deadline) {
            case .done(let result): return result
            case .drives(let driver): try driver.turn(until: deadline)
            case .waits(let waiter):
                precondition(
                    !core.context.isOnLoopThread,
                    "a blocking \(work.verb) on a loop's thread would stop the loop: use await")
                waiter.sleep(until: deadline)
                holdsWake = leave(waiter)
            }
        }
    }

    /// Works, or suspends until it can.
    /// - Throws: as the blocking form, and `cancelled`.
    nonisolated(nonsending) func perform<Result>(
        _ work: borrowing CrowdWork<Result>, _ core: SocketCore, until deadline: Deadline?
    ) async throws(ZeroMQError) -> Result {
        var holdsWake = false
        while true {
            switch try take(work, core, holdsWake: holdsWake, until: deadline) {
            case .done(let result): return result
            case .drives(let driver):
                guard !Task.isCancelled else { throw cancelled(work.verb) }
                try driver.turn(until: deadline)
            case .waits(let waiter):
                await waiter.suspend(core.context, until: deadline)
                holdsWake = leave(waiter)
                if Task.isCancelled {
                    if holdsWake { wakeOne() }
                    throw cancelled(work.verb)
                }
            }
        }
    }

    private func cancelled(_ verb: String) -> ZeroMQError {
        ZeroMQError(.cancelled, "the task was cancelled while it waited to \(verb)")
    }
}

/// What a caller wants of a half, in the three pieces that waiting for it needs. All run under the lock.
struct CrowdWork<Result>: ~Copyable {
    let verb: String
    let list: ReadyList
    /// Does it, if it can be done now.
    let attempt: () throws(ZeroMQError) -> Result?
    /// Whether another caller would find work.
    let hasMore: () -> Bool
    /// Announces to the pipes that somebody waits; false if there is work after all.
    let prepare: () -> Bool
}

/// One caller that waits: a thread or a task. Woken once, by whoever takes it out of the queue, or interrupted.
final class Waiter: Interruptible {
    private enum State {
        case waiting
        case suspended(UnsafeContinuation<Void, Never>)
        case woken
    }

    private let state = Locked(State.waiting)
    private let bell = FutexCounter()

    /// Ends the wait; a second time does nothing.
    func wake() {
        let suspended = state.withLock { state in
            defer { state = .woken }
            if case .suspended(let continuation) = state { return continuation as Optional }
            return nil
        }
        if let suspended { suspended.resume() } else { bell.advance() }
    }

    func interrupt() { wake() }

    private var isWoken: Bool {
        state.withLock { if case .woken = $0 { true } else { false } }
    }

    /// Blocks the thread until woken or the deadline.
    func sleep(until deadline: Deadline?) {
        while true {
            let seen = bell.value
            if isWoken { return }
            if let deadline, Deadline.now >= deadline { return }
            bell.sleep(while: seen, until: deadline)
        }
    }

    /// Suspends the task until woken, cancelled, or the deadline.
    nonisolated(nonsending) func suspend(_ context: ContextCore, until deadline: Deadline?) async {
        var alarm: (door: LoopDoor, id: UInt64)?
        if let deadline {
            let (door, id) = (context.nextDoor(), context.nextID())
            door.post(.alarm(self, at: deadline, id: id))
            alarm = (door, id)
        }
        await withTaskCancellationHandler {
            await suspend()
        } onCancel: {
            interrupt()
        }
        if let (door, id) = alarm { door.post(.cancelAlarm(id: id)) }
    }

    nonisolated(nonsending) private func suspend() async {
        await withUnsafeContinuation { continuation in
            let isWoken = state.withLock { state in
                if case .woken = state { return true }
                state = .suspended(continuation)
                return false
            }
            if isWoken { continuation.resume() }
        }
    }
}
