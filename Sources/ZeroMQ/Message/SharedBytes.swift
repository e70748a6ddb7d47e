import Glibc

/// Immutable bytes with an owner: the body of a frame that is too large to lie in the frame itself.
///
/// Sendable: the bytes are written before the value is shared and never after; for foreign memory its giver promises
/// so until the release runs.
@usableFromInline
class SharedBytes: @unchecked Sendable {
    final let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Whether a memory budget counts it already.
    var isCharged: Bool { false }
}

/// Memory of our own, from malloc(3).
class Storage: SharedBytes, @unchecked Sendable {
    /// Uninitialised memory of `count` bytes; the creator fills it before sharing it.
    convenience init(count: Int) {
        guard let memory = malloc(max(1, count)) else { fatalError("out of memory for a body of \(count) bytes") }
        self.init(adopting: UnsafeMutableRawBufferPointer(start: memory, count: count))
    }

    /// Takes over memory from malloc(3).
    init(adopting memory: UnsafeMutableRawBufferPointer) { super.init(UnsafeRawBufferPointer(memory)) }

    /// For the creator only.
    final var fillable: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(mutating: bytes) }

    deinit { free(UnsafeMutableRawPointer(mutating: bytes.baseAddress)) }
}

/// The body of a large message that was received: its budget has it until the last reference goes.
final class ReceivedStorage: Storage, @unchecked Sendable {
    private let budget: MemoryBudget
    private let charged: Int

    /// Takes over memory from malloc(3), and what the budget was charged for it.
    init(adopting memory: UnsafeMutableRawBufferPointer, charged: Int, budget: MemoryBudget) {
        self.budget = budget
        self.charged = charged
        super.init(adopting: memory)
    }

    deinit { budget.release(charged) }

    override var isCharged: Bool { true }
}

/// Memory given together with its release, which runs once, on whatever thread drops the last reference, with no
/// lock held.
final class ForeignStorage: SharedBytes, @unchecked Sendable {
    private let release: @Sendable (UnsafeRawBufferPointer) -> Void

    init(_ bytes: UnsafeRawBufferPointer, release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
        self.release = release
        super.init(bytes)
    }

    deinit { release(bytes) }
}
