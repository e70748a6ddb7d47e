import Glibc
import ZMTP

/// The body of a large frame while it arrives. Small sizes are believed at once; beyond, memory grows with what has
/// really come, so that a header alone costs nothing.
final class GrowingBody {
    let header: FrameHeader
    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    private var count = 0

    init(_ header: FrameHeader, trusted: Int) {
        self.header = header
        capacity = max(1, min(header.bodyCount, trusted))
        memory = Self.allocate(nil, capacity)
    }

    deinit { free(memory) }

    var missing: Int { header.bodyCount - count }
    var isComplete: Bool { missing == 0 }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    /// Where the next bytes go: at least one byte while the body is not complete; nil when it is.
    var space: UnsafeMutableRawBufferPointer? {
        guard !isComplete else { return nil }
        if count == capacity { grow(to: min(header.bodyCount, capacity * 2)) }
        return UnsafeMutableRawBufferPointer(start: memory + count, count: capacity - count)
    }

    func filled(_ more: Int) { count += more }

    func append(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        if count + bytes.count > capacity {
            grow(to: min(header.bodyCount, max(capacity * 2, count + bytes.count)))
        }
        (memory + count).copyMemory(from: base, byteCount: bytes.count)
        count += bytes.count
    }

    /// Gives the memory to the message it belongs to.
    func takeStorage() -> Storage {
        let storage = Storage(adopting: UnsafeMutableRawBufferPointer(start: memory, count: count))
        memory = Self.allocate(nil, 1)
        capacity = 1
        count = 0
        return storage
    }

    private func grow(to size: Int) {
        memory = Self.allocate(memory, size)
        capacity = size
    }

    private static func allocate(_ old: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer {
        guard let memory = realloc(old, size) else { fatalError("out of memory for a body of \(size) bytes") }
        return memory
    }
}
