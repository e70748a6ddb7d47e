public import Proactor
import ZMTP

/// A message and the peer it comes from: answer with `send(_:to:)`.
public struct RoutedMessage: Sendable, Hashable {
    /// The peer, by the number that this socket gave it. Never 0; a peer that comes back has a new one.
    public var routingID: UInt32
    /// What it says: one frame.
    public var message: Message

    /// A message from a peer.
    public init(routingID: UInt32, message: Message) {
        self.routingID = routingID
        self.message = message
    }

    init(_ arrival: SharedArrival) {
        self.init(routingID: arrival.peer?.number ?? 0, message: Message(arrival.frame))
    }
}

/// A socket that sends to the peer which a number names, and tells that number with each message it receives
/// (41/CLIENTSERVER, 51/P2P). Any number of threads and tasks may use it at the same time.
public protocol RoutedSocket: Socket {}

extension RoutedSocket {
    // MARK: Sending

    /// Sends a message to a peer if it can take it now.
    /// - Returns: `noRoute` if no peer has the number.
    /// - Throws: `invalidMessage` if it has more than one frame, `socketClosed`, `contextClosed`.
    public func trySend(_ message: Message, to routingID: UInt32) throws(ZeroMQError) -> SendResult {
        try core.trySendShared(.message(core.single(message)), to: .number(routingID))
    }

    /// Sends a message to a peer; waits while that peer is at its mark.
    /// - Parameters:
    ///   - message: one frame.
    ///   - routingID: the peer's number, as a received message or `PeerSocket.connect(to:)` told it.
    ///   - deadline: nil takes the socket's `sendTimeout`.
    /// - Throws: `noRoute` if no peer has the number, also if it goes meanwhile; `timedOut`, `invalidMessage`,
    ///   `socketClosed`, `contextClosed`.
    public func send(
        _ message: Message, to routingID: UInt32, until deadline: Deadline? = nil
    ) throws(ZeroMQError) {
        try core.sendShared(.message(core.single(message)), to: .number(routingID), until: deadline)
    }

    /// Sends a copy of the bytes to a peer.
    public func send(
        _ bytes: UnsafeRawBufferPointer, to routingID: UInt32, until deadline: Deadline? = nil
    ) throws(ZeroMQError) {
        try core.sendShared(.bytes(bytes), to: .number(routingID), until: deadline)
    }

    /// Sends a copy of the bytes to a peer.
    public func send(
        _ bytes: [UInt8], to routingID: UInt32, until deadline: Deadline? = nil
    ) throws(ZeroMQError) {
        try bytes.withTypedBytes { (bytes) throws(ZeroMQError) in
            try send(bytes, to: routingID, until: deadline)
        }
    }

    /// Sends the text in UTF-8 to a peer.
    public func send(_ text: String, to routingID: UInt32, until deadline: Deadline? = nil) throws(ZeroMQError) {
        try send(Message(text), to: routingID, until: deadline)
    }

    /// Sends a message to a peer; suspends while that peer is at its mark. A cancelled task's message is not sent.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func send(
        _ message: Message, to routingID: UInt32, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) {
        let content = SharedContent.message(try core.single(message))
        try await core.sendShared(content, to: .number(routingID), until: deadline)
    }

    // MARK: Receiving

    /// The next message, nil if none is there.
    public func tryReceive() throws(ZeroMQError) -> RoutedMessage? {
        try core.tryReceiveShared { RoutedMessage($0) }
    }

    /// The next message; waits for one.
    /// - Parameter deadline: nil takes the socket's `receiveTimeout`.
    /// - Throws: `timedOut`, `socketClosed`, `contextClosed`.
    public func receive(until deadline: Deadline? = nil) throws(ZeroMQError) -> RoutedMessage {
        try core.receiveShared(until: deadline) { RoutedMessage($0) }
    }

    /// Takes up to `limit` messages: waits for the first, then takes those that are there.
    public func receive(upTo limit: Int, until deadline: Deadline? = nil) throws(ZeroMQError) -> [RoutedMessage] {
        var batch = [try receive(until: deadline)]
        core.drainShared(limit, into: &batch) { RoutedMessage($0) }
        return batch
    }

    /// The next message; suspends until there is one. A cancelled task takes none.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func receive(
        until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> RoutedMessage {
        try await core.receiveShared(until: deadline) { RoutedMessage($0) }
    }

    /// Takes up to `limit` messages: suspends for the first, then takes those that are there.
    public nonisolated(nonsending) func receive(
        upTo limit: Int, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> [RoutedMessage] {
        var batch = [try await receive(until: deadline)]
        core.drainShared(limit, into: &batch) { RoutedMessage($0) }
        return batch
    }

    /// All messages from now on, until the socket or its context is closed. Several iterations may share them.
    public var messages: ReceivedSequence<RoutedMessage> {
        ReceivedSequence { [self] () async throws(ZeroMQError) in try await receive() }
    }
}
