/// The 19 socket types of 37/ZMTP, and who may talk to whom.
///
/// The raw value is the number in zmq.h. STREAM (11) never meets a ZMTP peer: it has no name on the wire, fits nobody
/// and is not among `allCases`. DGRAM (18) is not here.
public enum SocketType: UInt8, Hashable, Sendable, CaseIterable {
    /// 31/EXPAIR.
    case pair = 0
    /// 29/PUBSUB.
    case pub = 1
    /// 29/PUBSUB.
    case sub = 2
    /// 28/REQREP.
    case req = 3
    /// 28/REQREP.
    case rep = 4
    /// 28/REQREP.
    case dealer = 5
    /// 28/REQREP.
    case router = 6
    /// 30/PIPELINE.
    case pull = 7
    /// 30/PIPELINE.
    case push = 8
    /// 29/PUBSUB.
    case xpub = 9
    /// 29/PUBSUB.
    case xsub = 10
    /// Raw bytes, no ZMTP.
    case stream = 11
    /// 41/CLIENTSERVER.
    case server = 12
    /// 41/CLIENTSERVER.
    case client = 13
    /// 48/RADIO-DISH.
    case radio = 14
    /// 48/RADIO-DISH.
    case dish = 15
    /// 49/SCATTERGATHER.
    case gather = 16
    /// 49/SCATTERGATHER.
    case scatter = 17
    /// 51/P2P.
    case peer = 19
    /// 52/CHANNEL.
    case channel = 20

    /// The types of 37/ZMTP.
    public static let allCases: [SocketType] = [
        .pair, .pub, .sub, .req, .rep, .dealer, .router, .pull, .push, .xpub, .xsub, .server, .client, .radio,
        .dish,
        .gather, .scatter, .peer, .channel,
    ]

    /// The value of the Socket-Type property (37/ZMTP, Connection Metadata).
    public var name: String { self == .stream ? "STREAM" : Self.names[row] }

    /// - Parameter name: the octets of a Socket-Type property; case counts, as in the reference.
    public init?(name: some Sequence<UInt8>) {
        guard let type = Self.allCases.first(where: { name.elementsEqual($0.name.utf8) }) else { return nil }
        self = type
    }

    /// The octet of a ZMTP 2.0 greeting (15/ZMTP, Grammar), where XPUB and XSUB appear as PUB and SUB; nil for
    /// the types that came later.
    public var version2Number: UInt8? {
        switch self {
        case .xpub: Self.pub.rawValue
        case .xsub: Self.sub.rawValue
        default: rawValue <= Self.push.rawValue ? rawValue : nil
        }
    }

    /// - Parameter version2Number: the octet of a ZMTP 2.0 greeting; libzmq sends 9 and 10 for XPUB and XSUB.
    public init?(version2Number: UInt8) {
        guard version2Number <= Self.xsub.rawValue else { return nil }
        self.init(rawValue: version2Number)
    }

    /// Whether READY carries Identity. The reference sends it, even if empty, from these three types.
    public var sendsIdentity: Bool { self == .req || self == .dealer || self == .router }

    /// Types whose messages have one frame; multipart from the wire is discarded (37/ZMTP, Thread-Safe Sockets).
    public var isSinglePart: Bool { rawValue >= Self.server.rawValue }

    /// Whether the two types may be connected (37/ZMTP, Connection Metadata: valid socket combinations).
    public func isCompatible(with other: SocketType) -> Bool {
        self != .stream && other != .stream && Self.compatible[row][other.row] == 1
    }

    /// Raw values leave out 18; STREAM has no row.
    private var row: Int { Int(rawValue) - (rawValue > 18 ? 2 : rawValue > 11 ? 1 : 0) }

    private static let names = [
        "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB",
        "SERVER", "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "PEER", "CHANNEL",
    ]

    /// One row per type of ours, one column per type of the peer, both in the order of `names`.
    private static let compatible: [[UInt8]] = [
        // PAIR  SUB   REP   ROUT  PUSH  XSUB  CLIE  DISH  SCAT  CHAN
        //    PUB   REQ   DEAL  PULL  XPUB  SERV  RADI  GATH  PEER
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // PAIR
        [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],  // PUB
        [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // SUB
        [0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // REQ
        [0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // REP
        [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // DEALER
        [0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // ROUTER
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // PULL
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // PUSH
        [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],  // XPUB
        [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // XSUB
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],  // SERVER
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],  // CLIENT
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],  // RADIO
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],  // DISH
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],  // GATHER
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],  // SCATTER
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],  // PEER
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],  // CHANNEL
    ]
}

extension SocketType: CustomStringConvertible {
    /// The name on the wire.
    public var description: String { name }
}
