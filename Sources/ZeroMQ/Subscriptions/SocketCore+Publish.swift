import Proactor
import Synchronization
import ZMTP

/// What PUB and XPUB have in common.
extension SocketCore {
    func publish(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        let (result, announced) = publisher.unsafelyUnwrapped.publish(bytes)
        if callerDriver != nil { try turnAfterPublishing(bytes.count, result, announced) }
        return result
    }

    func publish(_ message: Message) throws(ZeroMQError) -> SendResult {
        let (result, announced) = publisher.unsafelyUnwrapped.publish(message)
        if callerDriver != nil { try turnAfterPublishing(message.byteCount, result, announced) }
        return result
    }

    private func turnAfterPublishing(_ bytes: Int, _ result: SendResult, _ announced: Bool) throws(ZeroMQError) {
        guard result == .sent else { return }
        try callerDriver!.afterSend(bytes, announced ? .announced : .gathered)
    }

    // MARK: Barriers

    func awaitSubscribers(_ count: Int, _ topic: Frame, until deadline: Deadline?) throws(ZeroMQError) {
        sender.pointee.enter()
        defer { sender.pointee.leave() }
        let deadline = deadline ?? options.sendTimeout.map { .after($0) }
        while true {
            try checkOpen()
            if hasSubscribers(count, topic) { return }
            try sleepForNews(until: deadline)
        }
    }

    nonisolated(nonsending) func awaitSubscribers(
        _ count: Int, _ topic: Frame, until deadline: Deadline?
    ) async throws(ZeroMQError) {
        sender.pointee.enter()
        defer { sender.pointee.leave() }
        let deadline = deadline ?? options.sendTimeout.map { .after($0) }
        while true {
            try checkOpen()
            if hasSubscribers(count, topic) { return }
            try await suspendForNews(until: deadline)
        }
    }

    private func hasSubscribers(_ count: Int, _ topic: Frame) -> Bool {
        topic.withUnsafeBytes { publisher.unsafelyUnwrapped.subscribers(to: $0) } >= count
    }
}

/// What SUB and XSUB have in common.
extension SocketCore {
    /// Sends a message to all publishers (XSUB); it is lost to those at their marks.
    func broadcast(_ put: (Pipe) -> Void) throws(ZeroMQError) {
        let (missed, departure) = sender.pointee.broadcast(put)
        losses.add(missed, .mark)
        if let callerDriver { try callerDriver.afterSend(0, departure) }
    }

    /// Subscribes or cancels, and has every connection told.
    @discardableResult
    func change(_ change: Subscription, _ prefix: Frame, tellsAgain: Bool) -> Bool {
        let isDone = subscriptions.unsafelyUnwrapped.apply(change, prefix, tellsAgain: tellsAgain) { change in
            for door in context.allDoors { door.post(.tell(self, change)) }
        }
        if let callerDriver, callerDriver.isOnThread { try? callerDriver.turn(until: .distantPast) }
        return isDone
    }

    func awaitConfirmation(_ publishers: Int, until deadline: Deadline?) throws(ZeroMQError) {
        let subscriptions = subscriptions.unsafelyUnwrapped
        let waiter = Subscriptions.Waiter()
        let version = subscriptions.add(waiter)
        defer { subscriptions.remove(waiter) }
        // Connections that come later ask by themselves.
        readiness.isWanted.store(true, ordering: .releasing)
        for door in context.allDoors { door.post(.confirm(self)) }
        while true {
            try checkOpen()
            if subscriptions.isConfirmed(version, publishers: publishers) { return }
            _ = waiter.list.take { _, _, _ in }
            if subscriptions.isConfirmed(version, publishers: publishers) { return }
            try sleepForConfirmation(on: waiter.list, until: deadline)
        }
    }

    nonisolated(nonsending) func awaitConfirmation(
        _ publishers: Int, until deadline: Deadline?
    ) async throws(ZeroMQError) {
        let subscriptions = subscriptions.unsafelyUnwrapped
        let waiter = Subscriptions.Waiter()
        let version = subscriptions.add(waiter)
        defer { subscriptions.remove(waiter) }
        readiness.isWanted.store(true, ordering: .releasing)
        for door in context.allDoors { door.post(.confirm(self)) }
        while true {
            try checkOpen()
            if subscriptions.isConfirmed(version, publishers: publishers) { return }
            _ = waiter.list.take { _, _, _ in }
            if subscriptions.isConfirmed(version, publishers: publishers) { return }
            try await suspendForConfirmation(on: waiter.list, until: deadline)
        }
    }
}
