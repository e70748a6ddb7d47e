public import Proactor
import Synchronization
public import ZMTP

/// Whom messages come from: the record of one connection. What it tells never changes; each connection has its own.
public final class Peer: Sendable {
    /// The identity it announced, or the one that ROUTER gave it.
    public let routingID: Frame
    /// Unique within the context.
    public let id: UInt64
    /// The endpoint that was bound or connected, as text.
    public let endpoint: String
    /// The address of the other side, nil for inproc.
    public let address: SocketAddress?
    /// The peer's socket type; nil for a ZMTP 1.0 peer, which does not tell.
    public let socketType: SocketType?
    /// The number by which SERVER and PEER sockets know it; 0 at other sockets.
    public let number: UInt32
    /// Properties of its READY command, beside the ones above.
    public let properties: [String: [UInt8]]
    /// Whether we made the connection.
    let isDialed: Bool
    /// Whether `endpoint` was bound here; else it was connected.
    var isBound: Bool { !isDialed }
    /// REQ, REP: the pipe towards the peer. Weak, since over inproc that pipe has the record of the other side, and so
    /// back to this one.
    weak let outbound: Pipe?
    /// The last round trip of a heartbeat in nanoseconds; 0 before the first. Measured by the loop.
    let roundTrip = Atomic<UInt64>(0)
    /// What was lost of its messages while it was there.
    let losses = LossCounters()

    init(
        id: UInt64, endpoint: String, address: SocketAddress?, socketType: SocketType?, routingID: Frame,
        number: UInt32 = 0, properties: [String: [UInt8]] = [:], isDialed: Bool = false, outbound: Pipe?
    ) {
        self.id = id
        self.endpoint = endpoint
        self.address = address
        self.socketType = socketType
        self.routingID = routingID
        self.number = number
        self.properties = properties
        self.isDialed = isDialed
        self.outbound = outbound
    }
}

extension Peer {
    /// The last round trip of a heartbeat.
    var roundTripTime: Duration? {
        let span = roundTrip.load(ordering: .relaxed)
        return span == 0 ? nil : .nanoseconds(Int64(clamping: span))
    }
}
