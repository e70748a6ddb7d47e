/// A security mechanism: what two peers say between their greetings and their first message.
///
/// `Handshake` makes one by the configuration's factory once the greetings agree, and owns the frames, the limits
/// and ERROR; a mechanism sees and makes command bodies only. One that must wait for somebody else (an
/// authentication handler) returns nil from `nextCommand` until it knows, and its owner then calls
/// `Handshake.resume`.
public protocol Mechanism: Sendable {
    /// What the greeting announces.
    var name: MechanismName { get }

    /// The next command body to send, or nil while the peer must speak first or nothing is left to say.
    ///
    /// - Parameter metadata: our encoded properties, for the command that carries them.
    mutating func nextCommand(metadata: [UInt8]) throws(ZMTPError) -> [UInt8]?

    /// Takes a command of the peer, ERROR excepted.
    ///
    /// - Parameters:
    ///   - command: which it is, and where its parts lie.
    ///   - body: the frame's body, of which `command` holds ranges.
    /// - Returns: the peer's encoded properties if this command carried them.
    mutating func ingest(
        _ command: Command, body: UnsafeRawBufferPointer
    ) throws(ZMTPError) -> [UInt8]?

    /// Whether all has been said in both directions.
    var isDone: Bool { get }

    /// The body of an ERROR that tells the peer why it is refused, or nil where the mechanism forbids one.
    func farewell(for error: ZMTPError) -> [UInt8]?

    /// What seals frames once done; nil where they travel in clear, so that the data path knows nothing of it.
    func makeSealer() -> (any FrameSealer)?
}

extension Mechanism {
    /// 37/ZMTP, Connection Metadata: a peer of an unfit type is told so. All other violations end in silence.
    public func farewell(for error: ZMTPError) -> [UInt8]? {
        error == .incompatibleSocketTypes ? Command.errorBody(reason: "invalid socket type") : nil
    }

    /// Frames travel in clear.
    public func makeSealer() -> (any FrameSealer)? { nil }
}

/// Seals and opens frames of an encrypted connection, in the order of the wire.
public protocol FrameSealer: Sendable {
    /// Appends the wire form of one frame, header included.
    mutating func seal(flags: FrameFlags, body: UnsafeRawBufferPointer, into output: inout [UInt8])

    /// Opens the body of one frame from the wire and appends the plain frame, header included.
    mutating func open(_ body: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(ZMTPError)
}

/// What a greeting announces: at most 20 octets of A-Z, digits, `-`, `_`, `.`, `+` (37/ZMTP, Topology).
public struct MechanismName: Hashable, Sendable {
    /// Padded with zeros to the 20 octets of the greeting.
    public let octets: [UInt8]

    /// - Parameter name: a valid name; another one is our own mistake.
    public init(_ name: StaticString) {
        let text = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        precondition(text.count <= Self.count && Property.isValid(text))
        precondition(!text.contains { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") })
        octets = Array(text) + Array(repeating: 0, count: Self.count - text.count)
    }

    /// Octets in the greeting.
    public static let count = 20
    /// 37/ZMTP, The NULL Security Mechanism.
    public static let null = MechanismName("NULL")
}

/// NULL: no authentication, no confidentiality; READY carries the metadata.
///
/// 37/ZMTP lets the connecting side speak first and 23/ZMTP both at once. The reference speaks at once always, and
/// so does this; either order is accepted.
public struct NullMechanism: Mechanism {
    private var sentReady = false
    private var receivedReady = false

    /// A fresh one for a connection.
    public init() {}

    /// NULL.
    public var name: MechanismName { .null }

    /// READY, once.
    public mutating func nextCommand(metadata: [UInt8]) -> [UInt8]? {
        guard !sentReady else { return nil }
        sentReady = true
        return Command.body(name: "READY", data: metadata)
    }

    /// READY, once.
    public mutating func ingest(
        _ command: Command, body: UnsafeRawBufferPointer
    ) throws(ZMTPError) -> [UInt8]? {
        guard command.name == .ready, !receivedReady else { throw .unexpectedCommand }
        receivedReady = true
        return Array(body[command.data])
    }

    /// Both READY have gone.
    public var isDone: Bool { sentReady && receivedReady }
}
