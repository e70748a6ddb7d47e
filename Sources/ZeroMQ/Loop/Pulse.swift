import Proactor
import ZMTP

/// The heartbeats of one session: when it sends PING, when it gives its peer up, how long an answer takes.
///
/// Only sessions that need one have one: the socket asks for heartbeats, or the peer's PING has brought a time-to-live.
final class Pulse {
    /// What the peer must do to be alive (37/ZMTP, Connection Heartbeating).
    var heartbeat: Heartbeat
    unowned let session: Session
    /// A first look has found the peer dead. The loop may have been late, with life in the kernel's buffers: the peer
    /// is given up only if a turn later nothing was received either.
    var isSuspected = false

    /// The place in the loop's `PulseQueue`, which alone sets both.
    var due: UInt64 = .max
    var index = -1

    /// What each PING's context begins with; a number of ours follows.
    private let context: [UInt8]
    /// Counts PINGs: a PONG tells by it which one it answers.
    private var number: UInt32 = 0
    /// The PING whose answer is timed, one at a time: peers may answer several at once, by the last one's context.
    private var timed: (number: UInt32, at: UInt64)?

    /// Octets of the number behind the application's context.
    static let numberCount = 4

    init(_ session: Session, _ heartbeat: Heartbeat) {
        self.session = session
        self.heartbeat = heartbeat
        context = session.core.options.heartbeatContext.bytes
    }

    /// The next PING's frame.
    func appendPing(to output: inout [UInt8], now: UInt64) {
        number &+= 1
        if timed == nil { timed = (number, now) }
        let tail = withUnsafeBytes(of: number.bigEndian, Array.init)
        Command.appendPing(ttl: heartbeat.ttl, context: context + tail, to: &output)
    }

    /// Takes an answer.
    /// - Returns: nanoseconds since the timed PING, if this answers it.
    func answered(_ answer: UnsafeRawBufferPointer, now: UInt64) -> UInt64? {
        guard let timed, answer.count == context.count + Self.numberCount else { return nil }
        let number = UInt32(bigEndian: answer.loadUnaligned(fromByteOffset: context.count, as: UInt32.self))
        guard number &- timed.number < UInt32.max / 2 else { return nil }
        self.timed = nil
        // An answer to a later PING says nothing about this one's time, but it will not come any more.
        return number == timed.number ? now &- timed.at : nil
    }
}

extension Heartbeat {
    /// What a socket's options ask for towards a peer that understands PING; nil where they ask for nothing.
    init?(_ options: SocketOptions, now: UInt64) {
        guard let interval = options.heartbeatInterval else { return nil }
        self.init(
            interval: interval.nanoseconds, timeout: options.heartbeatTimeout?.nanoseconds ?? 0,
            ttl: UInt16(clamping: options.heartbeatTimeToLive.nanoseconds / 100_000_000), now: now)
    }
}

extension Duration {
    /// Whole nanoseconds, clamped to what fits; nothing below zero.
    var nanoseconds: UInt64 { (Deadline.distantPast + self).nanoseconds }
}
