public import Proactor

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
        if core.isPlainReceiver, core.isOpen, let reader = core.receiver.pointee.readerInTurn() {
            let message = reader.pointee.takeMessage()
            core.receiver.pointee.finishTurn(reader)
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
    /// - Parameters:
    ///   - deadline: nil takes the socket's `receiveTimeout`.
    ///   - each: gets a frame, and whether another follows.
    public func receive(
        until deadline: Deadline? = nil, each: (UnsafeRawBufferPointer, _ hasMore: Bool) -> Void
    ) throws(ZeroMQError) {
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        if core.isPlainReceiver, core.isOpen, let reader = core.receiver.pointee.readerInTurn() {
            reader.pointee.lendMessage(each)
            return core.receiver.pointee.finishTurn(reader)
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

    /// The next message; suspends until there is one.
    ///
    /// A message that is there already is taken without an asynchronous call. Cancelling the task ends the wait, and
    /// no message is lost; messages that are there may still be taken, but at most 64.
    /// - Parameter deadline: nil takes the socket's `receiveTimeout`.
    /// - Throws: as the blocking form, and `cancelled`.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func receive(
        until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> Message {
        if let message = takeNow() { return message }
        return try await receiveSuspending(until: deadline)
    }

    /// The long way: whatever kept the short one from a message is found again here, and told.
    @usableFromInline
    nonisolated(nonsending) func receiveSuspending(
        until deadline: Deadline?
    ) async throws(ZeroMQError) -> Message {
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        let deadline = deadline ?? core.options.receiveTimeout.map { .after($0) }
        while true {
            guard !Task.isCancelled else {
                throw ZeroMQError(.cancelled, "the task was cancelled before it received")
            }
            try core.checkOpen()
            try checkReceive()
            if let message = take() { return message }
            try await core.suspendForMessage(until: deadline)
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
}
