public import Proactor

/// A descriptor for event loops that are not ours (poll(2), epoll, GLib, libuv): readable exactly while a socket is
/// ready for what was asked, however often anybody polls it. Nothing is to be taken from it.
///
/// It is level-triggered: after an event take one message or many, and wait again; if something is left it is readable
/// still. A message that the pattern will drop (a late answer to a REQ) makes it readable until a receive has dropped
/// it. Once the socket is closed it stays readable, so that nobody waits for ever.
public final class SocketDescriptor: Sendable {
    private let bells: [Bell]
    private let both: DescriptorSet?

    fileprivate init(_ bells: [Bell]) throws(ProactorError) {
        self.bells = bells
        guard bells.count > 1 else {
            both = nil
            return
        }
        let set = try DescriptorSet()
        for bell in bells { _ = set.add(bell.number, mark: UInt64(bell.number), for: .readable) }
        both = set
    }

    /// What to poll for reading; borrowed, valid as long as this value lives.
    public var number: Int32 { both?.number ?? bells[0].number }
}

extension Socket {
    /// A descriptor that is readable exactly while the socket is ready.
    ///
    /// Made only when asked for: from then on, for good, each receive (or send) that changes the socket's readiness
    /// costs a system call, and none takes the shortest way. Call it as the one who receives, or sends.
    /// - Parameter events: `readable`: while a receive would get a message; `writable`: while a send would be taken;
    ///   both: while either.
    /// - Throws: `socketClosed`, `contextClosed`; `wrongState` for types that several may use at once, as in the
    ///   reference; `wrongThread` in caller-driven contexts, where nobody turns the loop
    ///   while a foreign one sleeps; `engineFailed` for want of descriptors.
    public final func descriptor(for events: PollEvents = .readable) throws(ZeroMQError) -> SocketDescriptor {
        precondition(!events.isDisjoint(with: [.readable, .writable]), "a descriptor tells of reading or writing")
        try core.checkOpen()
        guard core.callerDriver == nil else {
            throw ZeroMQError(
                .wrongThread,
                "no thread would tell the descriptor of a caller-driven context: turn it with run(until:)")
        }
        guard core.receiveList.crowd == nil, core.sendList.crowd == nil else {
            throw ZeroMQError(
                .wrongState, "a \(type) socket has no descriptor, since several may use it at once: use a Poller")
        }
        do throws(ProactorError) {
            var bells: [Bell] = []
            if events.contains(.readable) { bells.append(try receiveGauge()) }
            if events.contains(.writable) { bells.append(try sendGauge()) }
            return try SocketDescriptor(bells)
        } catch {
            throw ZeroMQError(
                .engineFailed, "this \(type) socket has no room for a descriptor: \(error)",
                underlying: SystemError(code: error.errno))
        }
    }

    private func receiveGauge() throws(ProactorError) -> Bell {
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        let gauge = if let present = core.receiver.pointee.gauge { present } else { try Bell() }
        core.receiver.pointee.gauge = gauge
        settleReceiveGauge()
        return gauge
    }

    private func sendGauge() throws(ProactorError) -> Bell {
        core.sender.pointee.enter()
        defer { core.sender.pointee.leave() }
        let gauge = if let present = core.sender.pointee.gauge { present } else { try Bell() }
        core.sender.pointee.gauge = gauge
        settleSendGauge()
        return gauge
    }

    /// Has the descriptor tell the truth again, after whatever may have changed it. By the receiver.
    @inline(__always)
    final func settleReceiveGauge() {
        if let gauge = core.receiver.pointee.gauge { settle(gauge, for: .readable) }
    }

    /// The same by the sender.
    @inline(__always)
    final func settleSendGauge() {
        if let gauge = core.sender.pointee.gauge { settle(gauge, for: .writable) }
    }

    @inline(never)
    private func settle(_ gauge: Bell, for events: PollEvents) {
        while core.isOpen, !(events == .readable ? canReceive() : canSend()) {
            gauge.lower()
            // Lowered first: whatever comes from here on raises it again.
            if arm(gauge, for: events) { return }
        }
        gauge.fire()
    }
}
