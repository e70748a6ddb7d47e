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
        /// Messages sent to it, and their bytes with headers: a message counts when the kernel has accepted its last byte;
        /// for inproc when the peer has taken it (in lots of half the mark, or as it runs dry).
        public let sent: (messages: Int, bytes: Int)
        /// Messages that came from it whole, taken or not, and their bytes with headers.
        public let received: (messages: Int, bytes: Int)
        /// How long the oldest message to be sent has waited, at least; nil while none waits. See `oldestToTake`.
        public let oldestToSend: Duration?
        /// How long the oldest message to be taken has waited, at least; nil while none waits.
        ///
        /// Senders take no time for this: the loop notes the time once for each run of messages that it receives, or
        /// finds for its next send, on a clock with a tick of 1 to 10 ms. In a queue that stands still the age is that of
        /// the oldest run, exact to the tick. In a long one that moves it may fall short, by up to half the time that a
        /// message spends in it. For inproc, without a loop, it is the time since statistics first saw the message.
        public let oldestToTake: Duration?
        /// Messages of this connection that were dropped while it stands, by reason.
        public let losses: [LossReason: Int]
        /// The last heartbeat's round trip: from when the PING was due until its PONG was taken; nil before the first,
        /// and where the socket sends no heartbeats (`SocketOptions.heartbeatInterval`).
        public let roundTrip: Duration?
        /// Messages sent to it and lost for it, where a publisher counts them by peer; nil for other types. What a publisher
        /// sends stands here, not in `sent`: its streams serve many peers.
        public let published: (sent: Int, lost: Int)?
    }

    /// One endpoint's share: what outlives its connections.
    public struct EndpointShare: Sendable {
        /// As text, as it really is.
        public let endpoint: String
        /// Handshakes that were done there.
        public let connections: Int
        /// Those among them that replaced a lost one, where the endpoint was connected.
        public let reconnects: Int
        /// Messages of the queue that is kept while the peer is away, and their bytes with headers; where the peer is
        /// there, its `toSend` is the same.
        public let toSend: (messages: Int, bytes: Int)
        /// How long the oldest of them has waited; `PeerShare.oldestToTake` says what that is.
        public let oldestToSend: Duration?
        /// Messages given up there, by reason.
        public let losses: [LossReason: Int]
    }

    /// By connection, in the order they came.
    public let peers: [PeerShare]
    /// By endpoint, in the order of their texts: those that are bound or connected, and the first 1024 others that
    /// something happened at.
    public let endpoints: [EndpointShare]
    /// Messages given up, by reason; reasons without any are missing.
    public let losses: [LossReason: Int]
    /// Messages sent so far, to all peers that ever were, and their bytes with headers; as `PeerShare.sent`.
    public let sent: (messages: Int, bytes: Int)
    /// Messages received so far, and their bytes with headers; as `PeerShare.received`.
    public let received: (messages: Int, bytes: Int)

    /// The memory that counts for the socket: its share where it has one, else the context's budget, for all that use it.
    public let memory: MemoryBudget.Use

    /// Connections that were lost and made again.
    public var reconnects: Int { endpoints.reduce(0) { $0 + $1.reconnects } }
    /// Messages that wait to be sent, to all peers that are connected.
    public var messagesToSend: Int { peers.reduce(0) { $0 + $1.toSend.messages } }
    /// Messages received and not yet taken, at most; `toTake` says how exact that is.
    public var messagesToTake: Int { peers.reduce(0) { $0 + $1.toTake.messages } }
    /// How long the oldest message to be sent has waited, at any endpoint or for any peer.
    public var oldestToSend: Duration? {
        (peers.map(\.oldestToSend) + endpoints.map(\.oldestToSend)).compactMap(\.self).max()
    }
    /// How long the oldest message to be taken has waited.
    public var oldestToTake: Duration? { peers.compactMap(\.oldestToTake).max() }

    init(_ core: SocketCore) {
        let (connections, entries, tallies, departed) = core.registry.withLock {
            (Array($0.connections.values), $0.entries, $0.tallies, $0.departed)
        }
        var total = departed
        var missed = 0
        peers = connections.map { connection in
            let exchange = connection.exchange
            total += exchange
            let account = connection.subscriber?.account.withLock { $0 }
            let now = account?.now
            missed += now?.missed ?? 0
            return PeerShare(
                peer: connection.peer,
                toSend: now.map { ($0.queued, $0.bytes) } ?? connection.outbound?.queued ?? (0, 0),
                toTake: connection.inbound?.queued ?? (0, 0), sent: exchange.sent.pair,
                received: exchange.received.pair,
                oldestToSend: connection.outbound?.oldest, oldestToTake: connection.inbound?.oldest,
                losses: connection.peer.losses.all, roundTrip: connection.peer.roundTripTime,
                published: account.flatMap { account in now.map { (account.sent, $0.lost) } })
        }.sorted { $0.peer.id < $1.peer.id }
        endpoints = Set(entries.map(\.text) + tallies.keys).sorted().map { text in
            let tally = tallies[text] ?? EndpointTally()
            let kept = entries.filter { $0.text == text }.compactMap(\.pipe)
            return EndpointShare(
                endpoint: text, connections: tally.connections,
                reconnects: tally.reconnects,
                toSend: kept.map(\.queued).reduce((0, 0)) { ($0.0 + $1.messages, $0.1 + $1.bytes) },
                oldestToSend: kept.compactMap(\.oldest).max(), losses: tally.losses)
        }
        var losses = core.losses.all
        if missed > 0 { losses[.mark, default: 0] += missed }
        self.losses = losses
        memory = core.memory.use
        sent = total.sent.pair
        received = total.received.pair
    }
}
