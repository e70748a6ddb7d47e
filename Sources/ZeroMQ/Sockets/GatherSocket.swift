import ZMTP

/// Takes work from the peers in turn, for any number of threads and tasks at the same time (49/SCATTERGATHER).
/// Receives only; messages have one frame.
public final class GatherSocket: Socket, SharedReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.gather, context, options)
    }
}
