extension ReceivingSocket {
    /// All messages from now on, until the socket or its context is closed, or the task is cancelled. One iteration
    /// at a time.
    public var messages: MessageSequence { MessageSequence(socket: self) }
}

/// Messages of a socket as they come.
///
/// As long as messages are there the loop over them makes no asynchronous call: a message costs what `tryReceive`
/// costs. It suspends only where there is none.
public struct MessageSequence: AsyncSequence, Sendable {
    /// The elements.
    public typealias Element = Message
    /// What ends it early; closing the socket ends it orderly.
    public typealias Failure = ZeroMQError

    let socket: any ReceivingSocket

    /// Takes messages one by one.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline
        let socket: any ReceivingSocket

        /// The next message; nil when the socket or its context was closed, or the task is cancelled.
        @inlinable
        @inline(__always)
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(ZeroMQError) -> Message? {
            // Inlined into the loop: the executor is looked for only behind this line.
            if let message = socket.takeUnlessCancelled() { return message }
            return try await nextSuspending()
        }

        /// The next message.
        @inlinable
        public mutating func next() async throws(ZeroMQError) -> Message? {
            try await next(isolation: nil)
        }

        @usableFromInline
        nonisolated(nonsending) func nextSuspending() async throws(ZeroMQError) -> Message? {
            do throws(ZeroMQError) {
                return try await socket.receiveSuspending(until: nil)
            } catch {
                switch error.code {
                case .socketClosed, .contextClosed, .cancelled: return nil
                default: throw error
                }
            }
        }
    }

    /// Begins to take messages.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: socket) }
}
