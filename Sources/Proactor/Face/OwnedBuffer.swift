/// Bytes with one owner, for operations to work on: handed in with an operation, back with its completion.
///
/// The memory never moves and is freed with its last holder. `count` bytes are filled; a receive fills up to
/// `capacity`, a send takes the filled ones.
///
/// `@unchecked Sendable`: it is the only owner of its memory (`~Copyable`, no pointer leaves `with…`), so whoever
/// holds the value is alone with the bytes.
public struct OwnedBuffer: ~Copyable, @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    /// Bytes that are filled: 0 to `capacity`.
    public private(set) var count: Int

    /// Memory that is not filled yet.
    /// - Parameter capacity: in bytes, at least 1.
    public init(capacity: Int) {
        precondition(capacity > 0, "a buffer holds at least one byte")
        memory = .allocate(byteCount: capacity, alignment: 16)
        count = 0
    }

    /// A copy of bytes, filled.
    public init(copying bytes: some Collection<UInt8>) {
        self.init(capacity: max(1, bytes.count))
        append(bytes)
    }

    init(_ place: Place) {
        memory = UnsafeMutableRawBufferPointer(start: place.start, count: place.capacity)
        count = place.count
    }

    deinit { memory.deallocate() }

    /// How many bytes fit.
    public var capacity: Int { memory.count }
    /// Bytes that still fit.
    public var room: Int { capacity - count }

    /// Fills what follows with a copy of bytes; traps if they do not fit.
    public mutating func append(_ bytes: some Collection<UInt8>) {
        precondition(bytes.count <= room, "\(bytes.count) bytes do not fit into \(room)")
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyBytes(from: bytes)
        count += bytes.count
    }

    /// Forgets the bytes, keeps the memory.
    public mutating func removeAll() { count = 0 }

    /// Calls with the filled bytes.
    public borrowing func withBytes<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(rebasing: memory[..<count]).bytes)
    }

    /// Writes into the whole memory and says how many bytes of it are filled then.
    /// - Parameter body: gets `capacity` bytes, the first `count` filled, and answers the new count.
    public mutating func fill<Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Int
    ) throws(Failure) {
        var span = memory.mutableBytes
        let filled = try body(&span)
        precondition(filled >= 0 && filled <= capacity, "filled is 0 to the capacity")
        count = filled
    }

    /// The filled bytes, copied.
    public borrowing func array() -> [UInt8] { Array(memory[..<count]) }
}

// MARK: For engines

extension OwnedBuffer {
    /// The memory without its owner: whoever holds it must make a buffer of it again, once.
    struct Place {
        let start: UnsafeMutableRawPointer
        let capacity: Int
        var count: Int

        var filled: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }
        var whole: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: start, count: capacity) }
    }

    /// Gives the memory away.
    consuming func release() -> Place {
        let place = Place(start: memory.baseAddress!, capacity: memory.count, count: count)
        discard self
        return place
    }

    /// The memory, still owned here: for operations that end before this value may be used again.
    borrowing func lend() -> Place {
        Place(start: memory.baseAddress!, capacity: memory.count, count: count)
    }

    /// Notes what an operation has filled.
    mutating func setCount(_ filled: Int) { count = filled }
}
