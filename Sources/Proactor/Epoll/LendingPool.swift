/// The receive pool in user space: buffers of one size in one block, lent by number.
///
/// The last returned is lent first: it is the warmest in the caches. Pages that were never lent are never touched.
struct LendingPool: ~Copyable {
    private let memory: UnsafeMutableRawPointer
    private let size: Int
    private let count: Int
    private var free: [UInt16]
    private var isLent: [Bool]

    /// Buffers that are lent now.
    var lent: Int { count - free.count }
    /// Buffers that may be lent now.
    var available: Int { free.count }
    /// Returned buffers wake resting receives in lots, so that each does not fight for one buffer at a time.
    let lot: Int

    init(size: Int, count: Int) {
        precondition(size >= 256 && size <= 1 << 20, "receiveBufferSize is 256 to 1 MiB")
        precondition(
            count >= 8 && count <= 32768 && count & (count - 1) == 0,
            "receiveBufferCount is a power of two, 8 to 32768")
        self.size = size
        self.count = count
        lot = min(count / 4, 64)
        memory = .allocate(byteCount: size * count, alignment: 4096)
        free = (0..<count).reversed().map { UInt16($0) }
        isLent = Array(repeating: false, count: count)
    }

    deinit { memory.deallocate() }

    mutating func take() -> UInt16? {
        guard let index = free.popLast() else { return nil }
        isLent[Int(index)] = true
        return index
    }

    mutating func giveBack(_ index: UInt16) {
        precondition(Int(index) < count && isLent[Int(index)], "buffer \(index) is not lent")
        isLent[Int(index)] = false
        free.append(index)
    }

    subscript(index: UInt16) -> UnsafeMutableRawBufferPointer {
        precondition(Int(index) < count)
        return UnsafeMutableRawBufferPointer(start: memory + Int(index) * size, count: size)
    }
}
