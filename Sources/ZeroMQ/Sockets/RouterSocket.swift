import ZMTP

/// Receives from all peers with the sender's routing id in front, sends to the peer that the first frame names
/// (28/REQREP).
///
/// Unless `isRouterMandatory`, a message to an unknown peer or to one at its mark is dropped and counted.
public final class RouterSocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.router, context, options)
    }

    /// Connects and names the peer, whatever it calls itself: messages can be sent there at once and wait in its queue
    /// (CONNECT_ROUTING_ID). The name stays when the connection is lost and made again.
    /// - Parameters:
    ///   - endpoint: as for `connect`.
    ///   - routingID: 1 to 255 bytes, the first not zero; no other peer has it.
    /// - Throws: `invalidOption` for a name that is none or is taken; as `connect`.
    public func connect(_ endpoint: String, as routingID: Frame) throws(ZeroMQError) {
        try connect(endpoint, named: routingID)
    }

    override func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        try offer(Message(Frame(copying: bytes)))
    }

    override func offer(_ message: Message) throws(ZeroMQError) -> SendResult {
        guard message.count > 1 else {
            throw ZeroMQError(
                .wrongState, "a ROUTER message names its peer in the first frame and has a body behind it")
        }
        if core.sendList.hasNews { core.sender.pointee.settle() }
        guard let pipe = core.route(message[0]), core.sender.pointee.finds(pipe) else { return refuse(.noRoute) }
        guard pipe.writer.pointee.hasRoom() else { return refuse(.full, pipe, message[0]) }
        pipe.put(message, from: 1)
        try core.commit(pipe)
        return .sent
    }

    /// A message that has nowhere to go is dropped, so there is always room; if that is to be told instead, there is
    /// room while one peer has some. So does the reference.
    override func canSend() -> Bool { !core.options.isRouterMandatory || super.canSend() }

    /// Mandatory tells the sender; otherwise the message is dropped under its reason.
    private func refuse(_ result: SendResult, _ pipe: Pipe? = nil, _ name: Frame = []) -> SendResult {
        if core.options.isRouterMandatory {
            if let pipe { core.sender.pointee.block(pipe) }
            return result
        }
        core.drop(pipe?.reasonToRefuse ?? .noRoute, of: pipe == nil ? nil : core.peer(named: name))
        return .sent
    }
}
