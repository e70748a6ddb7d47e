/// When to send PING, and when to give a silent peer up (37/ZMTP, Connection Heartbeating).
///
/// Pure: the owner passes points in time as nanoseconds of any monotonic clock, asks for `deadline`, and calls
/// `expire` when it has come. Every received octet counts as life, not only PONG, and costs one store.
/// A peer is dead if a PING of ours gets no octet within `timeout`, or if the time-to-live of its last PING passes
/// without one. PINGs go out at each interval, whether or not the peer talks: its own time-to-live lives on them.
public struct Heartbeat: Hashable, Sendable {
    /// What a passed deadline asks for.
    public enum Action: Hashable, Sendable {
        /// Nothing yet.
        case none
        /// Send a PING; `expire` has counted it as sent.
        case ping
        /// The peer has been silent for too long: close, then reconnect as after any break.
        case dead
    }

    /// Span between PINGs in nanoseconds; 0 sends none.
    private let interval: UInt64
    private let timeout: UInt64
    /// What our PINGs carry, in tenths of a second; 0 for none.
    public let ttl: UInt16

    private var lastLife: UInt64
    private var nextPing: UInt64
    /// When the oldest PING was sent that no octet has followed yet.
    private var unanswered: UInt64?
    /// The peer's own time-to-live in nanoseconds, 0 for none.
    private var peerTTL: UInt64 = 0
    /// When the session stopped receiving at its mark: it cannot hear life, so time stands still.
    private var pausedAt: UInt64?

    /// - Parameters:
    ///   - interval: nanoseconds between PINGs; 0 for none, as towards a peer older than 3.1.
    ///   - timeout: nanoseconds that a PING may stay without any octet; 0 takes the interval.
    ///   - ttl: tenths of a second that the peer shall wait for us; 0 for none.
    ///   - now: nanoseconds on the owner's clock, as in every call here.
    public init(interval: UInt64, timeout: UInt64 = 0, ttl: UInt16 = 0, now: UInt64) {
        self.interval = interval
        self.timeout = timeout == 0 ? interval : timeout
        self.ttl = ttl
        lastLife = now
        nextPing = Self.after(now, interval)
    }

    /// Octets have arrived.
    public mutating func received(now: UInt64) {
        lastLife = now
        unanswered = nil
    }

    /// A PING has arrived, with its time-to-live in tenths of a second.
    public mutating func receivedPing(ttl: UInt16, now: UInt64) {
        received(now: now)
        peerTTL = UInt64(ttl) * 100_000_000
    }

    /// The session stops receiving at its mark. Its own PINGs go on.
    public mutating func pause(now: UInt64) { if pausedAt == nil { pausedAt = now } }

    /// The session receives again: the pause never was.
    public mutating func resume(now: UInt64) {
        guard let start = pausedAt else { return }
        pausedAt = nil
        let span = now &- start
        lastLife = Self.after(lastLife, span)
        // A PING sent in the pause gets its whole time from here.
        unanswered = unanswered.map { Self.after(min($0, start), span) }
    }

    /// When to call `expire`; nil if nothing is to be watched.
    public var deadline: UInt64? {
        var earliest = UInt64.max
        if interval > 0 { earliest = nextPing }
        if let death { earliest = min(earliest, death) }
        return earliest == .max ? nil : earliest
    }

    /// What is due at `now`. One action a call: ask again until `none`, or until the deadline lies ahead.
    public mutating func expire(now: UInt64) -> Action {
        if let death, now >= death { return .dead }
        guard interval > 0, now >= nextPing else { return .none }
        // A late call sends one PING, not the ones it missed.
        nextPing = Self.after(now, interval)
        if unanswered == nil { unanswered = now }
        return .ping
    }

    private var death: UInt64? {
        guard pausedAt == nil else { return nil }
        let byPing = unanswered.map { Self.after($0, timeout) }
        let byTTL = peerTTL > 0 ? Self.after(lastLife, peerTTL) : nil
        guard let byPing, let byTTL else { return byPing ?? byTTL }
        return min(byPing, byTTL)
    }

    /// Saturates: a huge span never comes.
    private static func after(_ point: UInt64, _ span: UInt64) -> UInt64 {
        let (sum, overflow) = point.addingReportingOverflow(span)
        return overflow ? .max : sum
    }
}
