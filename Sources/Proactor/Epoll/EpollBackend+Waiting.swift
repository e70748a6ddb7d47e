import CLiburing
import Glibc

/// The turn: run what can go on, look into the kernel where needed, deliver.
extension EpollBackend {
    private enum Look { case nothing, events, woken, interrupted }

    /// In user space: all timers share the kernel wait.
    @discardableResult
    public mutating func startTimer(at deadline: Deadline, every interval: Duration?) -> Token {
        counters.submissions += 1
        return timers.start(at: deadline, every: interval)
    }

    /// Enters the kernel only with nothing to deliver, and every 8th turn.
    public mutating func wait(until deadline: Deadline?, into batch: inout CompletionBatch) throws(ProactorError) {
        batch.removeAll()
        guard !forkPage.isChild else { throw .forked }
        let room = batch.capacity
        feedStarved(atRest: false)
        expire()
        run(room)
        if ready.isEmpty {
            try rest(until: deadline, room)
        } else {
            turnsSinceLook += 1
            if turnsSinceLook >= Self.turnsPerLook {
                _ = try look(until: .distantPast)
                run(room)
            }
        }
        deliver(&batch)
    }

    /// At once: futex(2).
    public mutating func wakeThread(sleepingOn word: UnsafeRawPointer) {
        counters.systemCalls += 1
        _ = proactor_futex_wake(word, 1)
    }

    /// Sleeps until there is something to deliver, a wake, a signal or the deadline.
    private mutating func rest(until deadline: Deadline?, _ room: Int) throws(ProactorError) {
        while true {
            feedStarved(atRest: true)
            let outcome = try look(until: runnable.isEmpty ? earliest(deadline) : .distantPast)
            expire()
            run(room)
            guard ready.isEmpty, outcome != .woken, outcome != .interrupted else { return }
            if let deadline, deadline == .distantPast || deadline <= .now { return }
        }
    }

    private func earliest(_ deadline: Deadline?) -> Deadline? {
        var first = deadline
        if let timer = timers.nextDeadline, timer < first ?? timer + .nanoseconds(1) { first = timer }
        if let pause = pauses.nextDeadline, pause < first ?? pause + .nanoseconds(1) { first = pause }
        return first
    }

    private mutating func look(until deadline: Deadline?) throws(ProactorError) -> Look {
        turnsSinceLook = 0
        counters.kernelEntries += 1
        let count = set.wait(until: deadline)
        if count == -EINTR { return .interrupted }
        guard count >= 0 else { throw .system(SystemError(code: -count), during: "epoll_wait") }
        var outcome = count > 0 ? Look.events : .nothing
        for position in 0..<Int(count) {
            let event = set[position]
            if event.mark == EpollSet.wakerMark {
                outcome = .woken
                receiveWakes()
            } else {
                remember(event.bits, event.mark)
            }
        }
        return outcome
    }

    private mutating func receiveWakes() {
        counters.wakeups += 1
        let token = Token(slot: 0, generation: 0, purpose: .wake)
        for value in waker.takeValues() { ready.append(Completion(token: token, result: 0, value: value)) }
    }

    /// Notes what an event says; the work is done in the descriptor's turn. An end or an error marks both
    /// directions ready: the calls report it, after the data that came before it (law 11).
    private mutating func remember(_ bits: UInt32, _ mark: UInt64) {
        guard let record = record(marked: mark) else {
            counters.staleEvents += 1
            return
        }
        let isBroken = bits & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0
        let isOver = isBroken || bits & EPOLLRDHUP.rawValue != 0
        if isOver { record.pointee.state.insert(.hungUp) } else { record.pointee.state.remove(.hungUp) }
        let isReadable = isOver || bits & (EPOLLIN.rawValue | EPOLLPRI.rawValue) != 0
        if isReadable { record.pointee.state.insert(.readable) }
        let isWritable = isBroken || bits & EPOLLOUT.rawValue != 0
        if isWritable { record.pointee.state.insert(.writable) }
        let canReceive = isReadable && record.pointee.inbound.kind != .none
        let canSend = isWritable && record.pointee.outbound.kind != .none
        if canReceive || canSend || record.pointee.pollEvents != 0 { enqueue(UInt32(truncatingIfNeeded: mark)) }
    }

    /// One turn for each that waits for one, in order, as long as the completions fit into the batch; a few in any
    /// case, so that operations that complete when they are started cannot keep the others from it.
    private mutating func run(_ room: Int) {
        let waiting = runnable.count
        var turns = 0
        while turns < waiting, ready.count < room || turns < 4, let mark = runnable.popFirst() {
            turns += 1
            guard let record = record(marked: mark) else { continue }
            let slot = UInt32(truncatingIfNeeded: mark)
            record.pointee.state.remove(.queued)
            advanceInbound(record, slot)
            advanceOutbound(record, slot)
            if record.pointee.pollEvents != 0 { advancePoll(record) }
        }
    }

    /// Every due timer: each gives one completion a turn at most, and none may wait behind busy descriptors.
    private mutating func expire() {
        guard timers.count > 0 || pauses.count > 0 else { return }
        let now = Deadline.now
        while let (token, repeats) = timers.expire(now) {
            ready.append(Completion(token: token, result: 0, flags: repeats ? .more : []))
        }
        while let (token, _) = pauses.expire(now) { endPause(token) }
    }

    /// Lets starved receives go on, as many as there are buffers: in lots, or when nothing else is left to wait for.
    private mutating func feedStarved(atRest: Bool) {
        guard !starved.isEmpty, pool.available > 0 else { return }
        guard atRest || pool.available >= pool.lot || pool.lent == 0 else { return }
        var fed = min(starved.count, pool.available)
        while fed > 0, let mark = starved.popFirst() {
            guard let record = record(marked: mark) else { continue }
            record.pointee.state.remove(.starved)
            guard record.pointee.inbound.kind == .lend else { continue }
            fed -= 1
            counters.rearms += 1
            enqueue(UInt32(truncatingIfNeeded: mark))
        }
    }

    private mutating func deliver(_ batch: inout CompletionBatch) {
        while !batch.isFull, let completion = ready.popFirst() {
            batch.append(completion)
            counters.completions += 1
            if !completion.hasMore { settle(completion.token) }
        }
    }

    /// The operation is over for its caller too: the direction is free.
    private mutating func settle(_ token: Token) {
        switch token.purpose {
        case .accept, .receive: slots[token.slot].pointee.state.remove(.receiving)
        case .connect, .send: slots[token.slot].pointee.state.remove(.sending)
        case .poll: slots[token.slot].pointee.state.remove(.polling)
        case .close: finishClose(token.slot)
        case .timer, .wake: break
        }
    }
}
