/// A rule of the protocol that a peer has broken. It ends the session; nothing a peer sends does more than that.
///
/// A trivial enum, so that throwing it costs nothing on the data path; a peer's own words about an error are kept
/// by the `Handshake`.
public enum ZMTPError: UInt8, Error, Hashable, Sendable, CaseIterable {
    // Greeting and versions.

    /// The mechanism is not ours. 37/ZMTP, Topology: both peers must announce the same one.
    case mechanismMismatch
    /// The peer speaks ZMTP 1.0 or 2.0 where that is not allowed.
    /// 37/ZMTP, Backwards Interoperability and Security Considerations: no downgrade of a secured connection.
    case downgradeRefused
    /// Our socket type has no number in ZMTP 2.0 and no meaning in 1.0. 15/ZMTP, Grammar.
    case socketTypeTooNew

    // Identities of ZMTP 1.0 and 2.0, metadata of 3.x.

    /// An identity frame that is not one final frame. 15/ZMTP, Grammar; 13/ZMTP, Grammar.
    case malformedIdentityFrame
    /// An identity above 255 octets. 37/ZMTP, Connection Metadata; 13/ZMTP, Connection Identity.
    case identityTooLong
    /// An identity that starts with a zero octet, a space that receivers use for their own names.
    /// 37/ZMTP, Connection Metadata.
    case identityStartsWithZero
    /// A property that is cut off or has stray octets behind it. 37/ZMTP, The NULL Security Mechanism.
    case malformedProperty
    /// A property without a name, or with one outside letters, digits, `-`, `_`, `.`, `+`.
    /// 37/ZMTP, The NULL Security Mechanism.
    case invalidPropertyName
    /// A property value above 2^31-1 octets. 37/ZMTP, The NULL Security Mechanism.
    case propertyValueTooLong
    /// A property that appears twice; names do not differ by case. 37/ZMTP, Connection Metadata: a dictionary.
    case duplicateProperty
    /// More properties than the limit. 37/ZMTP, Security Considerations.
    case tooManyProperties
    /// A socket type outside the list. 37/ZMTP, Connection Metadata; 15/ZMTP, Grammar.
    case unknownSocketType
    /// A peer of a type that does not fit ours. 37/ZMTP, Connection Metadata: valid socket combinations.
    case incompatibleSocketTypes

    // Commands.

    /// A message frame before the handshake has ended. 37/ZMTP, The NULL Security Mechanism.
    case messageDuringHandshake
    /// A command that has no place here, such as a second READY. 37/ZMTP, Formal Grammar.
    case unexpectedCommand
    /// A command whose name is missing, cut off, or has other octets than letters. 37/ZMTP, Framing.
    case malformedCommand
    /// An ERROR whose reason is cut off. 37/ZMTP, Error Handling.
    case malformedErrorCommand
    /// A PING without its time-to-live, or a PING or PONG with a context above 16 octets.
    /// 37/ZMTP, Connection Heartbeating.
    case malformedHeartbeat
    /// A group above 255 octets or with a zero octet. 37/ZMTP, The Radio-Dish Pattern; 48/RADIO-DISH.
    case malformedGroup
    /// More groups joined than the limit. 37/ZMTP, Security Considerations.
    case tooManyGroups
    /// The peer has sent ERROR. 37/ZMTP, Error Handling: fatal, never answered with the same credentials.
    case refusedByPeer

    // Framing.

    /// A reserved flag is set. 37/ZMTP and 15/ZMTP, Framing: bits 3 to 7 (2 to 7 in 2.0) are zero.
    case reservedFlags
    /// A command with MORE. 37/ZMTP, Framing: a command is one frame.
    case moreOnCommand
    /// A size of 2^63 or more. 37/ZMTP, Framing.
    case frameSizeOutOfRange
    /// A frame above the limit, known from its header. 37/ZMTP, Security Considerations.
    case messageTooLarge
    /// A message of too many frames. 37/ZMTP, Security Considerations.
    case tooManyParts
    /// A message whose frames exceed the limit together. 37/ZMTP, Security Considerations.
    case multipartTooLarge
    /// A command above the limit, known from its header. 37/ZMTP, Security Considerations.
    case commandTooLarge
    /// Commands inside one message whose frames exceed the limit together. 37/ZMTP, Security Considerations.
    case tooManyCommands
    /// A ZMTP 1.0 frame of length zero, which has no room for its flags. 13/ZMTP, Framing.
    case emptyFrameLength
    /// A sealed frame that does not open. 25/ZMTP-CURVE and kin.
    case cryptographic
}

extension ZMTPError {
    /// The code that libzmq's monitor gives with HANDSHAKE_FAILED_PROTOCOL (ZMQ_PROTOCOL_ERROR_ZMTP_...).
    public var code: UInt32 {
        switch self {
        case .mechanismMismatch: 0x1100_0002
        case .cryptographic: 0x1100_0001
        case .unexpectedCommand, .messageDuringHandshake: 0x1000_0001
        case .malformedProperty, .invalidPropertyName, .propertyValueTooLong, .duplicateProperty,
            .tooManyProperties, .unknownSocketType, .incompatibleSocketTypes, .identityTooLong,
            .identityStartsWithZero:
            0x1000_0018
        case .malformedCommand, .malformedHeartbeat, .malformedGroup, .malformedIdentityFrame, .moreOnCommand,
            .commandTooLarge, .tooManyGroups:
            0x1000_0011
        case .reservedFlags, .frameSizeOutOfRange, .messageTooLarge, .tooManyParts, .multipartTooLarge,
            .tooManyCommands, .emptyFrameLength:
            0x1000_0012
        case .malformedErrorCommand: 0x1000_0015
        case .downgradeRefused, .socketTypeTooNew, .refusedByPeer: 0x1000_0000
        }
    }
}

extension ZMTPError: CustomStringConvertible {
    /// What the peer did, and the rule that forbids it.
    public var description: String { "\(deed) (\(rule))" }

    private var deed: String {
        switch self {
        case .mechanismMismatch: "the peer announces another security mechanism"
        case .downgradeRefused: "the peer speaks ZMTP 1.0 or 2.0, which is not allowed here"
        case .socketTypeTooNew: "the peer speaks a ZMTP older than this socket type"
        case .malformedIdentityFrame: "the peer's identity is not one final frame"
        case .identityTooLong: "the peer's identity is longer than 255 octets"
        case .identityStartsWithZero: "the peer's identity starts with a zero octet"
        case .malformedProperty: "a property is cut off"
        case .invalidPropertyName: "a property has no valid name"
        case .propertyValueTooLong: "a property value is longer than 2^31-1 octets"
        case .duplicateProperty: "a property appears twice"
        case .tooManyProperties: "more properties than the limit"
        case .unknownSocketType: "the peer's socket type is unknown"
        case .incompatibleSocketTypes: "the peer's socket type does not fit"
        case .messageDuringHandshake: "a message frame came before the handshake had ended"
        case .unexpectedCommand: "a command came where it has no place"
        case .malformedCommand: "a command has no valid name"
        case .malformedErrorCommand: "the reason of an ERROR is cut off"
        case .malformedHeartbeat: "a PING or PONG has a wrong size"
        case .malformedGroup: "a group is longer than 255 octets or has a zero octet"
        case .tooManyGroups: "the peer has joined more groups than the limit"
        case .refusedByPeer: "the peer has sent ERROR"
        case .reservedFlags: "a reserved flag of a frame is set"
        case .moreOnCommand: "a command frame has the MORE flag"
        case .frameSizeOutOfRange: "a frame announces 2^63 octets or more"
        case .messageTooLarge: "a frame announces more octets than the limit"
        case .tooManyParts: "a message has more frames than the limit"
        case .multipartTooLarge: "the frames of a message have more octets than the limit"
        case .commandTooLarge: "a command announces more octets than the limit"
        case .tooManyCommands: "the commands inside a message have more octets than the limit"
        case .emptyFrameLength: "a ZMTP 1.0 frame has length zero"
        case .cryptographic: "a sealed frame does not open"
        }
    }

    private var rule: String {
        switch self {
        case .mechanismMismatch: "37/ZMTP, Topology"
        case .downgradeRefused: "37/ZMTP, Backwards Interoperability"
        case .socketTypeTooNew: "15/ZMTP, Grammar"
        case .malformedIdentityFrame: "15/ZMTP and 13/ZMTP, Grammar"
        case .identityTooLong, .identityStartsWithZero, .duplicateProperty, .unknownSocketType,
            .incompatibleSocketTypes:
            "37/ZMTP, Connection Metadata"
        case .malformedProperty, .invalidPropertyName, .propertyValueTooLong, .messageDuringHandshake:
            "37/ZMTP, The NULL Security Mechanism"
        case .tooManyProperties, .messageTooLarge, .tooManyParts, .multipartTooLarge, .commandTooLarge,
            .tooManyCommands, .tooManyGroups:
            "37/ZMTP, Security Considerations"
        case .unexpectedCommand: "37/ZMTP, Formal Grammar"
        case .malformedCommand, .reservedFlags, .moreOnCommand, .frameSizeOutOfRange: "37/ZMTP, Framing"
        case .malformedErrorCommand, .refusedByPeer: "37/ZMTP, Error Handling"
        case .malformedHeartbeat: "37/ZMTP, Connection Heartbeating"
        case .malformedGroup: "37/ZMTP, The Radio-Dish Pattern"
        case .emptyFrameLength: "13/ZMTP, Framing"
        case .cryptographic: "25/ZMTP-CURVE"
        }
    }
}
