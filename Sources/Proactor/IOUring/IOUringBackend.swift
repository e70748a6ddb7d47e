import CLiburing
import Glibc

/// The engine over io_uring: the kernel does the work, one entry per `wait` submits, waits and times out.
///
/// This is the face; the state and the work are in `RingEngine`, which lives on the heap because the kernel holds
/// pointers into it. Needs 5.11; uses what newer kernels have, up to 6.15, as `report` tells.
public struct IOUringBackend: Backend, ~Copyable {
    private let engine: UnsafeMutablePointer<RingEngine>

    /// io_uring.
    public static var kind: BackendKind { .ioUring }

    /// Makes an engine for the calling thread, the only one that may use it (6.0: the only one that can).
    public init(_ configuration: EngineConfiguration) throws(ProactorError) {
        let made = try RingEngine(configuration)
        engine = .allocate(capacity: 1)
        engine.initialize(to: made)
    }

    deinit {
        // What the kernel did not hand back is given up (and counted), never freed under it.
        guard engine.pointee.shutDown() else { return }
        engine.deinitialize(count: 1)
        engine.deallocate()
    }

    /// What was counted so far.
    public var counters: EngineCounters { engine.pointee.counters }
    /// Features in use, and why not the others.
    public var report: EngineReport { engine.pointee.report }
    /// Ends a `wait` from any thread.
    public var waker: Waker { engine.pointee.waker }

    // MARK: Handles

    /// Takes over an open socket or pipe end, and makes it blocking: the ring waits, not the thread.
    public mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle {
        try engine.pointee.adopt(descriptor)
    }

    /// Looks after somebody else's descriptor, for `poll` only.
    public mutating func watch(foreign descriptor: Int32) throws(ProactorError) -> Handle {
        try engine.pointee.watch(foreign: descriptor)
    }

    /// Gives the descriptor back; nothing may be in flight on it.
    public mutating func release(_ handle: Handle) -> Descriptor { engine.pointee.release(handle) }

    /// The descriptor's number, borrowed.
    public func descriptor(of handle: Handle) -> Int32 {
        engine.pointee.sockets.record(handle).pointee.descriptor
    }

    // MARK: Operations

    /// Accepts one connection, or every one until cancelled.
    @discardableResult
    public mutating func accept(_ listener: Handle, multishot: Bool) -> Token {
        engine.pointee.accept(listener, multishot: multishot)
    }

    /// Connects.
    @discardableResult
    public mutating func connect(_ socket: Handle, to address: SocketAddress) -> Token {
        engine.pointee.connect(socket, to: address)
    }

    /// Receives into the caller's memory.
    @discardableResult
    public mutating func receive(
        _ socket: Handle, into memory: UnsafeMutableRawBufferPointer, untilFull: Bool
    ) -> Token {
        engine.pointee.receive(socket, into: memory, untilFull: untilFull)
    }

    /// Receives into a buffer of the pool, once or until cancelled.
    @discardableResult
    public mutating func receive(_ socket: Handle, multishot: Bool) -> Token {
        engine.pointee.receive(socket, multishot: multishot)
    }

    /// Sends.
    @discardableResult
    public mutating func send(_ socket: Handle, _ bytes: UnsafeRawBufferPointer, toCompletion: Bool) -> Token {
        engine.pointee.send(socket, bytes, toCompletion: toCompletion)
    }

    /// Sends a gather list.
    @discardableResult
    public mutating func send(
        _ socket: Handle, gather list: UnsafeMutableBufferPointer<SendPart>, toCompletion: Bool
    ) -> Token {
        engine.pointee.send(socket, gather: list, toCompletion: toCompletion)
    }

    /// Sends to completion without a completion of its own.
    public mutating func sendQuietly(_ socket: Handle, _ bytes: UnsafeRawBufferPointer) {
        engine.pointee.sendQuietly(socket, bytes)
    }

    /// Whether a send, quiet ones included, is in flight on the handle.
    public func isSending(_ socket: Handle) -> Bool {
        !engine.pointee.sockets.record(socket).pointee.output.isIdle
    }

    /// Receives one datagram.
    @discardableResult
    public mutating func receiveDatagram(_ socket: Handle, into memory: UnsafeMutableRawBufferPointer) -> Token {
        engine.pointee.receiveDatagram(socket, into: memory)
    }

    /// The sender of the datagram last received on the handle.
    public func source(of socket: Handle) -> SocketAddress? { engine.pointee.source(of: socket) }

    /// Sends one datagram.
    @discardableResult
    public mutating func sendDatagram(
        _ socket: Handle, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress
    ) -> Token {
        engine.pointee.sendDatagram(socket, bytes, to: address)
    }

    /// Waits once until the descriptor is ready.
    @discardableResult
    public mutating func poll(_ handle: Handle, for events: PollEvents) -> Token {
        engine.pointee.poll(handle, for: events)
    }

    /// Ends one or both directions at once.
    public mutating func shutdown(_ socket: Handle, _ direction: ShutdownDirection) -> SystemError? {
        engine.pointee.shutdown(socket, direction)
    }

    /// Cancels what is in flight, closes after the last completion, and completes then.
    @discardableResult
    public mutating func close(_ handle: Handle) -> Token { engine.pointee.close(handle) }

    /// Completes the operation early; harmless if it has finished.
    public mutating func cancel(_ token: Token) { engine.pointee.cancel(token) }

    /// Cancels everything in flight on the handle.
    public mutating func cancelAll(_ handle: Handle) { engine.pointee.cancelAll(handle) }

    // MARK: Time

    /// Completes at the deadline, or again and again.
    @discardableResult
    public mutating func startTimer(at deadline: Deadline, every interval: Duration?) -> Token {
        engine.pointee.startTimer(at: deadline, every: interval)
    }

    // MARK: Receive pool

    /// The memory of a lent buffer.
    public func buffer(_ index: UInt16) -> UnsafeMutableRawBufferPointer { engine.pointee.pool.buffer(index) }

    /// Gives a lent buffer back.
    public mutating func recycle(_ index: UInt16) { engine.pointee.pool.recycle(index) }

    // MARK: Turning

    /// Submits, waits and collects in one kernel entry; in none if completions are there and nothing is pending.
    public mutating func wait(
        until deadline: Deadline?, into batch: inout CompletionBatch
    ) throws(ProactorError) {
        try engine.pointee.wait(until: deadline, into: &batch)
    }

    /// Wakes one thread that sleeps on the futex word.
    public mutating func wakeThread(sleepingOn word: UnsafeRawPointer) {
        engine.pointee.wakeThread(sleepingOn: word)
    }
}
