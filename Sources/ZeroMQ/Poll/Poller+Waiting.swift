public import Proactor

extension Poller {
    /// Waits until something is ready, or the deadline passes; blocks the thread. Not on a loop's own thread (traps).
    /// - Parameters:
    ///   - deadline: nil waits without end, a past one only looks.
    ///   - limit: events at most, at least 1; those that are left out come first with the next wait.
    /// - Returns: what is ready; empty at the deadline. Sockets come first, timers last.
    /// - Throws: `contextClosed`; `wrongThread`, `engineFailed` in caller-driven contexts.
    public func wait(until deadline: Deadline? = nil, upTo limit: Int = .max) throws(ZeroMQError) -> [Event] {
        while true {
            if let events = try waitInterruptibly(until: deadline, upTo: limit) { return events }
        }
    }

    /// The same for callers who want to hear of signals.
    /// - Returns: nil if a signal was handled on this thread while it slept.
    package func waitInterruptibly(until deadline: Deadline?, upTo limit: Int) throws(ZeroMQError) -> [Event]? {
        precondition(
            !context.core.isOnLoopThread, "a blocking wait on a loop's thread would stop the loop: use await")
        try beginWait()
        defer { endWait() }
        while true {
            if let events = try gather(limit, deadline) { return events }
            if let driver {
                try turn(driver, until: deadline)
            } else if sleep(until: deadline) {
                return nil
            }
        }
    }

    /// Waits until something is ready, or the deadline passes; suspends the task. In a caller-driven context it turns
    /// the loop instead.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func wait(
        until deadline: Deadline? = nil, upTo limit: Int = .max
    ) async throws(ZeroMQError) -> [Event] {
        try beginWait()
        defer { endWait() }
        while true {
            if let events = try gather(limit, deadline) { return events }
            if Task.isCancelled { throw ZeroMQError(.cancelled, "the task was cancelled while it waited") }
            if let driver {
                try turn(driver, until: deadline)
            } else {
                lookOut()
                await post.list.suspend(until: soonest(deadline), alarmedBy: context.core)
            }
        }
    }

    private func beginWait() throws(ZeroMQError) {
        let turns = state.withLock { state in
            precondition(!state.isWaiting, "two threads or tasks wait with one poller at the same time")
            state.isWaiting = true
            defer { state.hasTurned = false }
            return !state.hasTurned
        }
        // Sources that are always ready must not keep the loop from turning.
        guard turns, let driver else { return }
        do throws(ZeroMQError) {
            try driver.turns.turn(until: .distantPast)
        } catch {
            endWait()
            throw error
        }
    }

    private func endWait() { state.withLock { $0.isWaiting = false } }

    // MARK: Sleeping

    private func turn(_ driver: (turns: CallerDriver, nudge: Nudge), until deadline: Deadline?) throws(ZeroMQError)
    {
        lookOut()
        let wake = soonest(deadline)
        state.withLock { $0.hasTurned = true }
        try post.turn(driver.turns, driver.nudge, until: wake)
    }

    /// - Returns: whether a signal ended it.
    private func sleep(until deadline: Deadline?) -> Bool {
        let (descriptors, bell) = state.withLock { ($0.descriptors, $0.bell) }
        let wake = soonest(deadline)
        guard let descriptors, let bell else { return post.sleep(until: wake) }
        var ready: [(UInt64, PollEvents)] = []
        defer { state.withLock { $0.readyDescriptors = ready } }
        return post.sleep(until: wake, on: descriptors, bell) { ready.append(($0, $1)) }
    }

    /// The deadline, or the first timer's.
    private func soonest(_ deadline: Deadline?) -> Deadline? {
        let timer = state.withLock { $0.nextDeadline }
        guard let deadline, let timer else { return deadline ?? timer }
        return min(deadline, timer)
    }

    /// Has a loop look after the descriptors, where no thread sleeps on them.
    private func lookOut() {
        let order = state.withLock { state -> (UInt64, DescriptorSet)? in
            guard let descriptors = state.descriptors, !state.isLookingOut else { return nil }
            state.isLookingOut = true
            let id = state.lookout ?? context.core.nextID()
            state.lookout = id
            return (id, descriptors)
        }
        guard let (id, descriptors) = order else { return }
        context.core.allDoors[0].post(.lookOut(id: id, descriptors, PostWatch(post, Self.lookoutNumber)))
    }

    /// What a lookout leaves at the post.
    private static var lookoutNumber: UInt64 { .max }

    // MARK: Looking

    /// What is ready now.
    /// - Returns: nil if there is nothing and the deadline has not passed.
    private func gather(_ limit: Int, _ deadline: Deadline?) throws(ZeroMQError) -> [Event]? {
        precondition(limit > 0, "a batch has room for at least one event")
        let fired = post.takeFired()
        let events = state.withLock { state in
            for number in fired {
                if number == Self.lookoutNumber { state.isLookingOut = false } else { state.heat(number) }
            }
            var events: [Event] = []
            gatherHot(limit, &state, &events)
            gatherDescriptors(limit, &state, &events)
            while events.count < limit, let number = state.expireTimer() {
                events.append(Event(id: ID(number: number), source: .timer, ready: []))
            }
            return events
        }
        if !events.isEmpty { return events }
        guard context.core.isOpen else {
            throw ZeroMQError(.contextClosed, "the context of this poller was closed")
        }
        return deadline.map { Deadline.now >= $0 } ?? false ? [] : nil
    }

    private func gatherHot(_ limit: Int, _ state: inout PollerState, _ events: inout [Event]) {
        var reported: [UInt64] = []
        for number in state.takeHot() {
            // Those that find no room are first next time, before those that were reported now.
            guard events.count < limit else {
                state.heat(number)
                continue
            }
            state.looks += 1
            let event: Event
            switch state.sources[number] {
            case .socket(let polled):
                event = Event(id: ID(number: number), source: .socket(polled.socket), ready: polled.look())
            case .descriptor(let descriptor, let asked, isAlwaysReady: true):
                event = Event(
                    id: ID(number: number), source: .descriptor(descriptor),
                    ready: asked.intersection([.readable, .writable]))
            default: continue
            }
            if case .socket = event.source, event.ready.isEmpty { continue }
            reported.append(number)
            if !event.ready.isEmpty { events.append(event) }
        }
        for number in reported { state.heat(number) }
    }

    private func gatherDescriptors(_ limit: Int, _ state: inout PollerState, _ events: inout [Event]) {
        guard let descriptors = state.descriptors else { return }
        var ready = state.readyDescriptors
        state.readyDescriptors = []
        if ready.isEmpty { descriptors.wait(until: .distantPast) { ready.append(($0, $1)) } }
        for (number, found) in ready where events.count < limit {
            guard case .descriptor(let descriptor, let asked, _) = state.sources[number] else { continue }
            let told = found.intersection(asked.union([.error, .hangUp]))
            if told.isEmpty { continue }
            events.append(Event(id: ID(number: number), source: .descriptor(descriptor), ready: told))
        }
    }
}
