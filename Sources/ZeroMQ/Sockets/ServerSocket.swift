import ZMTP

/// Talks with any number of clients: each message tells whom it is from, and an answer names its client
/// (41/CLIENTSERVER). Any number of threads and tasks may send and receive at the same time; messages have one frame.
///
/// A send to a client at its mark waits, one to a client that has gone is an error: nothing is dropped.
public final class ServerSocket: Socket, RoutedSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.server, context, options)
    }
}
