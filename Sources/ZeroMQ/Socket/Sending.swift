public import Proactor
import ZMTP

/// A socket that sends. All forms give the whole message or nothing; a message that was not sent stays with the
/// caller.
public protocol SendingSocket: Socket {}

extension SendingSocket {
    // MARK: At once or not at all

    /// Sends a single-frame message if a peer can take it now. O(1), no system call while the connection is busy.
    /// - Throws: `wrongState` where the pattern forbids it, `socketClosed`, `contextClosed`.
    public func trySend(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        core.sender.pointee.enter()
        defer { core.sender.pointee.leave() }
        if core.isPlainSender, core.isOpen, core.sender.pointee.sendToSole(bytes) { return .sent }
        try core.checkOpen()
        return try attempt(bytes)
    }

    /// Sends a message if a peer can take it now.
    public func trySend(_ message: Message) throws(ZeroMQError) -> SendResult {
        core.sender.pointee.enter()
        defer { core.sender.pointee.leave() }
        try core.checkOpen()
        return try attempt(message)
    }

    // MARK: Blocking

    /// Sends a single-frame message; waits while every peer is at its mark, or none is there.
    /// - Parameters:
    ///   - bytes: the body; copied.
    ///   - deadline: nil takes the socket's `sendTimeout`.
    /// - Throws: `timedOut`, `noRoute`, `wrongState`, `socketClosed`, `contextClosed`.
    public func send(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline? = nil) throws(ZeroMQError) {
        core.sender.pointee.enter()
        defer { core.sender.pointee.leave() }
        if core.isPlainSender, core.isOpen, core.sender.pointee.sendToSole(bytes) { return }
        try sendInTurn(bytes, until: deadline)
    }

    /// The long way: patterns, several peers, waiting.
    @inline(never)
    private func sendInTurn(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline?) throws(ZeroMQError) {
        try core.checkOpen()
        if try attempt(bytes) == .sent { return }
        try wait(until: deadline) { () throws(ZeroMQError) in try attempt(bytes) }
    }

    /// Sends a message; waits while every peer is at its mark, or none is there.
    public func send(_ message: Message, until deadline: Deadline? = nil) throws(ZeroMQError) {
        core.sender.pointee.enter()
        defer { core.sender.pointee.leave() }
        try core.checkOpen()
        if try attempt(message) == .sent { return }
        try wait(until: deadline) { () throws(ZeroMQError) in try attempt(message) }
    }

    /// Sends a single-frame message with a copy of the bytes.
    public func send(_ bytes: [UInt8], until deadline: Deadline? = nil) throws(ZeroMQError) {
        try bytes.withTypedBytes { (bytes) throws(ZeroMQError) in try send(bytes, until: deadline) }
    }

    /// Sends a single-frame message with the text in UTF-8.
    public func send(_ text: String, until deadline: Deadline? = nil) throws(ZeroMQError) {
        try send(Message(text), until: deadline)
    }

    /// Sends messages in order, waiting for each as `send` does; the deadline counts for the batch.
    /// - Throws: what stopped the batch, with the number of messages that were sent before. The others are the
    ///   caller's still.
    public func send(
        contentsOf messages: some Sequence<Message>, until deadline: Deadline? = nil
    ) throws(BatchError) {
        core.sender.pointee.enter()
        defer { core.sender.pointee.leave() }
        var sent = 0
        do throws(ZeroMQError) {
            try core.checkOpen()
            for message in messages {
                if try attempt(message) != .sent {
                    try wait(until: deadline) { () throws(ZeroMQError) in try attempt(message) }
                }
                sent += 1
            }
        } catch {
            throw BatchError(sent: sent, cause: error)
        }
    }

    /// One try, as the pattern makes it.
    private func attempt(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        defer { settleSendGauge() }
        return try offer(bytes)
    }

    /// One try, as the pattern makes it.
    private func attempt(_ message: Message) throws(ZeroMQError) -> SendResult {
        defer { settleSendGauge() }
        return try offer(message)
    }

    private func wait(
        until deadline: Deadline?, _ attempt: () throws(ZeroMQError) -> SendResult
    ) throws(ZeroMQError) {
        let deadline = deadline ?? core.options.sendTimeout.map { .after($0) }
        while true {
            try core.checkOpen()
            switch try attempt() {
            case .sent: return
            case .noRoute: throw ZeroMQError(.noRoute, "no peer of this \(type) socket has the address")
            case .full: try core.sleepForRoom(until: deadline)
            }
        }
    }

    // MARK: Async

    /// Sends a message; suspends while every peer is at its mark, or none is there. A cancelled task's message is
    /// not sent.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func send(
        _ message: Message, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        core.sender.pointee.enter()
        defer { core.sender.pointee.leave() }
        let deadline = deadline ?? core.options.sendTimeout.map { .after($0) }
        while true {
            try core.checkOpen()
            switch try attempt(message) {
            case .sent: return
            case .noRoute: throw ZeroMQError(.noRoute, "no peer of this \(type) socket has the address")
            case .full: try await core.suspendForRoom(until: deadline)
            }
        }
    }

    /// Sends a single-frame message with a copy of the bytes.
    public nonisolated(nonsending) func send(
        _ bytes: [UInt8], until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        try await send(Message(bytes), until: deadline)
    }

    /// Sends a single-frame message with the text in UTF-8.
    public nonisolated(nonsending) func send(
        _ text: String, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        try await send(Message(text), until: deadline)
    }
}
