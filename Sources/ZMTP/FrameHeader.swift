/// The first octet of a frame (37/ZMTP, Framing): bits 3 to 7 are reserved and zero.
@frozen public struct FrameFlags: OptionSet, Hashable, Sendable {
    /// The octet as it stands on the wire.
    public let rawValue: UInt8

    /// - Parameter rawValue: the octet as it stands on the wire.
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Another frame of the same message follows.
    @inlinable public static var more: FrameFlags { FrameFlags(rawValue: 1) }
    /// The size takes eight octets instead of one.
    @inlinable public static var long: FrameFlags { FrameFlags(rawValue: 2) }
    /// The frame is a command, no part of a message. Reserved before ZMTP 3.0.
    @inlinable public static var command: FrameFlags { FrameFlags(rawValue: 4) }
}

/// The head of one ZMTP 2 or 3 frame: a flags octet, then the body's size in one octet, or in eight if `long`.
///
/// This is the application thread's whole view of the wire. It only meets bytes that a `MessageScanner` has let
/// through, so it checks nothing; a size of 2^63 or more, which it could not represent, is never among them.
@frozen public struct FrameHeader: Hashable, Sendable {
    /// The flags octet.
    public let flags: FrameFlags
    /// Octets of the body, which follows the header.
    public let bodyCount: Int

    /// A header as it stands on the wire: `flags` says which form of the size was used.
    @inlinable public init(flags: FrameFlags, bodyCount: Int) {
        self.flags = flags
        self.bodyCount = bodyCount
    }

    /// Octets of the header itself: 2 or 9. A small body may come with a long header.
    @inlinable public var headerCount: Int { flags.contains(.long) ? 9 : 2 }

    /// The largest header.
    @inlinable public static var maximumCount: Int { 9 }

    /// Octets of the header that `write` puts in front of a body: short up to 255.
    @inlinable public static func headerCount(for bodyCount: Int) -> Int { bodyCount > 255 ? 9 : 2 }

    /// Takes the header at `p`, or nothing if it is not whole within `available` octets.
    ///
    /// The bytes must have passed a `MessageScanner`.
    @inlinable public static func parse(_ p: UnsafeRawPointer, available: Int) -> FrameHeader? {
        guard available >= 2 else { return nil }
        let flags = FrameFlags(rawValue: p.load(as: UInt8.self))
        guard flags.contains(.long) else {
            return FrameHeader(flags: flags, bodyCount: Int(p.load(fromByteOffset: 1, as: UInt8.self)))
        }
        guard available >= 9 else { return nil }
        let size = UInt64(bigEndian: p.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
        return FrameHeader(flags: flags, bodyCount: Int(truncatingIfNeeded: size))
    }

    /// Writes a header in its shortest form; the long bit follows from `bodyCount`, whatever `flags` says of it.
    ///
    /// - Parameters:
    ///   - p: room for `headerCount(for: bodyCount)` octets.
    ///   - flags: what the frame is.
    ///   - bodyCount: octets of the body.
    /// - Returns: the octets written, 2 or 9.
    @inlinable @discardableResult
    public static func write(at p: UnsafeMutableRawPointer, flags: FrameFlags, bodyCount: Int) -> Int {
        if bodyCount <= 255 {
            p.storeBytes(of: flags.subtracting(.long).rawValue, as: UInt8.self)
            p.storeBytes(of: UInt8(truncatingIfNeeded: bodyCount), toByteOffset: 1, as: UInt8.self)
            return 2
        }
        p.storeBytes(of: flags.union(.long).rawValue, as: UInt8.self)
        p.storeBytes(of: UInt64(truncatingIfNeeded: bodyCount).bigEndian, toByteOffset: 1, as: UInt64.self)
        return 9
    }
}

extension FrameHeader {
    /// Appends a header in its shortest form, for control bytes that are built in an array.
    public static func append(to output: inout [UInt8], flags: FrameFlags, bodyCount: Int) {
        withUnsafeTemporaryAllocation(byteCount: maximumCount, alignment: 1) { room in
            let count = write(at: room.baseAddress!, flags: flags, bodyCount: bodyCount)
            output.append(contentsOf: room[..<count])
        }
    }
}
