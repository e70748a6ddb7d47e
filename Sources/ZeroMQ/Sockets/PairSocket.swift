import ZMTP

/// Talks with exactly one peer (31/EXPAIR); a second one is refused.
public final class PairSocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.pair, context, options)
    }
}
