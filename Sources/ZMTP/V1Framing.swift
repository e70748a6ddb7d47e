/// The head of a ZMTP 1.0 frame: a length that counts the flags octet, in one octet up to 254 or as FF and eight
/// octets, then the flags (13/ZMTP, Framing).
public enum V1FrameHeader {
    /// The largest header.
    public static let maximumCount = 10

    /// Octets in front of a body: 2 or 10.
    public static func headerCount(for bodyCount: Int) -> Int { bodyCount + 1 < 255 ? 2 : 10 }

    /// Writes a header.
    ///
    /// - Parameters:
    ///   - p: room for `headerCount(for: bodyCount)` octets.
    ///   - more: whether another frame of the message follows.
    ///   - bodyCount: octets of the body.
    /// - Returns: the octets written.
    @discardableResult
    public static func write(at p: UnsafeMutableRawPointer, more: Bool, bodyCount: Int) -> Int {
        let count = headerCount(for: bodyCount)
        if count == 2 {
            p.storeBytes(of: UInt8(bodyCount + 1), as: UInt8.self)
        } else {
            p.storeBytes(of: 0xff, as: UInt8.self)
            p.storeBytes(of: UInt64(bodyCount + 1).bigEndian, toByteOffset: 1, as: UInt64.self)
        }
        p.storeBytes(of: more ? 1 : 0, toByteOffset: count - 1, as: UInt8.self)
        return count
    }

    /// Appends a header.
    public static func append(to output: inout [UInt8], more: Bool, bodyCount: Int) {
        withUnsafeTemporaryAllocation(byteCount: maximumCount, alignment: 1) { room in
            let count = write(at: room.baseAddress!, more: more, bodyCount: bodyCount)
            output.append(contentsOf: room[..<count])
        }
    }
}

/// Turns a stream of ZMTP 1.0 frames into ZMTP 2.0 frames, so that nothing behind it knows the old form.
///
/// Body octets pass through as they come: an announced size allocates nothing. What comes out still goes through a
/// `MessageScanner`, which counts parts and bytes; the size of a frame is judged here as well, before its body.
public struct V1Decoder: Hashable, Sendable {
    /// Octets of a header that is not yet whole, in the order of the wire: length, perhaps eight more, flags.
    private var head: [UInt8] = []
    /// Octets of the current body that are still to come.
    private var remaining = 0
    private let frameLimit: Int

    /// - Parameter limits: `maximumMessageSize` applies.
    public init(limits: ZMTPLimits = ZMTPLimits()) { frameLimit = limits.maximumMessageSize ?? .max }

    /// Takes all of `bytes` and appends what they mean. After an error the connection is over; whole frames before
    /// it have been appended.
    public mutating func decode(
        _ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) throws(ZMTPError) {
        var at = 0
        while at < bytes.count {
            if remaining > 0 {
                let count = min(remaining, bytes.count - at)
                output.append(contentsOf: bytes[at..<at + count])
                at += count
                remaining -= count
                continue
            }
            head.append(bytes[at])
            at += 1
            try advance(into: &output)
        }
    }

    private mutating func advance(into output: inout [UInt8]) throws(ZMTPError) {
        let isLong = head[0] == 0xff
        // A length of zero would leave no room for the flags. The text asks to discard it; the reference closes.
        guard head[0] != 0 else { throw .emptyFrameLength }
        if isLong && head.count < 9 { return }
        let length = isLong ? head[1..<9].reduce(0) { $0 << 8 | UInt64($1) } : UInt64(head[0])
        guard length > 0 else { throw .emptyFrameLength }
        guard let count = Int(exactly: length - 1) else { throw .frameSizeOutOfRange }
        guard count <= frameLimit else { throw .messageTooLarge }
        guard head.count == (isLong ? 10 : 2) else { return }
        // Only MORE means something; the other bits should be zero and are not judged, as in the reference.
        let flags = FrameFlags(rawValue: head.last!).intersection(.more)
        FrameHeader.append(to: &output, flags: flags, bodyCount: count)
        remaining = count
        head.removeAll(keepingCapacity: true)
    }
}
