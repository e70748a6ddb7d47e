import Proactor
import ZMTP

/// Sockets and connections come to their end.
extension Loop where B: ~Copyable {
    /// Gives up what a pipe still holds, under a reason, and tells its writer that nobody consumes any more. What is
    /// published after this is counted by the writer when it hears of it.
    func abandon(_ pipe: Pipe, _ core: SocketCore, _ reason: LossReason, _ text: String) {
        core.unreserve(pipe)
        _ = pipe.reader.pointee.seize()
        pipe.server = nil
        let (skipped, owesWake) = pipe.reader.pointee.skip()
        let lost = skipped + (pipe.latest?.take() == nil ? 0 : 1)
        if owesWake { wake(pipe.writerList, pipe.notifyWriter(.room)) }
        core.lose(lost, reason, endpoint: text)
        if reason == .lingerOver, lost > 0 {
            core.registry.withLock { $0.undelivered.append((text, lost)) }
        }
        wake(pipe.writerList, pipe.notifyWriter(.ended))
        core.noteEnded()
    }

    /// Gives up what a subscriber still had to get.
    func end(_ feed: Feed, _ core: SocketCore, _ reason: LossReason, _ text: String) {
        let lost = feed.end(on: self)
        core.lose(lost, reason, endpoint: text)
        if reason == .lingerOver, lost > 0 {
            core.registry.withLock { $0.undelivered.append((text, lost)) }
        }
    }

    /// A session's descriptor is closed and nothing is in flight any more.
    func ended(_ session: Session) {
        disown(session.handle)
        member(session.core) { $0.sessions[ObjectIdentifier(session)] = nil }
        session.dialer?.lost(session, on: self)
        settle(session.core)
        departures += 1
        if departures >= Self.departuresPerTrim {
            departures = 0
            HeapMemory.trim()
        }
    }

    func ended(_ listener: Listener, _ handle: Handle) {
        disown(handle)
        member(listener.core) { $0.listeners[listener.endpoint] = nil }
        settle(listener.core)
    }

    func ended(_ dialer: Dialer) {
        member(dialer.core) { $0.dialers[dialer.endpoint] = nil }
        settle(dialer.core)
    }

    func end(_ core: SocketCore, _ endpoint: UInt64) {
        guard let those = members[ObjectIdentifier(core)] else { return }
        those.listeners[endpoint]?.close(on: self)
        those.dialers[endpoint]?.finish(on: self)
        for session in those.sessions.values where session.endpoint == endpoint && session.dialer == nil {
            session.finish(on: self)
        }
    }

    func close(_ core: SocketCore, _ linger: Deadline?) {
        member(core) { $0.isClosing = true }
        if let linger { limitLinger(core, linger) }
        guard let those = members[ObjectIdentifier(core)] else { return }
        for listener in those.listeners.values { listener.close(on: self) }
        for dialer in those.dialers.values { dialer.finish(on: self) }
        for session in those.sessions.values where session.dialer == nil { session.finish(on: self) }
        settle(core)
    }

    /// Ends linger at the deadline, if it does not end before.
    func limitLinger(_ core: SocketCore, _ deadline: Deadline) {
        let id = ObjectIdentifier(core)
        guard let those = members[id], those.isClosing, those.linger.map({ deadline < $0.end }) ?? true else {
            return
        }
        cancelTimer(those.linger?.timer)
        let timer = startTimer(at: deadline, .linger(core))
        member(core) { $0.linger = (timer, deadline) }
    }

    func lingerIsOver(_ core: SocketCore) {
        guard let those = members[ObjectIdentifier(core)] else { return }
        for dialer in those.dialers.values { dialer.abandon(on: self) }
        for session in those.sessions.values { session.abandon(on: self) }
        settle(core)
    }

    /// Tells the socket when a closing loop holds nothing of it any more.
    private func settle(_ core: SocketCore) {
        let id = ObjectIdentifier(core)
        guard let those = members[id], those.isClosing, those.isEmpty else { return }
        cancelTimer(those.linger?.timer)
        those.fanout?.end()
        members[id] = nil
        core.registry.withLock { $0.leftLoops.append(ObjectIdentifier(door)) }
        core.context.loopLeft(core)
    }
}
