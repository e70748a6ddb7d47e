/// What became of an operation. A plain value: no closure, no reference, 24 bytes.
@frozen
public struct Completion: Sendable {
    /// Facts beside the result.
    @frozen
    public struct Flags: OptionSet, Sendable {
        /// The bits.
        public let rawValue: UInt16
        /// From the bits.
        @inlinable
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        /// The operation goes on: more completions with this token follow.
        public static let more = Flags(rawValue: 1)
        /// `buffer` names a lent buffer of the receive pool, which its taker must recycle.
        public static let buffer = Flags(rawValue: 2)
    }

    /// The operation's identity, as returned when it was started.
    public let token: Token
    /// At least 0: bytes transferred, an accepted descriptor, or poll events. Negative: a negated errno, the same
    /// on every backend for the same cause. A receive of 0 bytes means that the peer has closed its side.
    public let result: Int32
    /// Facts beside the result.
    public let flags: Flags
    /// The lent buffer, where `flags` contains `.buffer`.
    public let buffer: UInt16
    /// The value given to `Waker.wake(_:)`, for a completion of purpose `.wake`.
    public let value: UInt64

    @inlinable
    init(token: Token, result: Int32, flags: Flags = [], buffer: UInt16 = 0, value: UInt64 = 0) {
        self.token = token
        self.result = result
        self.flags = flags
        self.buffer = buffer
        self.value = value
    }

    /// The error, if the operation failed or was cancelled (`.canceled`).
    @inlinable
    public var error: SystemError? { result < 0 ? SystemError(code: -result) : nil }

    /// Whether further completions with the same token follow.
    @inlinable
    public var hasMore: Bool { flags.contains(.more) }

    /// The accepted descriptor of a successful accept. It belongs to whoever takes it, once.
    public func takeDescriptor() -> Descriptor {
        precondition(token.purpose == .accept && result >= 0, "only a successful accept carries a descriptor")
        return Descriptor(owning: result)
    }
}

/// Fixed storage that a `wait` fills and its caller drains. Owned by the loop, allocated once.
public struct CompletionBatch: ~Copyable {
    private let storage: UnsafeMutablePointer<Completion>
    /// How many completions one `wait` delivers at most; the rest stays queued for the next.
    public let capacity: Int
    /// How many the last `wait` delivered.
    public private(set) var count = 0

    /// - Parameter capacity: 1 to 65536. Bounds the work of one turn.
    public init(capacity: Int = 256) {
        precondition(capacity > 0 && capacity <= 65536)
        self.capacity = capacity
        storage = .allocate(capacity: capacity)
    }

    deinit { storage.deallocate() }

    /// Whether no further completion fits.
    public var isFull: Bool { count == capacity }

    /// The completion at a position below `count`.
    public subscript(index: Int) -> Completion {
        precondition(index >= 0 && index < count)
        return storage[index]
    }

    mutating func removeAll() { count = 0 }

    mutating func append(_ completion: Completion) {
        assert(count < capacity)
        storage[count] = completion  // trivial type: assignment initialises
        count += 1
    }
}
