import Proactor
import ZMTP

/// Talks with any number of equals: each connection has a number, told with each message and by
/// `connect(to:)` (51/P2P). Any number of threads and tasks may send and receive at the same time; messages have one frame.
///
/// A send to a peer at its mark waits, one to a peer that has gone is an error: nothing is dropped.
public final class PeerSocket: Socket, RoutedSocket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        guard !options.isImmediate else {
            throw ZeroMQError(
                .invalidOption,
                "isImmediate does not go with PEER: the number that connect(to:) returns stands for a queue")
        }
        try super.init(.peer, context, options)
    }

    /// Connects and tells the number by which to send there, at once: what is sent before the peer is there waits in
    /// its queue. The number stays the same when the connection is lost and made again.
    /// - Throws: as `connect`.
    public func connect(to endpoint: String) throws(ZeroMQError) -> UInt32 {
        let number = core.registry.withLock { $0.nextNumber() }
        try connect(endpoint, as: .number(number))
        return number
    }
}
