import ZMTP

/// Bytes of the wire, written down from the RFCs and not with the code under test.
enum Wire {
    /// 37/ZMTP, Formal Grammar: 64 octets of NULL.
    static let greeting: [UInt8] =
        signature + [3, 1] + Array("NULL".utf8) + Array(repeating: 0, count: 16) + [0]
        + Array(repeating: 0, count: 31)

    /// FF, eight octets of padding, 7F; the padding as libzmq fills it: identity length + 1.
    static let signature: [UInt8] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]

    /// 37/ZMTP, NULL: a READY with a socket type, and an identity if the type has one.
    static func ready(_ type: String, identity: [UInt8]? = nil) -> [UInt8] {
        var body: [UInt8] = [5] + Array("READY".utf8) + property("Socket-Type", Array(type.utf8))
        if let identity { body += property("Identity", identity) }
        return [4, UInt8(body.count)] + body
    }

    private static func property(_ name: String, _ value: [UInt8]) -> [UInt8] {
        [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.count)] + value
    }

    /// 23/ZMTP, Framing (15/ZMTP is the same without commands).
    static func frame(_ body: [UInt8], more: Bool = false) -> [UInt8] {
        if body.count <= 255 { return [more ? 1 : 0, UInt8(body.count)] + body }
        return [more ? 3 : 2] + bigEndian(body.count) + body
    }

    /// 13/ZMTP, Framing: the length counts the flags octet.
    static func oldFrame(_ body: [UInt8], more: Bool = false) -> [UInt8] {
        let length = body.count + 1
        return (length < 255 ? [UInt8(length)] : [0xff] + bigEndian(length)) + [more ? 1 : 0] + body
    }

    static func bigEndian(_ value: Int) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
    }
}

extension PythonPeer {
    /// Plays a ZMTP 3.1 peer up to the first message: takes what ours says, says what it must.
    func shakeHandsRaw(_ name: String, as type: String, identity: [UInt8]? = nil, ourType: String) throws {
        try sendRaw(name, .bytes(Wire.greeting), .bytes(Wire.ready(type, identity: identity)))
        _ = try receiveRaw(name, Wire.greeting.count)
        let hasIdentity = ["REQ", "DEALER", "ROUTER"].contains(ourType)
        _ = try receiveRaw(name, Wire.ready(ourType, identity: hasIdentity ? [] : nil).count)
    }
}
