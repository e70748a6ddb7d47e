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
        if core.isPlainReceiver, core.isOpen, let reader = core.receiver.pointee.soleWithMessage() {
            let message = reader.pointee.takeMessage()
            core.receiver.pointee.finishSole(reader)
            return message
        }
        return try receiveInTurn(until: deadline)
    }

    /// The long way: patterns, several peers, waiting.
    @inline(never)
    private func receiveInTurn(until deadline: Deadline?) throws(ZeroMQError) -> Message {
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
        if core.isPlainReceiver, core.isOpen, let reader = core.receiver.pointee.soleWithMessage() {
            reader.pointee.lendMessage(each)
            return core.receiver.pointee.finishSole(reader)
        }
        try lendInTurn(until: deadline, each)
    }

    /// The long way: patterns, several peers, waiting.
    @inline(never)
    private func lendInTurn(
        until deadline: Deadline?, _ each: (UnsafeRawBufferPointer, Bool) -> Void
    ) throws(ZeroMQError) {
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
        if let message = core.takeFromSole() { return message }
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

    /// Takes up to `limit` messages: suspends for the first, then takes those that are there. One suspension at most
    /// for the whole batch: the cheap form where many messages come.
    /// - Returns: at least one.
    public nonisolated(nonsending) func receive(
        upTo limit: Int, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> [Message] {
        precondition(limit > 0, "a batch has room for at least one message")
        var batch = [try await receive(until: deadline)]
        // As in the blocking form: what was taken is delivered, an error behind it meets the next call.
        while batch.count < limit, let message = try? tryReceive() { batch.append(message) }
        return batch
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

    fileprivate func take() -> Message? {
        guard let pipe = next() else { return nil }
        var message = pipe.reader.pointee.takeMessage()
        if core.type == .router { message.prepend(pipe.peer!.routingID) }
        core.receiver.pointee.finish(pipe)
        return message
    }

    fileprivate func lend(_ each: (UnsafeRawBufferPointer, Bool) -> Void) -> Bool {
        guard let pipe = next() else { return false }
        if core.type == .router { pipe.peer!.routingID.withUnsafeBytes { each($0, true) } }
        pipe.reader.pointee.lendMessage(each)
        core.receiver.pointee.finish(pipe)
        return true
    }
}

extension SocketCore {
    /// A message that is there already, from the only readable peer: no suspension, no call that could suspend.
    @inline(__always)
    fileprivate func takeFromSole() -> Message? {
        guard isPlainReceiver, isOpen else { return nil }
        receiver.pointee.enter()
        defer { receiver.pointee.leave() }
        guard let reader = receiver.pointee.soleWithMessage() else { return nil }
        let message = reader.pointee.takeMessage()
        receiver.pointee.finishSole(reader)
        return message
    }
}

extension PipeReader {
    /// The next message, kept.
    @inline(__always)
    fileprivate mutating func takeMessage() -> Message {
        var frame = next()
        var message = Message(Frame(frame))
        while frame.hasMore {
            frame = next()
            message.append(Frame(frame))
        }
        return message
    }

    /// The frames of the next message, lent one after the other.
    @inline(__always)
    fileprivate mutating func lendMessage(_ each: (UnsafeRawBufferPointer, Bool) -> Void) {
        while true {
            let frame = next()
            each(frame.body, frame.hasMore)
            if !frame.hasMore { return }
        }
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
        let core: SocketCore

        /// The next message; nil when the socket or its context was closed, or the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(ZeroMQError) -> Message? {
            if let message = core.takeFromSole() { return message }
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
    public func makeAsyncIterator() -> Iterator { Iterator(socket: socket, core: socket.core) }
}
