import ZMTP

/// Hands work to the peers in turn, from any number of threads and tasks at the same time (49/SCATTERGATHER). Sends
/// only; never drops; messages have one frame.
public final class ScatterSocket: Socket, SharedSendingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.scatter, context, options)
    }
}
