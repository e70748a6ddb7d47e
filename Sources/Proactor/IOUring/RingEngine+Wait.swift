import CLiburing
import Glibc

/// A turn: one entry that submits, waits and times out; then everything that is there, in order.
extension RingEngine {
    mutating func wait(until deadline: Deadline?, into batch: inout CompletionBatch) throws(ProactorError) {
        batch.removeAll()
        guard !ring.isForked else { throw .forked }
        isWoken = false
        if !isWakerArmed { armWaker() }
        deliverReady(into: &batch)
        try turn(until: deadline, into: &batch)
        tally.completions += UInt64(batch.count)
    }

    private mutating func turn(until deadline: Deadline?, into batch: inout CompletionBatch) throws(ProactorError) {
        // Each resting receive gets at most one chance a turn: were the kernel to refuse all, we still end.
        var chances = starvedCount
        while true {
            let isCollected = batch.count != 0 || ring.hasCompletion
            let revived = reviveStarved(atMost: chances, beforeWaiting: !isCollected)
            chances -= revived
            let plan = plan(until: deadline, mustNotWait: isCollected || revived > 0 && chances > 0)
            var isInterrupted = false
            if plan.waits || ring.pending > 0 || ring.isFlagged {
                isInterrupted = try enter(plan, &batch)
            }
            collect(into: &batch)
            settleSilent()
            expireTimers(into: &batch)
            deliverReady(into: &batch)
            if batch.count != 0 || isWoken || isInterrupted || plan.isDue { return }
            if let deadline, !plan.hasTime, deadline <= .now { return }
        }
    }

    /// How the next entry waits.
    private struct Plan {
        var waits = true
        /// The caller's deadline had passed before the entry.
        var isDue = false
        /// Whether there is no deadline at all.
        var hasTime = false
        /// Nanoseconds; nil waits on.
        var timeout: UInt64?
    }

    private func plan(until deadline: Deadline?, mustNotWait: Bool) -> Plan {
        var plan = Plan()
        plan.hasTime = deadline == nil
        if mustNotWait { plan.waits = false }
        guard let limit = earliest(deadline, timers.nextDeadline) else {
            if !isWakerArmed || starvedCount > 0 && pool.available > 0 { plan.timeout = Self.blindPause }
            return plan
        }
        if limit == .distantPast {
            plan.waits = false
            plan.isDue = deadline == .distantPast
            return plan
        }
        guard plan.waits else { return plan }
        let now = Deadline.now
        if let deadline, deadline <= now { plan.isDue = true }
        guard limit > now else {
            plan.waits = false
            return plan
        }
        // A year at most: the kernel's sum of now and a far timeout would overflow, and not wait at all.
        var timeout = min(limit.nanoseconds - now.nanoseconds, 31_536_000_000_000_000)
        if !isWakerArmed || starvedCount > 0 && pool.available > 0 { timeout = min(timeout, Self.blindPause) }
        plan.timeout = timeout
        return plan
    }

    private func earliest(_ left: Deadline?, _ right: Deadline?) -> Deadline? {
        guard let left else { return right }
        guard let right else { return left }
        return min(left, right)
    }

    /// Enters once.
    /// - Returns: whether a signal ended it.
    private mutating func enter(_ plan: Plan, _ batch: inout CompletionBatch) throws(ProactorError) -> Bool {
        let answer: Int32
        if plan.waits, let timeout = plan.timeout {
            var time = __kernel_timespec(
                tv_sec: Int64(timeout / 1_000_000_000), tv_nsec: Int64(timeout % 1_000_000_000))
            answer = ring.enter(minimum: 1, timeout: &time)
        } else {
            answer = ring.enter(minimum: plan.waits ? 1 : 0, timeout: nil)
        }
        if ring.pending == 0, !ring.isFlagged { noteSilentTaken() }
        if answer >= 0 { return false }
        switch -answer {
        case ETIME: return false
        case EINTR: return true
        case EBUSY, EAGAIN:
            // The completion queue overflowed, or the kernel has no memory for requests: collect, or rest a little.
            if !ring.hasCompletion, batch.count == 0 {
                var time = __kernel_timespec(tv_sec: 0, tv_nsec: 5_000_000)
                ring.pause(&time)
            }
            return false
        case EEXIST:
            preconditionFailure("an engine is driven by the thread that made it, and by no other")
        default:
            // What was collected already must not be lost: the error comes again with the next wait.
            if ring.hasCompletion || batch.count != 0 { return false }
            throw .system(SystemError(code: -answer), during: "io_uring_enter")
        }
    }

    // MARK: Collecting

    private mutating func collect(into batch: inout CompletionBatch) {
        while !batch.isFull, let entry = ring.takeCompletion() {
            if entry.userData >> 56 < 0x80 {
                dispatch(entry, into: &batch)
            } else if entry.userData == Ring.Internal.wake.rawValue {
                woke(entry.result)
            }
        }
    }

    /// Leads a completion to the operation it belongs to.
    private mutating func dispatch(_ entry: Ring.Entry, into batch: inout CompletionBatch) {
        if !entry.hasMore { inKernel -= 1 }
        let token = Token(rawValue: entry.userData)
        let socket = sockets[token.slot]
        switch token.purpose {
        case .receive where socket.input.pointee.token == entry.userData: received(socket, entry, into: &batch)
        case .send where socket.output.pointee.token == entry.userData: sent(socket, entry, into: &batch)
        case .accept where socket.input.pointee.token == entry.userData: accepted(socket, entry, into: &batch)
        case .connect where socket.output.pointee.token == entry.userData: connected(socket, entry, into: &batch)
        case .poll where socket.poll.pointee.token == entry.userData: polledReady(socket, entry, into: &batch)
        default: dropStale(token, entry)
        }
    }

    /// A completion whose operation has ended: what it carries must not leak.
    private mutating func dropStale(_ token: Token, _ entry: Ring.Entry) {
        tally.staleEvents += 1
        if token.purpose == .accept, entry.result >= 0 { _ = Glibc.close(entry.result) }
        if token.purpose == .receive, entry.hasBuffer { pool.putBack(entry.buffer) }
    }

    /// Delivers what was completed without the kernel. A delivered close ends its handle.
    private mutating func deliverReady(into batch: inout CompletionBatch) {
        while !batch.isFull, let completion = ready.popFirst() {
            batch.append(completion)
            if completion.token.purpose == .close { forget(completion.token.slot) }
        }
    }

    // MARK: Waking

    private mutating func armWaker() {
        ring.submitRead(waker.number, into: wakeMemory, count: 8, Ring.Internal.wake.rawValue)
        isWakerArmed = true
    }

    private mutating func woke(_ result: Int32) {
        isWakerArmed = false
        if result >= 0 {
            tally.wakeups += 1
            isWoken = true
            let token = Token(slot: 0, generation: 0, purpose: .wake)
            for value in waker.takeValues() { ready.append(Completion(token: token, result: 0, value: value)) }
        }
        // Armed again with the next entry, before that entry waits. A refused read must not turn in circles.
        if result >= 0 || result == -EINTR || result == -EAGAIN { armWaker() }
    }

    mutating func wakeThread(sleepingOn word: UnsafeRawPointer) {
        if features.contains(.futexWake) {
            ring.submitFutexWake(word, skipSuccess: features.contains(.skipSuccess))
        } else {
            tally.systemCalls += 1
            _ = proactor_futex_wake(word, 1)
        }
    }

    // MARK: Time

    mutating func startTimer(at deadline: Deadline, every interval: Duration?) -> Token {
        tally.submissions += 1
        return timers.start(at: deadline, every: interval)
    }

    private mutating func expireTimers(into batch: inout CompletionBatch) {
        guard timers.count > 0, !batch.isFull else { return }
        let now = Deadline.now
        while !batch.isFull, let (token, repeats) = timers.expire(now) {
            if !backoffs.isEmpty, resumeBackoff(token) { continue }
            batch.append(Completion(token: token, result: 0, flags: repeats ? .more : []))
        }
    }

    // MARK: Starved receives

    /// Lets a pool receive rest until buffers come back (ENOBUFS never surfaces).
    mutating func starve(_ operation: UnsafeMutablePointer<RingOperation>) {
        operation.pointee.phase = .starved
        tally.starvations += 1
        starvedCount += 1
        starved.append(operation.pointee.token)
    }

    /// Starts resting receives again, no more than there are buffers. In lots, as each costs a submission, except
    /// when the loop would otherwise sleep: a few buffers held for ever must not stop everybody.
    /// - Returns: how many.
    private mutating func reviveStarved(atMost chances: Int, beforeWaiting: Bool) -> Int {
        guard starvedCount > 0, chances > 0, pool.available > 0 else { return 0 }
        let isLot = pool.available >= min(64, pool.count / 4) || pool.lentCount == 0
        guard isLot || beforeWaiting else { return 0 }
        var revived = 0
        let most = min(chances, pool.available)
        while revived < most, let token = starved.popFirst() {
            let socket = sockets[Token(rawValue: token).slot]
            guard socket.input.pointee.token == token, socket.input.pointee.phase == .starved else { continue }
            starvedCount -= 1
            revived += 1
            rearmReceive(socket)
        }
        return revived
    }
}
