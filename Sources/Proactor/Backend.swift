/// A completion engine: one method per operation, then one `wait`.
///
/// Arguments travel in registers; there is no closure, no existential and no reference counting per operation.
/// A backend is owned by one thread, the one that made it; only its `waker` may be used by others. Operations on
/// a stale handle, and a second send or receive while one is in flight, trap: they are the program's mistakes.
///
/// The laws, which `ProactorLaws` checks on every backend:
///
/// 1. An accepted operation yields exactly one final completion. Multishot ones yield many with `.more`, then one
///    without. Only a quiet send is excepted, by name.
/// 2. No completion before the `wait` that follows its submission; nothing of the caller is ever re-entered.
/// 3. Memory handed over stays untouched by the caller until the final completion.
/// 4. EINTR and EAGAIN never surface as a result. Partial transfers do; the `toCompletion` and `untilFull` forms
///    continue to the end, and if they fail after progress they report the bytes: the error comes with the next
///    operation.
/// 5. Cancelling an operation makes it complete once: cancelled, or with its result if that won. Cancelling a
///    finished token is harmless. No byte and no accepted descriptor is lost.
/// 6. Closing cancels first, closes after the last completion, and never twice.
/// 7. `wait` returns at its deadline, on a wake, or with completions.
/// 8. At most one send and one receive in flight per handle; one event's work per handle per turn is bounded.
/// 9. Errors are the same on every backend for the same cause.
/// 10. Out of descriptors or memory: accepting backs off by timer, reports, and recovers by itself.
/// 11. Hang-up with unread data delivers the data first.
/// 12. A forked child that touches its parent's engine gets `ProactorError.forked` from `wait`.
public protocol Backend: ~Copyable {
    /// Which engine this is.
    static var kind: BackendKind { get }

    /// Makes an engine for the calling thread.
    /// - Throws: `unavailable` where the kernel refuses it (with reason and cure), `system` for want of resources.
    init(_ configuration: EngineConfiguration) throws(ProactorError)

    /// What was counted so far. Plain numbers of the owning thread.
    var counters: EngineCounters { get }
    /// Which backend and features are in use, and why not the others.
    var report: EngineReport { get }
    /// Ends a `wait` from any thread.
    var waker: Waker { get }

    // MARK: Handles

    /// Takes over an open socket (or pipe end). Sets O_NONBLOCK as the engine needs it.
    /// - Throws: `system(EMFILE…)` where the engine cannot register one more.
    mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle
    /// Looks after a descriptor that somebody else owns, for `poll` only; `close` then merely forgets it.
    mutating func watch(foreign descriptor: Int32) throws(ProactorError) -> Handle
    /// Gives the descriptor back. Nothing may be in flight on it.
    mutating func release(_ handle: Handle) -> Descriptor
    /// The descriptor's number, borrowed, for options and addresses.
    func descriptor(of handle: Handle) -> Int32

    // MARK: Operations

    /// Accepts one connection, or with `multishot` every one until cancelled. Each success carries a descriptor
    /// (CLOEXEC, blocking mode unspecified). Aborted connections are skipped. Out of descriptors or memory a
    /// multishot accept reports the errno in a `.more` completion and goes on by itself after a growing pause
    /// (50 ms up to 1 s); a single one waits silently.
    @discardableResult
    mutating func accept(_ listener: Handle, multishot: Bool) -> Token
    /// Connects; result 0 or the error of the attempt.
    @discardableResult
    mutating func connect(_ socket: Handle, to address: SocketAddress) -> Token
    /// Receives into the caller's memory; with `untilFull` goes on until it is full or the stream ends.
    @discardableResult
    mutating func receive(_ socket: Handle, into memory: UnsafeMutableRawBufferPointer, untilFull: Bool) -> Token
    /// Receives into a buffer that the engine lends from its receive pool only when bytes are there: a waiting
    /// operation holds no memory. Each completion with bytes carries `.buffer`; the taker must `recycle` it.
    /// Where no buffer is free the operation rests and goes on by itself when buffers come back.
    @discardableResult
    mutating func receive(_ socket: Handle, multishot: Bool) -> Token
    /// Sends; the result may be short unless `toCompletion`.
    @discardableResult
    mutating func send(_ socket: Handle, _ bytes: UnsafeRawBufferPointer, toCompletion: Bool) -> Token
    /// Sends a gather list of 1 to 1024 (IOV_MAX) elements. List and memory stay untouched until completion;
    /// `toCompletion` may change the list as it goes.
    @discardableResult
    mutating func send(
        _ socket: Handle, gather list: UnsafeMutableBufferPointer<SendPart>, toCompletion: Bool
    ) -> Token
    /// Sends to completion without a completion of its own (law 1's exception). The memory is the caller's until
    /// later input proves that it went; an error shows up in the next operation on the handle. Occupies the
    /// handle's send until then like any other: `isSending` tells.
    mutating func sendQuietly(_ socket: Handle, _ bytes: UnsafeRawBufferPointer)
    /// Whether a send, quiet ones included, is in flight on the handle.
    func isSending(_ socket: Handle) -> Bool
    /// Receives one datagram; `source(of:)` tells where it came from until the next one is started. A datagram
    /// longer than the memory is cut (MSG_TRUNC), as recvmsg(2) does.
    @discardableResult
    mutating func receiveDatagram(_ socket: Handle, into memory: UnsafeMutableRawBufferPointer) -> Token
    /// The sender of the datagram last received on the handle.
    func source(of socket: Handle) -> SocketAddress?
    /// Sends one datagram.
    @discardableResult
    mutating func sendDatagram(
        _ socket: Handle, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress
    ) -> Token
    /// Waits once until the descriptor is ready; the result is the ready subset as poll(2) bits.
    @discardableResult
    mutating func poll(_ handle: Handle, for events: PollEvents) -> Token
    /// Ends one or both directions at once (shutdown(2)); errors (not connected) are returned.
    mutating func shutdown(_ socket: Handle, _ direction: ShutdownDirection) -> SystemError?
    /// Cancels what is in flight, closes after the last completion, and completes then. The handle is stale from
    /// that completion on.
    @discardableResult
    mutating func close(_ handle: Handle) -> Token
    /// Completes the operation early; harmless if it has finished. Also ends timers.
    mutating func cancel(_ token: Token)
    /// Cancels everything in flight on the handle.
    mutating func cancelAll(_ handle: Handle)

    // MARK: Time

    /// Completes at the deadline (result 0); with `interval` (at least 1 ns) again and again, `.more` each time,
    /// until cancelled. Missed intervals are skipped, not made up for.
    @discardableResult
    mutating func startTimer(at deadline: Deadline, every interval: Duration?) -> Token

    // MARK: Receive pool

    /// The memory of a lent buffer; its first `result` bytes are the completion's.
    func buffer(_ index: UInt16) -> UnsafeMutableRawBufferPointer
    /// Gives a lent buffer back.
    mutating func recycle(_ index: UInt16)

    // MARK: Turning

    /// Submits everything started since the last call, waits, and collects: one kernel entry where the engine has
    /// it. Returns with at least one completion, on a wake (with its completions, if it carried values), or at the
    /// deadline; `nil` waits without end. May also return empty-handed: an interrupted wait does (law 4).
    mutating func wait(until deadline: Deadline?, into batch: inout CompletionBatch) throws(ProactorError)
    /// Wakes one thread that sleeps on the futex word, at the latest with the next `wait`: without a system call
    /// of its own where the ring can do it (6.7).
    mutating func wakeThread(sleepingOn word: UnsafeRawPointer)
}

/// One element of a gather list: memory that is the caller's until the send completes.
///
/// Laid out like `iovec` of sys/uio.h, so that a list of them goes to the kernel as it is. A type of our own because
/// the system's belongs to whichever C module was built first.
@frozen
public struct SendPart {
    /// First byte.
    public var start: UnsafeMutableRawPointer?
    /// Bytes.
    public var count: Int

    /// A part.
    @inlinable
    public init(start: UnsafeMutableRawPointer?, count: Int) {
        self.start = start
        self.count = count
    }
}

/// The engines.
public enum BackendKind: String, Sendable, CaseIterable, CustomStringConvertible {
    /// The kernel completes operations itself (5.11 and later).
    case ioUring = "io_uring"
    /// Completions emulated over edge-triggered readiness; any kernel.
    case epoll

    /// The name users type: `io_uring` or `epoll`.
    public var description: String { rawValue }
}

/// Directions of a shutdown.
public enum ShutdownDirection: Int32, Sendable {
    /// No more receiving.
    case receive = 0
    /// No more sending: the peer sees the end of the stream.
    case send = 1
    /// Both.
    case both = 2
}

/// Readiness to wait for, in the bits of poll(2).
public struct PollEvents: OptionSet, Sendable {
    /// The bits of poll(2).
    public let rawValue: UInt32
    /// From the bits of poll(2).
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Something can be read (POLLIN).
    public static let readable = PollEvents(rawValue: 1)
    /// Something can be written (POLLOUT).
    public static let writable = PollEvents(rawValue: 4)
    /// An error is pending (POLLERR); always reported.
    public static let error = PollEvents(rawValue: 8)
    /// The peer hung up (POLLHUP); always reported.
    public static let hangUp = PollEvents(rawValue: 16)
}

/// Sizes of an engine. Every bound has a default and a range; values outside trap.
public struct EngineConfiguration: Sendable {
    /// Size of each buffer of the receive pool, in bytes: 256 to 1 MiB. Default 16 KiB.
    public var receiveBufferSize = 16 << 10
    /// Buffers in the receive pool: a power of two, 8 to 32768. Default 256.
    public var receiveBufferCount = 256
    /// Submission queue entries: a power of two, 8 to 4096. Default 256. The completion queue has 16 times as many.
    public var submissionDepth = 256
    /// Wakes with a value that may wait at once: 1 to 2^20. Default 65536; beyond it `Waker.wake(_:)` answers false.
    public var wakeBound = 65536
    /// The io_uring features that may be used: all, or fewer to stand for an older kernel.
    public var features = EngineFeatures.all

    /// The defaults.
    public init() {}
}

/// What is counted for every claim that is made about an engine. Monotonic, of the owning thread.
public struct EngineCounters: Sendable, Equatable {
    /// Kernel entries that submit or wait: io_uring_enter, epoll_wait.
    public var kernelEntries: UInt64 = 0
    /// Further system calls for operations: on epoll the sends, receives, accepts…; on io_uring those made outside
    /// the ring.
    public var systemCalls: UInt64 = 0
    /// Operations started.
    public var submissions: UInt64 = 0
    /// Completions delivered.
    public var completions: UInt64 = 0
    /// Times the submission queue was full and had to be flushed early.
    public var submissionOverflows: UInt64 = 0
    /// Times the completion queue overflowed in the kernel.
    public var completionOverflows: UInt64 = 0
    /// Operations that the engine started again by itself (multishot ended, buffers came back, back-off passed).
    public var rearms: UInt64 = 0
    /// Wakes received.
    public var wakeups: UInt64 = 0
    /// Bytes copied by the engine itself.
    public var bytesCopied: UInt64 = 0
    /// Pool buffers lent, in all.
    public var buffersLent: UInt64 = 0
    /// Pool buffers lent now.
    public var buffersOut: UInt64 = 0
    /// Receives that had to rest because no pool buffer was free.
    public var starvations: UInt64 = 0
    /// Times accepting backed off for want of descriptors or memory.
    public var acceptBackoffs: UInt64 = 0
    /// Events that met a newer generation and were dropped.
    public var staleEvents: UInt64 = 0

    /// All zero.
    public init() {}
}
