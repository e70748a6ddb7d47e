/// The octets of a greeting, ours and theirs (37/ZMTP, Formal Grammar).
///
/// signature (FF, 8 of padding, 7F) · major · minor · mechanism (20) · as-server · filler (31)
enum Greeting {
    static let signatureCount = 10
    /// Signature and version octet: what tells the peer's generation.
    static let versionedCount = 11
    /// A ZMTP 2.0 greeting ends with its socket type.
    static let version2Count = 12
    static let fullCount = 64
    static let mechanismOffset = 12

    /// The padding holds the identity's length + 1: a ZMTP 1.0 peer reads these ten octets as the head of our
    /// identity frame (37/ZMTP, Backwards Interoperability). To all others it has no meaning.
    static func signature(identityCount: Int) -> [UInt8] {
        var output: [UInt8] = [0xff]
        withUnsafeBytes(of: UInt64(identityCount + 1).bigEndian) { output.append(contentsOf: $0) }
        output.append(0x7f)
        return output
    }

    /// What follows the major version in a 3.1 greeting.
    static func rest(mechanism: MechanismName, asServer: Bool) -> [UInt8] {
        [1] + mechanism.octets + [asServer ? 1 : 0] + Array(repeating: 0, count: 31)
    }
}
