import Proactor
import Synchronization
import ZMTP

/// How a session keeps its heartbeats: sends PINGs, hears life, gives a silent peer up.
extension Session {
    /// Begins to send PINGs, if the socket wants them and the peer understands them.
    func startPulse<B: Backend & ~Copyable>(_ info: PeerInfo, on loop: Loop<B>) {
        guard info.supportsHeartbeats, core.options.heartbeatInterval != nil else { return }
        let now = Deadline.now.nanoseconds
        guard let heartbeat = Heartbeat(core.options, now: now) else { return }
        let pulse = Pulse(self, heartbeat)
        self.pulse = pulse
        loop.follow(pulse)
    }

    /// What is due.
    func beat<B: Backend & ~Copyable>(_ pulse: Pulse, now: UInt64, on loop: Loop<B>) {
        looking: while true {
            switch pulse.heartbeat.expire(now: now) {
            case .none: break looking
            case .ping:
                // One that waits already is enough: towards a peer that does not take them they must not pile up.
                guard !outflow.hasControl else { continue }
                pulse.appendPing(to: &outflow.control, now: now)
                outflow.flush(self, on: loop)
            case .dead:
                if pulse.isSuspected { return end(.heartbeatTimedOut, on: loop) }
                pulse.isSuspected = true
                return loop.followSoon(pulse, now: now)
            }
        }
        pulse.isSuspected = false
        if phase != .closing { loop.follow(pulse) }
    }

    /// Bytes have come: life. Nothing but a test where there are no heartbeats.
    @inline(__always)
    func noteLife() {
        if let pulse { pulse.heartbeat.received(now: Deadline.now.nanoseconds) }
    }

    /// The peer's PING says how long it may be silent.
    func notePing<B: Backend & ~Copyable>(ttl: UInt16, on loop: Loop<B>) {
        guard pulse != nil || ttl > 0 else { return }
        let now = Deadline.now.nanoseconds
        let pulse = pulse ?? Pulse(self, Heartbeat(interval: 0, now: now))
        if self.pulse == nil, inflow.isPaused { pulse.heartbeat.pause(now: now) }
        self.pulse = pulse
        pulse.heartbeat.receivedPing(ttl: ttl, now: now)
        loop.follow(pulse)
    }

    func notePong(_ context: UnsafeRawBufferPointer) {
        guard let pulse, let span = pulse.answered(context, now: Deadline.now.nanoseconds) else { return }
        peer?.roundTrip.store(span, ordering: .relaxed)
    }

    /// Receiving stops for want of room: silence is no death, since nobody listens. Own PINGs go on.
    func pausePulse() { pulse?.heartbeat.pause(now: Deadline.now.nanoseconds) }

    /// Receiving goes on.
    func resumePulse<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard let pulse else { return }
        pulse.heartbeat.resume(now: Deadline.now.nanoseconds)
        loop.follow(pulse)
    }
}
