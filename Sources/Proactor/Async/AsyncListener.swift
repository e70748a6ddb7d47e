/// A listening socket of a loop. Closed by `close()` or with its last reference.
public final class AsyncListener: Sendable {
    private let socket: AsyncSocket
    /// Where it listens; with the port that the kernel chose.
    public let localAddress: SocketAddress?

    init(_ socket: AsyncSocket, _ localAddress: SocketAddress?) {
        self.socket = socket
        self.localAddress = localAddress
    }

    /// The next connection. One task at a time. Out of descriptors it waits until there are some again.
    /// - Throws: `deadlinePassed`, `cancelled`, `closed`, `shutDown`, `system`. A connection that won the race
    ///   against a cancel or deadline is delivered.
    public nonisolated(nonsending) func accept(
        until deadline: Deadline? = nil
    ) async throws(LoopError) -> AsyncConnection {
        switch await socket.inbound(.accept, until: deadline) {
        case .handle(let handle): return AsyncConnection(AsyncSocket(socket.loop, handle))
        case .failed(let error): throw error
        default: preconditionFailure("an accept is answered with a handle")
        }
    }

    /// Connections as they come, until the listener is closed: then the sequence ends. Those not asked for wait in
    /// the kernel's backlog.
    public var connections: Connections { Connections(listener: self) }

    /// Ends a pending accept with `closed`, and closes.
    public nonisolated(nonsending) func close() async { await socket.close() }

    /// See `AsyncListener.connections`.
    public struct Connections: AsyncSequence, Sendable {
        let listener: AsyncListener

        /// Starts to iterate.
        public func makeAsyncIterator() -> Iterator { Iterator(listener: listener) }

        /// Takes one connection after the other.
        public struct Iterator: AsyncIteratorProtocol {
            let listener: AsyncListener

            /// The next connection; nil when the listener was closed.
            public mutating func next(
                isolation actor: isolated (any Actor)?
            ) async throws(LoopError) -> AsyncConnection? {
                do {
                    return try await listener.accept()
                } catch {
                    guard error.code == .closed else { throw error }
                    return nil
                }
            }

            /// The next connection; nil when the listener was closed.
            public mutating func next() async throws(LoopError) -> AsyncConnection? {
                try await next(isolation: nil)
            }
        }
    }
}
