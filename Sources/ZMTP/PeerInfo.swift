/// The versions of ZMTP that peers speak. A peer of a later one speaks 3.1 to us (37/ZMTP, Version Negotiation).
public enum ProtocolVersion: UInt8, Hashable, Sendable, Comparable, CustomStringConvertible {
    /// 13/ZMTP: length first, no version in its greeting.
    case v1_0
    /// 15/ZMTP: numeric socket types, no commands.
    case v2_0
    /// 23/ZMTP: mechanisms, metadata; subscriptions as messages.
    case v3_0
    /// 37/ZMTP: subscriptions and heartbeats as commands.
    case v3_1

    /// Older is less.
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// As the documents write it.
    public var description: String {
        switch self {
        case .v1_0: "1.0"
        case .v2_0: "2.0"
        case .v3_0: "3.0"
        case .v3_1: "3.1"
        }
    }
}

/// What a finished handshake knows of the peer.
public struct PeerInfo: Hashable, Sendable {
    /// How frames stand on the wire.
    public enum Framing: Hashable, Sendable {
        /// ZMTP 1.0: through `V1Decoder` and `V1FrameHeader`.
        case v1
        /// ZMTP 2.0 and later: as `FrameHeader` has them.
        case v2
    }

    /// What both speak from here on.
    public let version: ProtocolVersion
    /// Nil where the peer does not tell: always in 1.0.
    public let socketType: SocketType?
    /// The name for a ROUTER to call the peer by; empty if it gave none, or if its type has none to give.
    public let identity: [UInt8]
    /// All that READY brought; empty before 3.0.
    public let metadata: Metadata
    /// Whether a 1.0 subscriber may be at the other end, which filters for itself and sends no subscriptions: a
    /// publisher gives it everything (13/ZMTP, Publish-Subscribe; the reference does the same).
    public let subscribesToEverything: Bool

    /// How frames stand on the wire.
    public var framing: Framing { version == .v1_0 ? .v1 : .v2 }
    /// Whether command frames exist: not before 3.0. PING is understood from 3.1 on.
    public var supportsCommands: Bool { version >= .v3_0 }
    /// Whether the peer understands PING (37/ZMTP, Connection Heartbeating).
    public var supportsHeartbeats: Bool { version >= .v3_1 }
}
