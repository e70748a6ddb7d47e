import ZMTP

/// Takes work from the peers, one message from each in turn (30/PIPELINE). Receives only.
public final class PullSocket: Socket, ReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.pull, context, options)
    }
}
