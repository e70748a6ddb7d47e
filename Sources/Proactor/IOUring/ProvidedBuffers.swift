import CLiburing
import Glibc

/// The receive pool: one mapping cut into buffers, lent out by index.
///
/// With a buffer ring (5.19) the kernel takes a buffer when bytes arrive; without one the engine takes it from a
/// free list of its own after a poll. Either way a waiting receive holds no memory. The ring is exited before this
/// is freed: the kernel writes here.
struct ReceivePool: ~Copyable {
    /// The group that submissions name; one pool per ring.
    static var group: UInt16 { 0 }

    /// Size of a buffer in bytes.
    let size: Int
    /// Buffers in all.
    let count: Int
    private let memory: UnsafeMutableRawPointer
    private let memorySize: Int
    /// Shared with the kernel; nil on the rungs below 5.19.
    private let ring: UnsafeMutablePointer<io_uring_buf_ring>?
    private var ringSize: Int { count * MemoryLayout<io_uring_buf>.stride }
    /// Indices of free buffers, where there is no ring.
    private let free: UnsafeMutablePointer<UInt16>
    private var freeCount = 0
    /// Which buffers are lent: recycling one twice would hand the same memory to two owners.
    private let isLent: UnsafeMutablePointer<Bool>
    /// Buffers lent now.
    private(set) var lentCount = 0
    /// Buffers lent in all.
    private(set) var lentTotal: UInt64 = 0

    /// Whether the kernel itself takes the buffers.
    var isRing: Bool { ring != nil }
    /// Buffers that nobody has borrowed (some may lie in completions that were not looked at yet).
    var available: Int { count - lentCount }

    /// Maps the pool, and registers it as a ring of buffers if `useRing` and the kernel can.
    init(size: Int, count: Int, useRing: Bool, _ handle: UnsafeMutablePointer<io_uring>) throws(ProactorError) {
        let memory = try ReceivePool.map(size * count)
        var ring: UnsafeMutablePointer<io_uring_buf_ring>?
        if useRing {
            let entries = try ReceivePool.map(count * MemoryLayout<io_uring_buf>.stride)
            var registration = io_uring_buf_reg()
            registration.ring_addr = UInt64(UInt(bitPattern: entries))
            registration.ring_entries = UInt32(count)
            registration.bgid = ReceivePool.group
            if io_uring_register_buf_ring(handle, &registration, 0) == 0 {
                ring = entries.bindMemory(to: io_uring_buf_ring.self, capacity: 1)
            } else {
                munmap(entries, count * MemoryLayout<io_uring_buf>.stride)
            }
        }
        self.size = size
        self.count = count
        self.memory = memory
        memorySize = size * count
        self.ring = ring
        free = .allocate(capacity: count)
        isLent = .allocate(capacity: count)
        isLent.initialize(repeating: false, count: count)
        if let ring {
            for index in 0..<count { provide(UInt16(index), at: index, to: ring) }
            io_uring_buf_ring_advance(ring, Int32(count))
        } else {
            for index in (0..<count).reversed() {
                free[freeCount] = UInt16(index)
                freeCount += 1
            }
        }
    }

    deinit {
        munmap(memory, memorySize)
        if let ring { munmap(ring, ringSize) }
        free.deallocate()
        isLent.deallocate()
    }

    /// The memory of a buffer.
    func buffer(_ index: UInt16) -> UnsafeMutableRawBufferPointer {
        precondition(Int(index) < count, "there is no such buffer")
        return UnsafeMutableRawBufferPointer(start: memory + Int(index) * size, count: size)
    }

    /// Notes that the kernel has filled a buffer, which now goes to the program.
    mutating func lend(_ index: UInt16) {
        isLent[Int(index)] = true
        lentCount += 1
        lentTotal += 1
    }

    /// Takes a free buffer, where there is no ring.
    mutating func take() -> UInt16? {
        guard freeCount > 0 else { return nil }
        freeCount -= 1
        lend(free[freeCount])
        return free[freeCount]
    }

    /// Undoes `take`: nothing was received after all.
    mutating func untake(_ index: UInt16) {
        recycle(index)
        lentTotal -= 1
    }

    /// Takes a lent buffer back; traps on one that is not lent.
    mutating func recycle(_ index: UInt16) {
        precondition(Int(index) < count && isLent[Int(index)], "buffer \(index) is not lent")
        isLent[Int(index)] = false
        lentCount -= 1
        putBack(index)
    }

    /// Puts back a buffer that never reached the program: its completion was stale.
    mutating func putBack(_ index: UInt16) {
        if let ring {
            provide(index, at: 0, to: ring)
            io_uring_buf_ring_advance(ring, 1)
        } else {
            free[freeCount] = index
            freeCount += 1
        }
    }

    private func provide(_ index: UInt16, at offset: Int, to ring: UnsafeMutablePointer<io_uring_buf_ring>) {
        io_uring_buf_ring_add(
            ring, memory + Int(index) * size, UInt32(size), index, Int32(count - 1), Int32(offset))
    }

    private static func map(_ size: Int) throws(ProactorError) -> UnsafeMutableRawPointer {
        let protection = PROT_READ | PROT_WRITE
        guard let memory = mmap(nil, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            memory != MAP_FAILED
        else { throw .last("mmap of \(size) bytes for the receive pool") }
        return memory
    }
}
