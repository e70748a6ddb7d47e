/// A message: one frame or more. It is sent and delivered whole or not at all (23/ZMTP, Framing).
///
/// A single-frame message of up to 64 bytes allocates nothing.
public struct Message: Sendable, Hashable {
    @usableFromInline
    var first: Frame
    @usableFromInline
    var rest: [Frame]?

    /// A message of one frame.
    public init(_ frame: Frame = Frame()) { first = frame }

    /// A message of the frames given, at least one.
    public init(frames: some Sequence<Frame>) {
        var iterator = frames.makeIterator()
        guard let first = iterator.next() else { preconditionFailure("a message has at least one frame") }
        self.first = first
        while let frame = iterator.next() { append(frame) }
    }

    /// A message of one frame with a copy of the bytes.
    public init(_ bytes: [UInt8]) { first = Frame(bytes) }

    /// A message of one frame with the text in UTF-8.
    public init(_ text: String) { first = Frame(text) }

    /// Adds a frame at the end.
    public mutating func append(_ frame: Frame) {
        if rest == nil { rest = [frame] } else { rest!.append(frame) }
    }

    /// Adds a frame in front.
    public mutating func prepend(_ frame: Frame) {
        if rest == nil { rest = [first] } else { rest!.insert(first, at: 0) }
        first = frame
    }

    /// Bytes of all frames together.
    public var byteCount: Int { first.count + (rest?.reduce(0) { $0 + $1.count } ?? 0) }

    /// The first frame's body as text.
    public var string: String { first.string }

    /// The first frame's body as an array.
    public var bytes: [UInt8] { first.bytes }
}

extension Message: RandomAccessCollection, MutableCollection {
    /// 0.
    @inlinable
    public var startIndex: Int { 0 }
    /// The number of frames.
    @inlinable
    public var endIndex: Int { count }
    /// The number of frames, at least 1.
    @inlinable
    public var count: Int { 1 + (rest?.count ?? 0) }

    /// The frame at an index below `count`.
    @inlinable
    public subscript(index: Int) -> Frame {
        get { index == 0 ? first : rest![index - 1] }
        set { if index == 0 { first = newValue } else { rest![index - 1] = newValue } }
    }
}

extension Message: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// One frame with the literal in UTF-8.
    public init(stringLiteral value: String) { self.init(value) }

    /// The literal frames; at least one.
    public init(arrayLiteral elements: Frame...) { self.init(frames: elements) }

    /// The frames in brackets.
    public var description: String { "[" + map(\.description).joined(separator: " | ") + "]" }
}
