/// The talk from the first octet of a connection to the first frame of its traffic, for peers of ZMTP 1.0 to 3.1
/// and later. Pure: octets in, octets out; who owns the clock decides when to give up.
///
/// We send the ten octets of the signature first and the rest as the peer shows what it is, as the reference does:
/// ```
/// first octet ──not FF──────────────────────────────► 1.0 identity ──► done 1.0
///    │ FF                                               ▲
/// signature ──tenth octet even──────────────────────────┘
///    │ odd: send major 3
/// version ──0─► socket type: send ours, 1.0 identity ─► 1.0 identity ─► done 1.0
///    │   └─1, 2─► socket type: send ours, identity ───► 2.0 identity ─► done 2.0
///    │ 3 and more: send minor 1, mechanism
/// greeting (64) ──mechanism differs──► error
///    │ send the mechanism's first commands (NULL: READY)
/// commands ──ERROR, a violation, an unfit socket type──► error
///    │ the mechanism is done
///    ▼
/// done 3.0, 3.1
/// ```
/// It takes exactly its own octets: what is glued behind them stays with the caller. After an error `takeOutput`
/// may hold a last ERROR for the peer; send it, then close.
public struct Handshake: Sendable {
    private enum State {
        case firstOctet, signature, version, unversionedType, version2Type, greeting
        case version1Length, version1Identity
        case version2Head, version2LongHead, version2Identity
        case commandHead, commandLongHead, commandBody
        case done
    }

    private let configuration: HandshakeConfiguration
    private var state = State.firstOctet
    /// What the current state has collected. Bounded by the greeting, an identity frame, or a command's limit.
    private var pending: [UInt8] = []
    /// How many octets in `pending` let the state go on.
    private var wanted = 1
    private var output: [UInt8] = []
    private var isStarted = false
    private var version = ProtocolVersion.v3_1
    private var socketType: SocketType?
    private var mechanism: (any Mechanism)?
    private var metadata = Metadata()

    /// What is known of the peer, once all has been said.
    public private(set) var result: PeerInfo?
    /// The rule that the peer broke; the connection is over.
    public private(set) var failure: ZMTPError?
    /// What a received ERROR said, in printable characters.
    public private(set) var peerReason: String?

    /// A handshake for one connection.
    public init(_ configuration: HandshakeConfiguration) { self.configuration = configuration }

    /// The first octets to send; to be called once, when the connection stands.
    public mutating func start() -> [UInt8] {
        precondition(!isStarted, "a handshake starts once")
        isStarted = true
        return Greeting.signature(identityCount: configuration.identity.count)
    }

    /// Whether `takeOutput` has something.
    public var hasOutput: Bool { !output.isEmpty }

    /// What is to be sent now; to be asked for after `start`, `ingest` and `resume`, even if they threw.
    public mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// Takes received octets, in pieces of any size.
    ///
    /// - Returns: how many it took: all of them until `result` is there, and none that belong to the traffic.
    public mutating func ingest(_ bytes: UnsafeRawBufferPointer) throws(ZMTPError) -> Int {
        precondition(isStarted, "a handshake starts before it takes octets")
        if let failure { throw failure }
        var used = 0
        do throws(ZMTPError) {
            while state != .done {
                let count = min(wanted - pending.count, bytes.count - used)
                pending.append(contentsOf: bytes[used..<used + count])
                used += count
                if pending.count < wanted { break }
                try step()
            }
        } catch {
            try fail(error)
        }
        return used
    }

    /// Asks the mechanism again, after something outside has told it what it waited for.
    public mutating func resume() throws(ZMTPError) {
        if let failure { throw failure }
        do throws(ZMTPError) { try converse() } catch { try fail(error) }
    }

    /// What seals this connection's frames; nil if they travel in clear. To be asked for when `result` is there.
    public func makeSealer() -> (any FrameSealer)? { mechanism?.makeSealer() }

    private mutating func fail(_ error: ZMTPError) throws(ZMTPError) {
        failure = error
        pending = []
        if let body = mechanism?.farewell(for: error), error != .refusedByPeer {
            Command.appendFrame(body: body, to: &output)
        }
        throw error
    }

    private mutating func step() throws(ZMTPError) {
        switch state {
        case .firstOctet, .signature, .version, .unversionedType, .version2Type, .greeting: try greet()
        case .version1Length, .version1Identity: try identifyVersion1()
        case .version2Head, .version2LongHead, .version2Identity: try identifyVersion2()
        case .commandHead, .commandLongHead, .commandBody: try takeCommand()
        case .done: break
        }
    }

    private mutating func collect(_ next: State, _ count: Int) {
        state = next
        wanted = count
    }

    private mutating func finish(identity: [UInt8], subscribesToEverything: Bool = false) {
        result = PeerInfo(
            version: version, socketType: socketType, identity: identity, metadata: metadata,
            subscribesToEverything: subscribesToEverything)
        pending = []
        state = .done
    }
}

// MARK: Greeting

extension Handshake {
    private mutating func greet() throws(ZMTPError) {
        switch state {
        case .firstOctet:
            if pending[0] == 0xff { collect(.signature, Greeting.signatureCount) } else { try becomeUnversioned() }
        case .signature:
            // A ZMTP 1.0 peer's long identity frame has its flags here, and no MORE (37/ZMTP, Backwards
            // Interoperability). The padding before it means nothing.
            guard pending[9] & 1 == 1 else { return try becomeUnversioned() }
            output.append(3)
            collect(.version, Greeting.versionedCount)
        case .version:
            switch pending[10] {
            case 0: collect(.unversionedType, Greeting.version2Count)
            case 1, 2: collect(.version2Type, Greeting.version2Count)
            default:
                // Sent even if what the peer is about to announce will not fit: two peers that both wait for a
                // greeting would wait for ever.
                output.append(
                    contentsOf: Greeting.rest(
                        mechanism: configuration.mechanismName, asServer: configuration.asServer))
                collect(.greeting, Greeting.fullCount)
                return
            }
            output.append(try oldSocketNumber())
        case .unversionedType:
            // Revision 0, seen only in early libzmq 3: the signature of 2.0, the frames of 1.0.
            version = .v1_0
            try judge(version2Number: pending[11])
            V1FrameHeader.append(to: &output, more: false, bodyCount: configuration.identity.count)
            output.append(contentsOf: configuration.identity)
            pending = []
            collect(.version1Length, 1)
        case .version2Type:
            version = .v2_0
            try judge(version2Number: pending[11])
            FrameHeader.append(to: &output, flags: [], bodyCount: configuration.identity.count)
            output.append(contentsOf: configuration.identity)
            pending = []
            collect(.version2Head, 2)
        default:
            try agreeOnMechanism()
        }
    }

    /// The octets so far are the head of the peer's identity frame, as ours are to it: our identity follows.
    private mutating func becomeUnversioned() throws(ZMTPError) {
        _ = try oldSocketNumber()
        version = .v1_0
        output.append(contentsOf: configuration.identity)
        collect(.version1Length, pending.count)
    }

    /// Our number for an older peer, if it may be one.
    private func oldSocketNumber() throws(ZMTPError) -> UInt8 {
        guard configuration.mechanismName == .null, configuration.acceptsOldVersions else {
            throw .downgradeRefused
        }
        guard let number = configuration.socketType.version2Number else { throw .socketTypeTooNew }
        return number
    }

    private mutating func judge(version2Number: UInt8) throws(ZMTPError) {
        guard let type = SocketType(version2Number: version2Number) else { throw .unknownSocketType }
        guard configuration.socketType.isCompatible(with: type) else { throw .incompatibleSocketTypes }
        socketType = type
    }

    private mutating func agreeOnMechanism() throws(ZMTPError) {
        let announced = pending[Greeting.mechanismOffset..<Greeting.mechanismOffset + MechanismName.count]
        guard announced.elementsEqual(configuration.mechanismName.octets) else { throw .mechanismMismatch }
        version = pending[10] == 3 && pending[11] == 0 ? .v3_0 : .v3_1
        mechanism = configuration.mechanism()
        pending = []
        collect(.commandHead, 2)
        try converse()
    }
}

// MARK: Identity frames of ZMTP 1.0 and 2.0

extension Handshake {
    private mutating func identifyVersion1() throws(ZMTPError) {
        let isLong = pending[0] == 0xff
        let lengthCount = isLong ? 9 : 1
        if state == .version1Length {
            if pending.count < lengthCount { return collect(.version1Length, lengthCount) }
            let length = isLong ? pending[1..<9].reduce(0) { $0 << 8 | UInt64($1) } : UInt64(pending[0])
            guard length > 0 else { throw .emptyFrameLength }
            guard length <= 256 else { throw .identityTooLong }
            return collect(.version1Identity, lengthCount + Int(length))
        }
        // The flags octet is not judged (13/ZMTP, Connection Identity).
        let identity = Array(pending[(lengthCount + 1)...])
        guard identity.first != 0 else { throw .identityStartsWithZero }
        finish(identity: identity, subscribesToEverything: socketType == nil)
    }

    private mutating func identifyVersion2() throws(ZMTPError) {
        switch state {
        case .version2Head:
            // An identity fits a short frame, but a long header with a small size is a frame as well.
            guard FrameFlags.long.isSuperset(of: FrameFlags(rawValue: pending[0])) else {
                throw .malformedIdentityFrame
            }
            if pending[0] == 0 {
                collect(.version2Identity, 2 + Int(pending[1]))
            } else {
                collect(.version2LongHead, 9)
            }
        case .version2LongHead:
            let count = pending[1..<9].reduce(0) { $0 << 8 | UInt64($1) }
            guard count <= 255 else { throw .identityTooLong }
            collect(.version2Identity, 9 + Int(count))
        default:
            let identity = Array(pending[(pending[0] == 0 ? 2 : 9)...])
            guard identity.first != 0 else { throw .identityStartsWithZero }
            finish(identity: identity)
        }
    }
}

// MARK: Commands of ZMTP 3

extension Handshake {
    /// Sends what the mechanism has to say now.
    private mutating func converse() throws(ZMTPError) {
        guard mechanism != nil, result == nil else { return }
        while let body = try mechanism!.nextCommand(metadata: configuration.metadata) {
            Command.appendFrame(body: body, to: &output)
        }
        if mechanism!.isDone { finish(identity: try peerIdentity()) }
    }

    private mutating func takeCommand() throws(ZMTPError) {
        switch state {
        case .commandHead:
            let flags = FrameFlags(rawValue: pending[0])
            guard flags.rawValue & 0xf8 == 0 else { throw .reservedFlags }
            guard flags.contains(.command) else { throw .messageDuringHandshake }
            guard !flags.contains(.more) else { throw .moreOnCommand }
            if flags.contains(.long) { collect(.commandLongHead, 9) } else { try awaitBody(UInt64(pending[1])) }
        case .commandLongHead:
            try awaitBody(pending[1..<9].reduce(0) { $0 << 8 | UInt64($1) })
        default:
            let body = pending
            pending = []
            collect(.commandHead, 2)
            try take(body)
            try converse()
        }
    }

    /// The header is done with; only the body is collected.
    private mutating func awaitBody(_ count: UInt64) throws(ZMTPError) {
        guard count <= UInt64(Int.max) else { throw .frameSizeOutOfRange }
        guard count <= UInt64(configuration.limits.maximumCommandSize) else { throw .commandTooLarge }
        pending = []
        collect(.commandBody, Int(count))
    }

    private mutating func take(_ octets: [UInt8]) throws(ZMTPError) {
        // A closure cannot throw typed through withUnsafeBytes and change `self` at once: results go out by value.
        var talker = mechanism!
        let outcome = octets.withUnsafeBytes { bytes in
            Result { () throws(ZMTPError) -> (properties: [UInt8]?, reason: String?) in
                let command = try Command(parsing: bytes)
                if command.name == .error { return (nil, try command.errorReason(in: bytes)) }
                return (try talker.ingest(command, body: bytes), nil)
            }
        }
        mechanism = talker
        let (properties, reason) = try outcome.get()
        if let reason {
            peerReason = reason
            throw .refusedByPeer
        }
        if let properties { try take(properties: properties) }
    }

    private mutating func take(properties: [UInt8]) throws(ZMTPError) {
        let limits = configuration.limits
        metadata = try properties.withUnsafeBytes { bytes in
            Result { () throws(ZMTPError) in try Metadata(parsing: bytes, limits: limits) }
        }.get()
        // 37/ZMTP, Connection Metadata: Socket-Type should be there; the reference accepts its absence.
        guard let name = metadata["Socket-Type"] else { return }
        guard let type = SocketType(name: name) else { throw .unknownSocketType }
        guard configuration.socketType.isCompatible(with: type) else { throw .incompatibleSocketTypes }
        socketType = type
        _ = try peerIdentity()
    }

    /// Identity is ignored from types that have none (37/ZMTP, Connection Metadata).
    private func peerIdentity() throws(ZMTPError) -> [UInt8] {
        guard let identity = metadata["Identity"], socketType?.sendsIdentity ?? true else { return [] }
        guard identity.count <= 255 else { throw .identityTooLong }
        guard identity.first != 0 else { throw .identityStartsWithZero }
        return identity
    }
}
