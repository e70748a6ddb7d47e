/// A connected stream of a loop: tcp, Unix-domain, or an adopted descriptor. Closed by `close()` or with its last
/// reference.
///
/// One task may receive while another sends; two receivers or two senders at once trap. Every call has a deadline
/// and ends with its task; it returns only after its final completion, so its memory is free again.
public final class AsyncConnection: Sendable {
    private let socket: AsyncSocket

    init(_ socket: AsyncSocket) { self.socket = socket }

    /// The loop it lives on.
    public var loop: ProactorLoop { socket.loop }

    // MARK: Receiving

    /// Receives what comes next: at most one pool buffer full (`EngineConfiguration.receiveBufferSize`), copied once.
    /// A waiting call holds no memory.
    /// - Returns: At least one byte; nil at the end of the stream.
    /// - Throws: `deadlinePassed`, `cancelled`, `closed`, `shutDown`, `system`. Bytes that won the race against a
    ///   cancel or deadline are delivered; none are lost.
    public nonisolated(nonsending) func receive(
        until deadline: Deadline? = nil
    ) async throws(LoopError) -> [UInt8]? {
        switch await socket.inbound(.receive, until: deadline) {
        case .bytes(let bytes): return bytes
        case .failed(let error): throw error
        default: preconditionFailure("a receive is answered with bytes")
        }
    }

    /// Receives behind what the buffer holds, without copying.
    /// - Parameters:
    ///   - buffer: Needs room for at least one byte. It is back whatever happens.
    ///   - untilFull: Goes on until it is full or the stream ends. Cut by a cancel or deadline, it keeps what came.
    ///   - deadline: Nil waits without end.
    /// - Returns: How many bytes came; 0 at the end of the stream.
    /// - Throws: As `receive(until:)`.
    @discardableResult
    public nonisolated(nonsending) func receive(
        into buffer: inout OwnedBuffer, untilFull: Bool = false, until deadline: Deadline? = nil
    ) async throws(LoopError) -> Int {
        precondition(buffer.room > 0, "a full buffer receives nothing")
        let place = buffer.lend()
        let memory = LentMemory(start: place.start + place.count, count: place.capacity - place.count)
        switch await socket.inbound(.receiveInto(memory, untilFull: untilFull), until: deadline) {
        case .done(let count):
            buffer.setCount(place.count + count)
            return count
        case .failed(let error): throw error
        default: preconditionFailure("a receive is answered with a count")
        }
    }

    /// What comes, piece by piece, until the end of the stream. One piece is received when it is asked for.
    public var chunks: Chunks { Chunks(connection: self) }

    // MARK: Sending

    /// Sends all bytes; copies them once, so that the array stays free.
    /// - Throws: `deadlinePassed`, `cancelled`, `closed`, `shutDown`, `system`; `transferred` tells how many bytes
    ///   had gone.
    public nonisolated(nonsending) func send(
        _ bytes: [UInt8], until deadline: Deadline? = nil
    ) async throws(LoopError) {
        let buffer = OwnedBuffer(copying: bytes)
        try await send(buffer, until: deadline)
    }

    /// Sends all bytes of a buffer, without copying.
    /// - Throws: As `send(_:until:)` of an array.
    public nonisolated(nonsending) func send(
        _ buffer: borrowing OwnedBuffer, until deadline: Deadline? = nil
    ) async throws(LoopError) {
        let place = buffer.lend()
        try await socket.outbound(.send(LentMemory(start: place.start, count: place.count)), until: deadline)
    }

    /// Sends several buffers as one, without copying.
    /// - Throws: As `send(_:until:)` of an array.
    public nonisolated(nonsending) func send(
        _ buffers: borrowing BufferList, until deadline: Deadline? = nil
    ) async throws(LoopError) {
        guard buffers.count > 0 else { return }
        let parts = buffers.places.map { LentMemory(start: $0.start, count: $0.count) }
        try await socket.outbound(.gather(parts), until: deadline)
    }

    // MARK: The rest

    /// Ends directions at once: the peer sees the end of the stream after the bytes sent before.
    /// - Throws: `system` (not connected), `closed`, `shutDown`.
    public nonisolated(nonsending) func shutdown(_ direction: ShutdownDirection = .send) async throws(LoopError) {
        _ = try await socket.call(.shutdown(direction))
    }

    /// Cancels what is in flight (it ends with `closed`), closes, and returns then. May be called again.
    public nonisolated(nonsending) func close() async { await socket.close() }

    /// The address it is bound to.
    public nonisolated(nonsending) func localAddress() async throws(LoopError) -> SocketAddress? {
        guard case .address(let address) = try await socket.call(.localAddress) else { return nil }
        return address
    }

    /// The address it is connected to.
    public nonisolated(nonsending) func peerAddress() async throws(LoopError) -> SocketAddress? {
        guard case .address(let address) = try await socket.call(.peerAddress) else { return nil }
        return address
    }

    /// Sets an integer option (setsockopt(2)).
    public nonisolated(nonsending) func setOption(
        _ option: SocketOption, to value: Int32
    ) async throws(LoopError) {
        _ = try await socket.call(.setOption(option, value))
    }

    /// Reads an integer option (getsockopt(2)).
    public nonisolated(nonsending) func option(_ option: SocketOption) async throws(LoopError) -> Int32 {
        guard case .done(let value) = try await socket.call(.option(option)) else { return 0 }
        return Int32(value)
    }

    /// See `AsyncConnection.chunks`.
    public struct Chunks: AsyncSequence, Sendable {
        let connection: AsyncConnection

        /// Starts to iterate.
        public func makeAsyncIterator() -> Iterator { Iterator(connection: connection) }

        /// Takes one piece after the other.
        public struct Iterator: AsyncIteratorProtocol {
            let connection: AsyncConnection

            /// The next piece; nil at the end of the stream.
            public mutating func next(
                isolation actor: isolated (any Actor)?
            ) async throws(LoopError) -> [UInt8]? {
                try await connection.receive()
            }

            /// The next piece; nil at the end of the stream.
            public mutating func next() async throws(LoopError) -> [UInt8]? { try await next(isolation: nil) }
        }
    }
}
