/// The body of a command frame, taken apart: name length octet, name, data (37/ZMTP, Framing).
///
/// It holds ranges of the bytes that it was parsed from, not copies.
public struct Command: Hashable, Sendable {
    /// The commands that this module knows.
    public enum Name: Hashable, Sendable {
        /// Ends the handshake, with metadata.
        case ready
        /// Refuses the peer, with a reason.
        case error
        /// Asks for a sign of life.
        case ping
        /// Answers a PING.
        case pong
        /// Adds a prefix to a subscriber's subscriptions.
        case subscribe
        /// Takes one away.
        case cancel
        /// Adds a group to a dish's.
        case join
        /// Takes one away.
        case leave
        /// A name of a mechanism, or one that nobody knows: left to whoever does, ignored in traffic.
        case other
    }

    /// Which command it is.
    public let name: Name
    /// Where the name's letters are.
    public let nameRange: Range<Int>
    /// Where the data is.
    public let data: Range<Int>

    /// Takes a command frame's body apart.
    public init(parsing body: UnsafeRawBufferPointer) throws(ZMTPError) {
        guard let first = body.first, first > 0, Int(first) < body.count else { throw .malformedCommand }
        nameRange = 1..<1 + Int(first)
        data = nameRange.upperBound..<body.count
        let letters = UnsafeRawBufferPointer(rebasing: body[nameRange])
        // 37/ZMTP, Formal Grammar: command-name-char = ALPHA.
        guard letters.allSatisfy({ ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") }) else {
            throw .malformedCommand
        }
        name = Self.recognise(letters)
    }

    private static func recognise(_ letters: UnsafeRawBufferPointer) -> Name {
        func matches(_ text: StaticString) -> Bool {
            letters.elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }
        // The length leaves at most three candidates.
        switch letters.count {
        case 4: return matches("PING") ? .ping : matches("PONG") ? .pong : matches("JOIN") ? .join : .other
        case 5: return matches("READY") ? .ready : matches("ERROR") ? .error : matches("LEAVE") ? .leave : .other
        case 6: return matches("CANCEL") ? .cancel : .other
        case 9: return matches("SUBSCRIBE") ? .subscribe : .other
        default: return .other
        }
    }
}

extension Command {
    /// The reason of an ERROR: a length octet and as many characters; what follows them is ignored, as in the
    /// reference (37/ZMTP, Error Handling).
    public func errorReason(in body: UnsafeRawBufferPointer) throws(ZMTPError) -> String {
        guard let first = data.first, Int(body[first]) <= data.count - 1 else { throw .malformedErrorCommand }
        // It will be logged: no control characters from a stranger.
        let printable = body[first + 1..<first + 1 + Int(body[first])].map { octet in
            octet >= 0x20 && octet < 0x7f ? octet : UInt8(ascii: "?")
        }
        return String(decoding: printable, as: UTF8.self)
    }

    /// A PING's time-to-live in tenths of a second, 0 for none, and where its context is
    /// (37/ZMTP, Connection Heartbeating).
    public func ping(in body: UnsafeRawBufferPointer) throws(ZMTPError) -> (ttl: UInt16, context: Range<Int>) {
        guard data.count >= 2, data.count - 2 <= Self.maximumContextCount else { throw .malformedHeartbeat }
        let ttl = UInt16(bigEndian: body.loadUnaligned(fromByteOffset: data.lowerBound, as: UInt16.self))
        return (ttl, data.dropFirst(2))
    }

    /// Where a PONG's context is.
    public func pongContext() throws(ZMTPError) -> Range<Int> {
        guard data.count <= Self.maximumContextCount else { throw .malformedHeartbeat }
        return data
    }

    /// Where the group of a JOIN or LEAVE is: up to 255 octets, none of them zero (48/RADIO-DISH).
    public func group(in body: UnsafeRawBufferPointer) throws(ZMTPError) -> Range<Int> {
        guard data.count <= 255, !body[data].contains(0) else { throw .malformedGroup }
        return data
    }

    /// The longest context of a PING (37/ZMTP, Connection Heartbeating).
    public static let maximumContextCount = 16
}
