import Glibc

/// One frame of a message: up to 64 bytes lie inside, larger bodies are shared by reference and never change.
///
/// Copying a frame costs a reference at most. Frames may outlive the socket, the loop and the context they came from.
public struct Frame: Sendable {
    @usableFromInline
    typealias Inline = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    /// Bodies up to this size lie inside the frame.
    static let inlineCapacity = 64

    // To be read only: code of users has what reads a body inlined.
    @usableFromInline
    var inline: Inline = (0, 0, 0, 0, 0, 0, 0, 0)
    /// Nil while the body lies inline; otherwise `inline.0` is its address.
    @usableFromInline
    var owner: SharedBytes?
    /// Bytes of the body.
    public let count: Int

    /// An empty frame.
    public init() { count = 0 }

    /// A frame with a copy of the bytes.
    public init(copying bytes: UnsafeRawBufferPointer) {
        count = bytes.count
        guard count > Self.inlineCapacity else {
            withUnsafeMutableBytes(of: &inline) { $0.copyMemory(from: bytes) }
            return
        }
        let storage = Storage(count: count)
        storage.fillable.copyMemory(from: bytes)
        refer(to: storage.bytes, owner: storage)
    }

    /// A frame with a copy of the bytes.
    public init(_ bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { Frame(copying: $0) }
    }

    /// A frame with the text in UTF-8.
    public init(_ text: String) {
        var text = text
        self = text.withUTF8 { Frame(copying: UnsafeRawBufferPointer($0)) }
    }

    /// A frame whose `count` bytes the closure fills in; they start out zero. Large frames are written once, where
    /// they will be sent from.
    public init(count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        precondition(count >= 0, "a frame's size is not negative")
        self.count = count
        guard count > Self.inlineCapacity else {
            try withUnsafeMutableBytes(of: &inline) {
                try fill(UnsafeMutableRawBufferPointer(rebasing: $0[..<count]))
            }
            return
        }
        let storage = Storage(count: count)
        storage.fillable.initializeMemory(as: UInt8.self, repeating: 0)
        try fill(storage.fillable)
        refer(to: storage.bytes, owner: storage)
    }

    /// A frame over memory that somebody else owns: nothing is copied from 32 KiB up. `release` runs once, on any
    /// thread, when no frame and no kernel operation needs the memory any more; it may call into this library.
    public init(
        referring bytes: UnsafeRawBufferPointer, release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        count = bytes.count
        let storage = ForeignStorage(bytes, release: release)
        guard count > Self.inlineCapacity else {
            withUnsafeMutableBytes(of: &inline) { $0.copyMemory(from: bytes) }
            withExtendedLifetime(storage) {}
            return
        }
        refer(to: bytes, owner: storage)
    }

    /// A frame that outlives the take of the pipe it lies in.
    init(_ lent: LentFrame) {
        self = lent.body.count <= Self.inlineCapacity ? Frame(small: lent) : Frame(large: lent)
    }

    /// The same for a body that will lie inline.
    @inline(__always)
    init(small lent: LentFrame) {
        count = lent.body.count
        // A fixed size costs a few moves; chunks have slack behind them, so reading past the body is in bounds.
        // What lies behind the body is never looked at.
        if let base = lent.body.baseAddress { inline = base.loadUnaligned(as: Inline.self) }
    }

    private init(large lent: LentFrame) {
        count = lent.body.count
        if let kept = lent.owner {
            refer(to: lent.body, owner: kept.takeUnretainedValue())
        } else {
            let storage = Storage(count: count)
            storage.fillable.copyMemory(from: lent.body)
            refer(to: storage.bytes, owner: storage)
        }
    }

    private mutating func refer(to bytes: UnsafeRawBufferPointer, owner: SharedBytes) {
        inline.0 = UInt64(UInt(bitPattern: bytes.baseAddress))
        self.owner = owner
    }

    /// Whether the body has no bytes.
    @inlinable
    public var isEmpty: Bool { count == 0 }

    /// Calls with the body, valid during the call.
    @inlinable
    @inline(__always)
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        if owner != nil {
            let start = UnsafeRawPointer(bitPattern: UInt(inline.0))
            return try withExtendedLifetime(owner) {
                try body(UnsafeRawBufferPointer(start: start, count: count))
            }
        }
        return try Swift.withUnsafeBytes(of: inline) {
            try body(UnsafeRawBufferPointer(start: $0.baseAddress, count: count))
        }
    }

    /// The body as an array (a copy).
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// The body as text; malformed UTF-8 is repaired with U+FFFD.
    public var string: String { withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
}

extension Frame: Hashable {
    /// Equal bytes.
    public static func == (left: Frame, right: Frame) -> Bool {
        guard left.count == right.count else { return false }
        return left.withUnsafeBytes { a in
            right.withUnsafeBytes { b in a.isEmpty || memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 }
        }
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) { withUnsafeBytes { hasher.combine(bytes: $0) } }
}

extension Frame: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// The literal in UTF-8.
    public init(stringLiteral value: String) { self.init(value) }

    /// The literal bytes.
    public init(arrayLiteral elements: UInt8...) { self.init(elements) }

    /// The text if all of it is printable ASCII, else size and first bytes.
    public var description: String {
        withUnsafeBytes { bytes in
            if bytes.allSatisfy({ 0x20..<0x7F ~= $0 }) { return String(decoding: bytes, as: UTF8.self) }
            let head = bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: " ")
            return "\(count) bytes: \(head)\(count > 8 ? " …" : "")"
        }
    }
}
