import ZMTP

/// Talks with exactly one peer; a second one is refused (52/CHANNEL). Any number of threads and tasks may send and
/// receive at the same time; messages have one frame.
public final class ChannelSocket: Socket, SharedSendingSocket, SharedReceivingSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.channel, context, options)
    }
}
