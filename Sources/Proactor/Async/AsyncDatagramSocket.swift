/// A bound datagram socket of a loop. Closed by `close()` or with its last reference.
///
/// One task may receive while another sends; two receivers or two senders at once trap.
public final class AsyncDatagramSocket: Sendable {
    private let socket: AsyncSocket
    /// Where it is bound; with the port that the kernel chose.
    public let localAddress: SocketAddress?

    /// A datagram and its sender.
    public struct Datagram: Sendable {
        /// The bytes; may be none.
        public let bytes: [UInt8]
        /// Who sent it; nil for an unnamed Unix-domain socket.
        public let source: SocketAddress?
    }

    init(_ socket: AsyncSocket, _ localAddress: SocketAddress?) {
        self.socket = socket
        self.localAddress = localAddress
    }

    /// Receives one datagram, copied once.
    /// - Parameters:
    ///   - maximum: What is longer is cut off; 1 byte or more, by default the largest UDP payload.
    ///   - deadline: Nil waits without end.
    /// - Throws: `deadlinePassed`, `cancelled`, `closed`, `shutDown`, `system`; no datagram is lost to the first two.
    public nonisolated(nonsending) func receive(
        maximum: Int = 65535, until deadline: Deadline? = nil
    ) async throws(LoopError) -> Datagram {
        var buffer = OwnedBuffer(capacity: maximum)
        let source = try await receive(into: &buffer, until: deadline)
        return Datagram(bytes: buffer.array(), source: source)
    }

    /// Receives one datagram into a buffer, from its start; what does not fit is cut off.
    /// - Returns: Who sent it.
    /// - Throws: As `receive(maximum:until:)`.
    public nonisolated(nonsending) func receive(
        into buffer: inout OwnedBuffer, until deadline: Deadline? = nil
    ) async throws(LoopError) -> SocketAddress? {
        let place = buffer.lend()
        let memory = LentMemory(start: place.start, count: place.capacity)
        switch await socket.inbound(.receiveDatagram(memory), until: deadline) {
        case .datagram(let count, let source):
            buffer.setCount(count)
            return source
        case .failed(let error): throw error
        default: preconditionFailure("a datagram is answered with its source")
        }
    }

    /// Sends one datagram; copies the bytes once.
    /// - Throws: `deadlinePassed`, `cancelled`, `closed`, `shutDown`, `system` (EMSGSIZE for one too long).
    public nonisolated(nonsending) func send(
        _ bytes: [UInt8], to address: SocketAddress, until deadline: Deadline? = nil
    ) async throws(LoopError) {
        let buffer = OwnedBuffer(copying: bytes)
        let place = buffer.lend()
        let memory = LentMemory(start: place.start, count: place.count)
        try await socket.outbound(.sendDatagram(memory, address), until: deadline)
        withExtendedLifetime(buffer) {}
    }

    /// Cancels what is in flight (it ends with `closed`), closes, and returns then.
    public nonisolated(nonsending) func close() async { await socket.close() }
}
