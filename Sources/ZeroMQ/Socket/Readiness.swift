public import Proactor

extension Socket {
    /// What of the asked the socket is ready for at this moment: `readable` if a receive would get a message, `writable`
    /// if a send would be taken, `hangUp` if it is closed. It counts as receiving or sending: see `Poller`.
    ///
    /// It neither waits nor turns a caller-driven context.
    public final func readiness(for events: PollEvents = [.readable, .writable]) -> PollEvents { look(for: events) }

    /// As `readiness`.
    final func look(for events: PollEvents) -> PollEvents {
        guard core.isOpen else { return .hangUp }
        var ready: PollEvents = []
        if events.contains(.readable) {
            let isShared = core.receiveList.crowd != nil
            if !isShared { core.receiver.pointee.enter() }
            defer { if !isShared { core.receiver.pointee.leave() } }
            if seesMessage() { ready.insert(.readable) }
        }
        if events.contains(.writable) {
            let isShared = core.sendList.crowd != nil
            if !isShared { core.sender.pointee.enter() }
            defer { if !isShared { core.sender.pointee.leave() } }
            if seesRoom() { ready.insert(.writable) }
        }
        return ready
    }

    /// `canReceive` by the receiver, or by anybody where several may receive.
    final func seesMessage() -> Bool {
        guard let crowd = core.receiveList.crowd else { return canReceive() }
        crowd.lock.lock()
        defer { crowd.lock.unlock() }
        return canReceive()
    }

    /// `canSend` by the sender, or by anybody where several may send.
    final func seesRoom() -> Bool {
        guard let crowd = core.sendList.crowd else { return canSend() }
        crowd.lock.lock()
        defer { crowd.lock.unlock() }
        return canSend()
    }

    /// Has a watch told when a socket that was not ready for any of these may be.
    /// - Returns: false if something has come meanwhile: look again.
    final func arm(_ watch: any Watch, for events: PollEvents) -> Bool {
        if events.contains(.readable), !core.receiveList.arm(watch) { return false }
        if events.contains(.writable) {
            let crowd = core.sendList.crowd
            crowd?.lock.lock()
            defer { crowd?.lock.unlock() }
            guard core.prepareToWaitForRoom(), core.sendList.arm(watch) else { return false }
        }
        // A close that came before its list was armed has told nobody.
        return core.isOpen
    }
}
