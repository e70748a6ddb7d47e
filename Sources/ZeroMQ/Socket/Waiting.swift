import Proactor

/// How a socket's callers wait: a thread on its list's futex, a task suspended on it, or by turning the loop
/// themselves.
extension SocketCore {
    /// Sleeps until a peer may have room. Call after `choose` found none.
    func sleepForRoom(until deadline: Deadline?) throws(ZeroMQError) {
        guard prepareToWaitForRoom() else { return }
        try sleep(on: sendList, until: deadline, "send")
    }

    /// Sleeps until there is news for the sending half.
    func sleepForNews(until deadline: Deadline?) throws(ZeroMQError) {
        try sleep(on: sendList, until: deadline, "wait for subscribers")
    }

    /// Sleeps until something was confirmed.
    func sleepForConfirmation(on list: ReadyList, until deadline: Deadline?) throws(ZeroMQError) {
        try sleep(on: list, until: deadline, "wait for publishers")
    }

    nonisolated(nonsending) func suspendForNews(until deadline: Deadline?) async throws(ZeroMQError) {
        try await suspend(on: sendList, until: deadline, "wait for subscribers")
    }

    nonisolated(nonsending) func suspendForConfirmation(
        on list: ReadyList, until deadline: Deadline?
    ) async throws(ZeroMQError) {
        try await suspend(on: list, until: deadline, "wait for publishers")
    }

    /// Where a send waits for memory: whether it has come back meanwhile. Else its return will wake the sender.
    func hasMemoryAgain() -> Bool { sender.pointee.isStarved && !memory.enlist(self) }

    /// Sleeps until a message may be there.
    func sleepForMessage(until deadline: Deadline?) throws(ZeroMQError) {
        try sleep(on: receiveList, until: deadline, "receive")
    }

    /// - Returns: false if there is no need to wait.
    func prepareToWaitForRoom() -> Bool {
        publisher?.prepareToWait() ?? (sender.pointee.prepareToWait() && !hasMemoryAgain())
    }

    private func sleep(on list: ReadyList, until deadline: Deadline?, _ verb: String) throws(ZeroMQError) {
        if let deadline, Deadline.now >= deadline { throw timedOut(verb) }
        if let callerDriver { return try callerDriver.turn(until: deadline) }
        precondition(
            !context.isOnLoopThread, "a blocking \(verb) on a loop's thread would stop the loop: use await")
        _ = list.sleep(until: deadline)
    }

    nonisolated(nonsending) func suspendForRoom(until deadline: Deadline?) async throws(ZeroMQError) {
        guard prepareToWaitForRoom() else { return }
        try await suspend(on: sendList, until: deadline, "send")
    }

    nonisolated(nonsending) func suspendForMessage(until deadline: Deadline?) async throws(ZeroMQError) {
        try await suspend(on: receiveList, until: deadline, "receive")
    }

    nonisolated(nonsending) private func suspend(
        on list: ReadyList, until deadline: Deadline?, _ verb: String
    ) async throws(ZeroMQError) {
        if let callerDriver {
            // There is no other thread to resume us: turn the loop in small steps between other tasks' turns.
            guard !Task.isCancelled else { throw ZeroMQError(.cancelled, "the task was cancelled") }
            if let deadline, Deadline.now >= deadline { throw timedOut(verb) }
            return try callerDriver.turn(until: deadline)
        }
        if let deadline, Deadline.now >= deadline { throw timedOut(verb) }
        await list.suspend(until: deadline, alarmedBy: context)
        if Task.isCancelled { throw ZeroMQError(.cancelled, "the task was cancelled while it waited to \(verb)") }
    }

    func timedOut(_ verb: String) -> ZeroMQError {
        ZeroMQError(.timedOut, "the \(verb) on this \(type) socket was not done by its deadline")
    }
}

extension ReadyList {
    /// Suspends the calling task until something is pushed, the deadline passes or the task is cancelled.
    /// - Parameter context: whose loops know the time.
    nonisolated(nonsending) func suspend(until deadline: Deadline?, alarmedBy context: ContextCore) async {
        var alarm: (door: LoopDoor, id: UInt64)?
        if let deadline {
            let (door, id) = (context.nextDoor(), context.nextID())
            door.post(.alarm(self, at: deadline, id: id))
            alarm = (door, id)
        }
        await withTaskCancellationHandler {
            // An alarm that went off before the task was suspended has interrupted nobody.
            await suspend(unless: { Task.isCancelled || deadline.map { Deadline.now >= $0 } ?? false })
        } onCancel: {
            interrupt()
        }
        if let (door, id) = alarm { door.post(.cancelAlarm(id: id)) }
    }
}
