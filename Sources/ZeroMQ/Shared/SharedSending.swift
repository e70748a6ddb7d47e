public import Proactor
import ZMTP

/// A socket on which any number of threads and tasks may send at the same time (37/ZMTP, Thread-Safe Socket Types).
/// Messages have one frame.
///
/// Each caller's messages keep their order. A lock is held while one message is encoded, never while anybody waits.
/// A message that was not sent stays with the caller.
public protocol SharedSendingSocket: Socket {}

extension SharedSendingSocket {
    // MARK: At once or not at all

    /// Sends a message if a peer can take it now. O(1), no system call while the connection is busy.
    /// - Throws: `socketClosed`, `contextClosed`.
    public func trySend(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        if core.sendToSoleShared(bytes) { return .sent }
        return try core.trySendShared(.bytes(bytes), to: .anyone)
    }

    /// Sends a message if a peer can take it now.
    /// - Throws: `invalidMessage` if it has more than one frame, `socketClosed`, `contextClosed`.
    public func trySend(_ message: Message) throws(ZeroMQError) -> SendResult {
        try core.trySendShared(.message(core.single(message)), to: .anyone)
    }

    // MARK: Blocking

    /// Sends a message; waits while every peer is at its mark, or none is there.
    /// - Parameters:
    ///   - bytes: the body; copied.
    ///   - deadline: nil takes the socket's `sendTimeout`.
    /// - Throws: `timedOut`, `socketClosed`, `contextClosed`.
    public func send(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline? = nil) throws(ZeroMQError) {
        if core.sendToSoleShared(bytes) { return }
        try core.sendShared(.bytes(bytes), to: .anyone, until: deadline)
    }

    /// Sends a message; waits while every peer is at its mark, or none is there.
    /// - Throws: also `invalidMessage` if it has more than one frame.
    public func send(_ message: Message, until deadline: Deadline? = nil) throws(ZeroMQError) {
        try core.sendShared(.message(core.single(message)), to: .anyone, until: deadline)
    }

    /// Sends a copy of the bytes.
    public func send(_ bytes: [UInt8], until deadline: Deadline? = nil) throws(ZeroMQError) {
        try bytes.withTypedBytes { (bytes) throws(ZeroMQError) in try send(bytes, until: deadline) }
    }

    /// Sends the text in UTF-8.
    public func send(_ text: String, until deadline: Deadline? = nil) throws(ZeroMQError) {
        try send(Message(text), until: deadline)
    }

    // MARK: Async

    /// Sends a message; suspends while every peer is at its mark, or none is there. A cancelled task's message is
    /// not sent.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func send(
        _ message: Message, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        let content = SharedContent.message(try core.single(message))
        try await core.sendShared(content, to: .anyone, until: deadline)
    }

    /// Sends a copy of the bytes.
    public nonisolated(nonsending) func send(
        _ bytes: [UInt8], until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        try await send(Message(bytes), until: deadline)
    }

    /// Sends the text in UTF-8.
    public nonisolated(nonsending) func send(
        _ text: String, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        try await send(Message(text), until: deadline)
    }
}

/// What is to be sent: bytes of the caller, or the one frame of a message.
enum SharedContent {
    case bytes(UnsafeRawBufferPointer)
    case message(Message)

    var count: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .message(let message): message.byteCount
        }
    }

    func put(into pipe: Pipe) {
        switch self {
        case .bytes(let bytes): pipe.writer.pointee.put([], bytes)
        case .message(let message): pipe.put(message, from: 0)
        }
    }
}

/// To whom: the peer whose turn it is, or the one with that number.
enum SharedTarget {
    case anyone
    case number(UInt32)
}

extension SocketCore {
    /// The message, if it has one frame.
    @inline(__always)
    func single(_ message: Message) throws(ZeroMQError) -> Message {
        guard message.count == 1 else {
            throw ZeroMQError(
                .invalidMessage,
                "a \(type) message has one frame, this one has \(message.count): send them one by one, or join them"
            )
        }
        return message
    }

    /// The hot path: one pipe, room in it, nothing new.
    @inline(__always)
    func sendToSoleShared(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard isPlainSender, let crowd = sendList.crowd else { return false }
        crowd.lock.lock()
        let isSent = isOpen && sender.pointee.sendToSole(bytes)
        crowd.lock.unlock()
        return isSent
    }

    func trySendShared(_ content: SharedContent, to target: SharedTarget) throws(ZeroMQError) -> SendResult {
        guard let crowd = sendList.crowd else { preconditionFailure("not a shared socket") }
        crowd.lock.lock()
        let outcome: SharedOutcome
        do throws(ZeroMQError) {
            outcome = try offerShared(content, to: target)
        } catch {
            crowd.lock.unlock()
            throw error
        }
        crowd.lock.unlock()
        switch outcome {
        case .full: return .full
        case .noRoute: return .noRoute
        case .sent(let departure):
            try leaveNow(content, departure)
            return .sent
        }
    }

    func sendShared(
        _ content: SharedContent, to target: SharedTarget, until deadline: Deadline?
    ) throws(ZeroMQError) {
        guard let crowd = sendList.crowd else { preconditionFailure("not a shared socket") }
        let deadline = deadline ?? options.sendTimeout.map { .after($0) }
        try leaveNow(content, crowd.perform(sendWork(content, target), self, until: deadline))
    }

    nonisolated(nonsending) func sendShared(
        _ content: SharedContent, to target: SharedTarget, until deadline: Deadline?
    ) async throws(ZeroMQError) {
        guard let crowd = sendList.crowd else { preconditionFailure("not a shared socket") }
        let deadline = deadline ?? options.sendTimeout.map { .after($0) }
        try leaveNow(content, await crowd.perform(sendWork(content, target), self, until: deadline))
    }

    private enum SharedOutcome {
        case sent(SendSide.Departure)
        case full, noRoute
    }

    /// Puts the message into a pipe, if there is one with room. Under the lock.
    private func offerShared(
        _ content: SharedContent, to target: SharedTarget
    ) throws(ZeroMQError) -> SharedOutcome {
        try checkOpen()
        let pipe: Pipe
        switch target {
        case .anyone:
            guard let chosen = sender.pointee.choose() else { return .full }
            pipe = chosen
        case .number(let number):
            if sendList.hasNews { sender.pointee.settle() }
            guard let named = route(number: number), sender.pointee.finds(named) else { return .noRoute }
            guard named.writer.pointee.hasRoom() else { return .full }
            pipe = named
        }
        content.put(into: pipe)
        return .sent(sender.pointee.publish(pipe))
    }

    private func sendWork(_ content: SharedContent, _ target: SharedTarget) -> CrowdWork<SendSide.Departure> {
        CrowdWork(
            verb: "send", list: sendList,
            attempt: { [self] () throws(ZeroMQError) in
                switch try offerShared(content, to: target) {
                case .sent(let departure): return departure
                case .full: return nil
                case .noRoute: throw noRoute(target)
                }
            },
            hasMore: { [self] in sender.pointee.hasRoom() },
            prepare: { [self] in
                guard case .number(let number) = target else {
                    return sender.pointee.prepareToWait() && !hasMemoryAgain()
                }
                // A peer that has gone meanwhile is news, or no more in the table: looking again tells.
                guard let pipe = route(number: number), pipe.writer.pointee.waitForRoom() else { return false }
                return !pipe.writer.pointee.isStarved || memory.enlist(self)
            })
    }

    func noRoute(_ target: SharedTarget) -> ZeroMQError {
        guard case .number(let number) = target else {
            return ZeroMQError(.noRoute, "no peer of this \(type) socket")
        }
        return ZeroMQError(.noRoute, "no peer of this \(type) socket has the routing id \(number)")
    }

    /// A caller-driven context enters the kernel now: outside the lock, since its loop may run jobs that send.
    @inline(__always)
    private func leaveNow(_ content: SharedContent, _ departure: SendSide.Departure) throws(ZeroMQError) {
        if let callerDriver { try callerDriver.afterSend(content.count, departure) }
    }
}
