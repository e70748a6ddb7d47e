import Glibc
import ZMTP

/// The body of a large frame while it arrives. Small sizes are believed at once; beyond, memory grows with what has
/// really come, so that a header alone costs nothing. What it occupies is taken from a budget first.
final class GrowingBody {
    let header: FrameHeader
    private let budget: MemoryBudget
    private var memory: UnsafeMutableRawPointer
    /// Bytes that fit: what the budget was charged.
    private(set) var capacity: Int
    private var count = 0

    /// Where memory is short it grows by so much at least.
    private static let smallStep = 64 << 10

    /// - Parameters:
    ///   - trusted: bytes that are provided at once, if the budget has them.
    ///   - bytes: those that are there already, whatever the budget has.
    init(_ header: FrameHeader, trusted: Int, having bytes: UnsafeRawBufferPointer, budget: MemoryBudget) {
        self.header = header
        self.budget = budget
        let wanted = max(1, bytes.count, min(header.bodyCount, trusted))
        if budget.reserve(wanted) {
            capacity = wanted
        } else {
            capacity = max(1, bytes.count)
            budget.charge(capacity)
        }
        memory = Self.allocate(nil, capacity)
        append(bytes)
    }

    deinit {
        free(memory)
        budget.release(capacity)
    }

    var missing: Int { header.bodyCount - count }
    var isComplete: Bool { missing == 0 }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    /// Where the next bytes go; nil when it is complete, or has to grow first.
    var space: UnsafeMutableRawBufferPointer? {
        guard !isComplete, count < capacity else { return nil }
        return UnsafeMutableRawBufferPointer(start: memory + count, count: capacity - count)
    }

    /// Bytes without which it cannot go on: 0 while there is space.
    var need: Int { isComplete || count < capacity ? 0 : min(missing, Self.smallStep) }

    /// Grows, if the budget has room for it: to twice its size, or by a little.
    func grow() -> Bool {
        guard need > 0 else { return true }
        for step in [min(missing, capacity), need] where budget.reserve(step) {
            resize(to: capacity + step)
            return true
        }
        return false
    }

    func filled(_ more: Int) { count += more }

    /// Takes bytes that are there already, whatever the budget has.
    func append(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        if count + bytes.count > capacity {
            let size = min(header.bodyCount, max(capacity * 2, count + bytes.count))
            budget.charge(size - capacity)
            resize(to: size)
        }
        (memory + count).copyMemory(from: base, byteCount: bytes.count)
        count += bytes.count
    }

    /// Gives the memory to the message it belongs to.
    func takeStorage() -> Storage {
        let storage = ReceivedStorage(
            adopting: UnsafeMutableRawBufferPointer(start: memory, count: count), charged: capacity, budget: budget)
        memory = Self.allocate(nil, 1)
        capacity = 0
        count = 0
        return storage
    }

    private func resize(to size: Int) {
        memory = Self.allocate(memory, size)
        capacity = size
    }

    private static func allocate(_ old: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer {
        guard let memory = realloc(old, size) else { fatalError("out of memory for a body of \(size) bytes") }
        return memory
    }
}
