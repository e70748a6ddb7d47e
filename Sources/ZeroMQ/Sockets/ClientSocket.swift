import ZMTP

/// Talks with servers: sends to them in turn, receives from them in turn (41/CLIENTSERVER). Any number of threads and
/// tasks may send and receive at the same time; messages have one frame.
public final class ClientSocket: Socket, SharedSendingSocket, SharedReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.client, context, options)
    }
}
