extension ReceivingSocket {
    /// All messages from now on, until the socket or its context is closed, or the task is cancelled. One iteration
    /// at a time.
    public var messages: MessageSequence { MessageSequence(socket: self) }
}

/// Messages of a socket as they come.
///
/// A message that is there costs what `tryReceive` costs: the loop over the sequence makes no asynchronous call for
/// it, and changes no executor, on whatever actor or executor it runs. It suspends only where there is none, so once
/// for all that come together. A cancelled task's loop ends: at once if it waits, after at most 64 messages more if
/// they are there. What was not taken stays for the next receive.
public struct MessageSequence: AsyncSequence, Sendable {
    /// The elements.
    public typealias Element = Message
    /// What ends it early: `timedOut` where the socket has a `receiveTimeout`, `wrongState` where the pattern forbids
    /// to receive. Closing the socket ends it orderly.
    public typealias Failure = ZeroMQError

    let socket: any ReceivingSocket

    /// Takes messages one by one.
    ///
    /// Both forms run where their caller runs, as `nonisolated(nonsending)`. So what `for await` passes as `isolation`
    /// is not needed, and an `isolated` parameter would look for the executor again at each message.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline
        let socket: any ReceivingSocket

        /// The next message; nil when the socket or its context was closed, or the task is cancelled.
        /// - Parameter actor: not used; for the protocol.
        @inlinable
        @inline(__always)
        public nonisolated(nonsending) mutating func next(
            isolation actor: (any Actor)?
        ) async throws(ZeroMQError) -> Message? {
            try await next()
        }

        /// The next message; nil when the socket or its context was closed, or the task is cancelled.
        @inlinable
        @inline(__always)
        public nonisolated(nonsending) mutating func next() async throws(ZeroMQError) -> Message? {
            if let message = socket.takeNow() { return message }
            return try await nextSuspending()
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
