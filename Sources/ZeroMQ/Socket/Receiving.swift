public import Proactor
import ZMTP

/// A socket that receives. Messages come whole, one from each readable peer in turn.
public protocol ReceivingSocket: Socket {}

extension ReceivingSocket {
    // MARK: At once or not at all

    /// The next message, nil if none is there.
    /// - Throws: `wrongState` where the pattern forbids it, `socketClosed`, `contextClosed`.
    public func tryReceive() throws(ZeroMQError) -> Message? {
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        try core.checkOpen()
        try checkReceive()
        return take()
    }

    // MARK: Blocking

    /// The next message; waits for one.
    /// - Parameter deadline: nil takes the socket's `receiveTimeout`.
    /// - Throws: `timedOut`, `wrongState`, `socketClosed`, `contextClosed`.
    public func receive(until deadline: Deadline? = nil) throws(ZeroMQError) -> Message {
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        try core.checkOpen()
        try checkReceive()
        if let message = take() { return message }
        let deadline = deadline ?? core.options.receiveTimeout.map { .after($0) }
        while true {
            try core.sleepForMessage(until: deadline)
            try core.checkOpen()
            if let message = take() { return message }
        }
    }

    /// Lends the frames of the next message, in order, without copying any; each is valid during its call. Waits for
    /// a message.
    /// - Parameter each: gets a frame, and whether another follows.
    public func receive(
        until deadline: Deadline? = nil, each: (UnsafeRawBufferPointer, _ hasMore: Bool) -> Void
    ) throws(ZeroMQError) {
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        try core.checkOpen()
        try checkReceive()
        if lend(each) { return }
        let deadline = deadline ?? core.options.receiveTimeout.map { .after($0) }
        while true {
            try core.sleepForMessage(until: deadline)
            try core.checkOpen()
            if lend(each) { return }
        }
    }

    /// Takes up to `limit` messages: waits for the first, then takes those that are there.
    /// - Returns: at least one.
    public func receive(upTo limit: Int, until deadline: Deadline? = nil) throws(ZeroMQError) -> [Message] {
        precondition(limit > 0, "a batch has room for at least one message")
        var batch = [try receive(until: deadline)]
        // What was taken is delivered: an error that comes behind it (a REQ has had its reply, the socket was closed)
        // meets the next call.
        while batch.count < limit, let message = try? tryReceive() { batch.append(message) }
        return batch
    }

    // MARK: Async

    /// The next message; suspends until there is one. A cancelled task takes none.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func receive(
        until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> Message {
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        try core.checkOpen()
        try checkReceive()
        if let message = take() { return message }
        let deadline = deadline ?? core.options.receiveTimeout.map { .after($0) }
        while true {
            try await core.suspendForMessage(until: deadline)
            try core.checkOpen()
            if let message = take() { return message }
        }
    }

    /// All messages from now on, until the socket or its context is closed. One iteration at a time.
    public var messages: MessageSequence { MessageSequence(socket: self) }

    // MARK: Taking

    @inline(__always)
    fileprivate func next() -> Pipe? {
        while let pipe = core.receiver.pointee.choose() {
            if !core.hasEnvelopes || admit(pipe) { return pipe }
        }
        return nil
    }

    @inline(__always)
    fileprivate func take() -> Message? {
        guard let pipe = next() else { return nil }
        let reader = pipe.reader
        var frame = reader.pointee.next()
        var message: Message
        if core.type == .router {
            message = Message(pipe.peer!.routingID)
            message.append(Frame(frame))
        } else {
            message = Message(Frame(frame))
        }
        while frame.hasMore {
            frame = reader.pointee.next()
            message.append(Frame(frame))
        }
        core.receiver.pointee.finish(pipe)
        return message
    }

    @inline(__always)
    fileprivate func lend(_ each: (UnsafeRawBufferPointer, Bool) -> Void) -> Bool {
        guard let pipe = next() else { return false }
        if core.type == .router { pipe.peer!.routingID.withUnsafeBytes { each($0, true) } }
        while true {
            let frame = pipe.reader.pointee.next()
            each(frame.body, frame.hasMore)
            if !frame.hasMore { break }
        }
        core.receiver.pointee.finish(pipe)
        return true
    }
}

/// Messages of a socket as they come.
public struct MessageSequence: AsyncSequence, Sendable {
    /// The elements.
    public typealias Element = Message
    /// What ends it early; closing the socket ends it orderly.
    public typealias Failure = ZeroMQError

    let socket: any ReceivingSocket

    /// Takes messages one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: any ReceivingSocket

        /// The next message; nil when the socket or its context was closed, or the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(ZeroMQError) -> Message? {
            do throws(ZeroMQError) {
                return try await socket.receive()
            } catch {
                switch error.code {
                case .socketClosed, .contextClosed, .cancelled: return nil
                default: throw error
                }
            }
        }

        /// The next message.
        public mutating func next() async throws(ZeroMQError) -> Message? {
            try await next(isolation: nil)
        }
    }

    /// Begins to take messages.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: socket) }
}
