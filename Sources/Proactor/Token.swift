/// What an operation is for; part of its token, so that a dispatch needs nothing but the completion.
public enum Purpose: UInt8, Sendable, CaseIterable {
    case accept = 1
    case connect
    case receive
    case send
    case poll
    case close
    case timer
    case wake
}

/// The identity of one operation: slot, generation and purpose in 64 bits.
///
/// A token is never a descriptor number: descriptors are reused by the kernel at once, and a late completion
/// must not meet a newer owner. The generation is counted per operation, so a finished token stays finished
/// (until 2^32 further operations on the same slot).
@frozen
public struct Token: Hashable, Sendable {
    /// The 64 bits as they travel through the kernel: purpose (8) | slot (24) | generation (32).
    public let rawValue: UInt64

    @inlinable
    init(rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    init(slot: UInt32, generation: UInt32, purpose: Purpose) {
        rawValue = UInt64(purpose.rawValue) << 56 | UInt64(slot & 0x00FF_FFFF) << 32 | UInt64(generation)
    }

    /// The slot of the handle (or of the timer) the operation belongs to: 0 ..< 2^24.
    @inlinable
    public var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & 0x00FF_FFFF }

    /// Counts operations on the slot; wraps.
    @inlinable
    public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    /// What the operation was started for.
    @inlinable
    public var purpose: Purpose {
        // Only this module makes tokens, always from a `Purpose`.
        Purpose(rawValue: UInt8(truncatingIfNeeded: rawValue >> 56)).unsafelyUnwrapped
    }
}

/// A socket (or a foreign descriptor) that a backend looks after.
///
/// Using a handle after its `close` has completed traps: it is the program's mistake, never a peer's.
@frozen
public struct Handle: Hashable, Sendable {
    /// Index of the record in the backend: 0 ..< 2^24. Callers may keep arrays of their own by it.
    public let slot: UInt32
    /// Counts the owners of the slot.
    public let generation: UInt32

    @inlinable
    init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }
}
