import ZMTP

/// Hands work to the peers in turn, each message to one that has room (30/PIPELINE). Sends only; never drops.
public final class PushSocket: Socket, SendingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.push, context, options)
    }
}
