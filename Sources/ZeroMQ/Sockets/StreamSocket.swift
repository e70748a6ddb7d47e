public import Proactor
import ZMTP

/// Talks with anybody over tcp or ipc, byte by byte, without ZMTP. Each connection has a routing id of this socket's
/// making; received messages are that id and some bytes, as they came, in pieces of any size.
///
/// Unless `isStreamNotifying` is off, each connection begins and ends with an empty message. Sending an empty one closes
/// the connection behind what was sent before. A message to an unknown connection is an error (`noRoute`), one to a
/// connection at its mark waits.
public final class StreamSocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.stream, context, options)
    }

    /// Connects and names the connection: bytes can be sent there at once and wait until it stands.
    /// - Parameters:
    ///   - endpoint: of tcp or ipc.
    ///   - routingID: 1 to 255 bytes, the first not zero; no other connection has it.
    /// - Throws: `invalidOption` for a name that is none or is taken; as `connect`.
    public func connect(_ endpoint: String, as routingID: Frame) throws(ZeroMQError) {
        try connect(endpoint, named: routingID)
    }

    /// Sends bytes to a connection; waits while it is at its mark. No bytes close it.
    /// - Throws: `noRoute`, and what `send` throws.
    public func send(_ bytes: Frame, to routingID: Frame, until deadline: Deadline? = nil) throws(ZeroMQError) {
        try send([routingID, bytes], until: deadline)
    }

    /// Closes a connection, behind what was sent to it.
    /// - Throws: `noRoute`, and what `send` throws.
    public func close(_ routingID: Frame) throws(ZeroMQError) { try send([routingID, Frame()]) }

    override func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        try offer(Message(Frame(copying: bytes)))
    }

    override func offer(_ message: Message) throws(ZeroMQError) -> SendResult {
        guard message.count == 2 else {
            throw ZeroMQError(
                .invalidMessage, "a STREAM message is a routing id and bytes: two frames, not \(message.count)")
        }
        if core.sendList.hasNews { core.sender.pointee.settle() }
        guard let pipe = core.route(message[0]), core.sender.pointee.finds(pipe) else { return .noRoute }
        guard pipe.writer.pointee.hasRoom() else {
            core.sender.pointee.block(pipe)
            return .full
        }
        pipe.put(message, from: 1)
        try core.commit(pipe)
        return .sent
    }
}
