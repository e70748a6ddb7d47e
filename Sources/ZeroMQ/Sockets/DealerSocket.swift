import ZMTP

/// Sends to the peers in turn and receives from them in turn; changes nothing (28/REQREP).
public final class DealerSocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.dealer, context, options)
    }
}
