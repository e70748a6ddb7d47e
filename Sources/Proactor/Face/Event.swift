/// What became of an operation, in the words of the public face: a plain value to switch over.
///
/// The bytes and buffers in it are tickets, valid until the next `wait` of the proactor that gave them: what was
/// not taken by then goes back to its pool (or is freed) by itself.
public enum Event: Sendable {
    /// A connection came in and is adopted already.
    case accepted(Handle, on: Handle)
    /// Accepting rests for want of descriptors or memory, and goes on by itself (law 10).
    case acceptPaused(Handle, SystemError)
    /// A `connect` succeeded.
    case connected(Handle)
    /// Bytes came, in memory lent by the proactor.
    case received(Handle, LentBytes)
    /// A receive into an own buffer ended: the buffer, with its new count.
    case filled(Handle, ReturnedBuffer)
    /// All bytes of a send have gone; the own buffer, if it was one.
    case sent(Handle, ReturnedBuffer?)
    /// The peer sends no more: every byte before was delivered. An own buffer comes back too.
    case ended(Handle, ReturnedBuffer?)
    /// A polled descriptor is ready.
    case ready(Handle, PollEvents)
    /// A timer is due; `goesOn` for repeating ones.
    case timer(Token, goesOn: Bool)
    /// `Waker.wake(_:)` was called with the value.
    case woken(UInt64)
    /// A `close` is complete; the handle is stale from here on.
    case closed(Handle)
    /// An operation failed, or was cancelled.
    case failed(Failure)

    /// An operation that failed: which, on what, why.
    public struct Failure: Sendable {
        /// The operation, as returned when it was started; its purpose says what it was.
        public let token: Token
        /// What it worked on; nil for a timer.
        public let handle: Handle?
        /// Why. `.canceled` after `cancel` and `close`.
        public let error: SystemError
        /// The buffer that was handed in with it, if any. A send that was cut short may have sent some of it.
        public let buffer: ReturnedBuffer?
        /// Bytes sent or received before the failure.
        public let transferred: Int
    }
}

/// A ticket for received bytes in the proactor's pool; see `Proactor.withBytes(of:_:)` and `send(_:on:)`.
public struct LentBytes: Sendable {
    let index: UInt16
    /// The turn it is valid in.
    let turn: UInt64
    /// How many bytes: at least 1.
    public let count: Int
}

/// A ticket for a buffer that came back with its completion; `Proactor.take(_:)` gives the buffer.
public struct ReturnedBuffer: Sendable {
    let position: Int
    /// The turn it is valid in.
    let turn: UInt64
    /// How many bytes of it are filled.
    public let count: Int
}
