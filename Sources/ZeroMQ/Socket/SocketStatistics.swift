import Proactor

/// What a socket holds and has lost, at one moment. Reading it disturbs nobody.
public struct SocketStatistics: Sendable {
    /// One peer's share.
    public struct PeerShare: Sendable {
        /// The connection.
        public let peer: Peer
        /// Messages that wait to be sent to it, and their bytes with headers.
        public let toSend: (messages: Int, bytes: Int)
        /// Messages received from it and not yet taken, and their bytes with headers. Never less than there are;
        /// up to half of the receive mark more, since the receiver accounts for what it takes in such lots, and
        /// exact when it has found nothing more to take.
        public let toTake: (messages: Int, bytes: Int)
        /// The last heartbeat's round trip: from when the PING was due until its PONG was taken; nil before the first,
        /// and where the socket sends no heartbeats (`SocketOptions.heartbeatInterval`).
        public let roundTrip: Duration?
        /// Messages sent to it and lost for it, where a publisher counts them by peer; nil for other types.
        public let published: (sent: Int, lost: Int)?
    }

    /// By connection, in the order they came.
    public let peers: [PeerShare]
    /// Messages given up, by reason; reasons without any are missing.
    public let losses: [LossReason: Int]

    /// Messages that wait to be sent, to all peers that are connected.
    public var messagesToSend: Int { peers.reduce(0) { $0 + $1.toSend.messages } }
    /// Messages received and not yet taken, at most; `toTake` says how exact that is.
    public var messagesToTake: Int { peers.reduce(0) { $0 + $1.toTake.messages } }

    init(_ core: SocketCore) {
        let connections = core.registry.withLock { Array($0.connections.values) }
        var missed = 0
        peers = connections.map { connection in
            let account = connection.subscriber?.account.withLock { $0 }
            let now = account?.now
            missed += now?.missed ?? 0
            return PeerShare(
                peer: connection.peer,
                toSend: now.map { ($0.queued, $0.bytes) } ?? connection.outbound?.queued ?? (0, 0),
                toTake: connection.inbound?.queued ?? (0, 0),
                roundTrip: connection.peer.roundTripTime,
                published: account.flatMap { account in now.map { (account.sent, $0.lost) } })
        }.sorted { $0.peer.id < $1.peer.id }
        var losses = core.losses.all
        if missed > 0 { losses[.mark, default: 0] += missed }
        self.losses = losses
    }
}
