/// Several buffers in a row, to be sent as one: a header and its body, say. Owns them until they are taken out.
///
/// `@unchecked Sendable`: as for `OwnedBuffer`, whoever holds the value is alone with the bytes.
public struct BufferList: ~Copyable, @unchecked Sendable {
    /// The most buffers that one send may gather (IOV_MAX).
    public static var maximumCount: Int { 1024 }

    private(set) var places: [OwnedBuffer.Place] = []

    /// An empty list.
    public init() {}

    deinit { for place in places { _ = OwnedBuffer(place) } }

    /// How many buffers: 0 to 1024.
    public var count: Int { places.count }
    /// Bytes filled, in all.
    public var byteCount: Int { places.reduce(0) { $0 + $1.count } }

    /// Adds a buffer at the end; traps beyond 1024.
    public mutating func append(_ buffer: consuming OwnedBuffer) {
        precondition(places.count < Self.maximumCount, "a send gathers at most 1024 buffers")
        places.append(buffer.release())
    }

    /// Takes the last buffer out; nil when there is none.
    public mutating func popLast() -> OwnedBuffer? { places.popLast().map { OwnedBuffer($0) } }
}
