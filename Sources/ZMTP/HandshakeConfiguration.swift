/// What our side brings to a handshake. Validated once, here: a handshake itself cannot fail for our own mistakes.
public struct HandshakeConfiguration: Sendable {
    /// Our socket's type.
    public let socketType: SocketType
    /// The name by which a ROUTER shall call us: 0 to 255 octets, the first not zero.
    public let identity: [UInt8]
    /// Makes the mechanism of one connection.
    public let mechanism: @Sendable () -> any Mechanism
    /// The role that the greeting announces; NULL has none, so it stays false there. What the peer's greeting
    /// says is not judged, since the reference leaves it zero always.
    public let asServer: Bool
    /// What the peer may send.
    public let limits: ZMTPLimits
    /// False refuses peers of ZMTP 1.0 and 2.0 even under NULL, as where a handler authenticates peers
    /// (37/ZMTP, Security Considerations: downgrade). Under another mechanism they are refused always.
    public let acceptsOldVersions: Bool
    /// Socket-Type, Identity where our type has one, then the application's own, encoded.
    let metadata: [UInt8]
    let mechanismName: MechanismName

    /// - Parameters:
    ///   - socketType: our type, which decides what peers we accept.
    ///   - identity: 0 to 255 octets, the first not zero.
    ///   - asServer: our side of a mechanism that has two; NULL has none.
    ///   - properties: the application's own; their names start with `X-`.
    ///   - limits: what the peer may send.
    ///   - acceptsOldVersions: whether peers of ZMTP 2.0 and 1.0 are let in.
    ///   - mechanism: makes one for each connection.
    public init(
        socketType: SocketType, identity: [UInt8] = [], asServer: Bool = false, properties: [Property] = [],
        limits: ZMTPLimits = ZMTPLimits(), acceptsOldVersions: Bool = true,
        mechanism: @escaping @Sendable () -> any Mechanism = { NullMechanism() }
    ) {
        precondition(identity.count <= 255 && identity.first != 0, "an identity is 0 to 255 octets, no zero first")
        self.socketType = socketType
        self.identity = identity
        self.mechanism = mechanism
        self.asServer = asServer
        self.limits = limits
        self.acceptsOldVersions = acceptsOldVersions
        mechanismName = mechanism().name
        precondition(mechanismName != .null || !asServer, "NULL has no roles")
        var metadata = Metadata()
        metadata.add(Property(name: "Socket-Type", value: Array(socketType.name.utf8)))
        if socketType.sendsIdentity { metadata.add(Property(name: "Identity", value: identity)) }
        for property in properties {
            precondition(property.name.utf8.starts(with: "X-".utf8), "an application's property starts with X-")
            metadata.add(property)
        }
        self.metadata = metadata.encoded()
    }
}
