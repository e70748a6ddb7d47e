public import ZMTP

/// What a socket is told when it is made. Validated once, then it never changes.
///
/// Defaults are those of the reference implementation unless said otherwise.
public struct SocketOptions: Sendable {
    // MARK: Marks

    /// Messages queued towards each peer before sends wait or are refused; 0 means no mark (then 33 554 431 is the
    /// bound). Default 1000. A message leaves the mark when the kernel has accepted its last byte.
    public var sendHighWaterMark = 1000
    /// Messages received from each peer and not yet taken before its connection is paused; 0 means no mark.
    /// Default 1000.
    public var receiveHighWaterMark = 1000
    /// The same in bytes (headers included), per peer; 0 means none. Default 0. Whichever mark is reached first
    /// counts; one message may go beyond the byte mark.
    public var sendByteMark = 0
    /// The same in bytes for receiving. Default 0.
    public var receiveByteMark = 0

    /// Bytes of the context's `MemoryBudget` that the socket's messages may occupy, at least 64 KiB; at that limit the
    /// socket waits as all do at the budget's, while others go on. It takes nothing from others before it is used. Nil
    /// sets no limit of its own. Default nil.
    public var memoryShare: Int?

    // MARK: Waiting

    /// How long a blocking send waits; nil waits on. Default nil.
    public var sendTimeout: Duration?
    /// How long a blocking receive waits; nil waits on. Default nil.
    public var receiveTimeout: Duration?
    /// How long unsent messages are kept after `close`; nil keeps them until they are sent. Default 5 s (the
    /// reference waits without end).
    public var linger: Duration? = .seconds(5)

    // MARK: Connecting

    /// Queue messages only to peers whose handshake is done; the pipe then ends with its connection. Default false.
    public var isImmediate = false
    /// Pause before the first reconnect, at least 1 ms. Default 100 ms. Each pause gets up to a quarter more at
    /// random, so that many clients do not come back at the same moment.
    public var reconnectInterval: Duration = .milliseconds(100)
    /// The pause doubles up to this; nil keeps it constant. Default nil.
    public var reconnectIntervalMaximum: Duration?
    /// Give up one attempt to connect after this; nil leaves it to the kernel. Default nil.
    public var connectTimeout: Duration?
    /// Time a peer has for greeting and handshake together. Default 30 s, as the reference's HANDSHAKE_IVL.
    public var handshakeTimeout: Duration = .seconds(30)
    /// Connections that wait for an accept (listen(2)), 1 to 65535. Default 100.
    public var backlog = 100

    // MARK: The wire

    /// The identity announced to peers, 0 to 255 bytes, the first not zero. Default empty.
    public var routingID: Frame = []
    /// Larger inbound frames cut the connection; nil is no limit. Default nil.
    public var maximumMessageSize: Int?
    /// Span between PINGs to each peer of ZMTP 3.1 and later, at least 1 ms; nil sends none. A peer that has heartbeats
    /// of its own is watched by what its PINGs ask for, also without this. Default nil. PINGs may be late by 10 ms:
    /// one timer serves all connections of a loop. (37/ZMTP, Connection Heartbeating.)
    public var heartbeatInterval: Duration?
    /// How long a PING may stay without any byte from the peer before its connection is cut, then made again as after
    /// any break; nil takes the interval. Default nil. While the receiver is at its mark the time stands still. It
    /// counts whether or not the connection takes the PING: a peer that receives nothing for so long must send
    /// heartbeats of its own to be known alive.
    public var heartbeatTimeout: Duration?
    /// How long the peer shall wait for our next byte, carried by each PING: 0 to 6553.5 s, rounded down to tenths of a
    /// second; zero tells it nothing. Should be longer than the interval. Default zero.
    public var heartbeatTimeToLive: Duration = .zero
    /// What the context of each PING begins with, 0 to 12 bytes: peers answer with it. Four bytes of ours follow, by
    /// which round trips are measured. Default empty.
    public var heartbeatContext: Frame = []
    /// The other limits of the protocol.
    public var limits = ZMTPLimits()
    /// SO_SNDBUF in bytes; nil leaves it to the kernel. Default nil.
    public var kernelSendBuffer: Int?
    /// SO_RCVBUF in bytes; nil leaves it to the kernel. Default nil.
    public var kernelReceiveBuffer: Int?
    /// TCP keep-alive: idle and interval in whole seconds, and the count of probes; nil leaves it off. Default nil.
    public var keepAlive: KeepAlive?
    /// TCP keep-alive settings (tcp(7)).
    public struct KeepAlive: Sendable {
        /// Seconds of silence before the first probe.
        public var idle: Int
        /// Seconds between probes.
        public var interval: Int
        /// Unanswered probes before the connection is dead.
        public var count: Int
        /// A setting.
        public init(idle: Int, interval: Int, count: Int) {
            self.idle = idle
            self.interval = interval
            self.count = count
        }
    }

    // MARK: Patterns

    /// ROUTER: a message to an unknown address is an error (`noRoute`), a full peer makes the sender wait; without
    /// it both are dropped and counted. Default false.
    public var isRouterMandatory = false
    /// ROUTER: a peer with a taken identity replaces the one that has it; without it the newcomer is refused.
    /// Default false.
    public var isRouterHandover = false
    /// REQ: may send again before the reply; the earlier request is forgotten. Default false.
    public var isRequestRelaxed = false
    /// REQ: marks each request with a number and takes only the reply with that number. Default false.
    public var isRequestCorrelated = false

    /// PUSH, PULL, DEALER, PUB, SUB: of the messages that wait for a peer, or from one, only the newest is kept
    /// (CONFLATE); the marks mean nothing then. What is replaced on its way out is counted as conflated. Default false.
    public var isConflating = false
    /// ROUTER, DEALER, REQ: the first message on each new connection, made or accepted, is an empty one, so that a
    /// ROUTER at the other end learns of us (PROBE_ROUTER). Default false.
    public var probesRouter = false
    /// ROUTER: which changes of peers the application hears of, as an empty message from that peer (ROUTER_NOTIFY).
    /// Default none.
    public var routerNotifications: RouterNotifications = []
    /// Changes of a ROUTER's peers.
    public struct RouterNotifications: OptionSet, Sendable {
        /// The number of the C API.
        public let rawValue: Int
        /// A set of changes.
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// A peer has come; before its first message.
        public static let connect = RouterNotifications(rawValue: 1)
        /// A peer has gone, not by our doing; after its last message.
        public static let disconnect = RouterNotifications(rawValue: 2)
    }
    /// ROUTER, DEALER, SERVER, CLIENT, PEER: the first message on each new connection, made or accepted (HELLO_MSG).
    /// Default nil, none.
    public var helloMessage: Frame?
    /// ROUTER, SERVER, PEER: received as the last message of an accepted peer that has gone, not by our doing
    /// (DISCONNECT_MSG). Default nil, none.
    public var disconnectMessage: Frame?
    /// DEALER, CLIENT, PEER: received when a connection that we made is lost; it is made again (HICCUP_MSG). Default
    /// nil, none.
    public var hiccupMessage: Frame?
    /// ROUTER: connections carry bytes without ZMTP, as those of STREAM, which is the better choice (ROUTER_RAW).
    /// Default false.
    public var isRouterRaw = false
    /// STREAM and a raw ROUTER: each connection begins and ends with an empty message (STREAM_NOTIFY). Default true.
    public var isStreamNotifying = true

    // MARK: Loops

    /// Which loops of the context may serve the socket's connections: bit N stands for loop N, 0 for all; at least one
    /// of them must exist (AFFINITY). Default 0. The socket's connections lie evenly on the allowed ones.
    public var affinity: UInt64 = 0
    // MARK: Publish, subscribe

    /// PUB, XPUB: what happens to a subscriber that is behind by its whole mark. Default `dropNewest`.
    public var slowSubscribers = SlowSubscriberPolicy.dropNewest
    /// PUB, XPUB: send to those whose subscriptions do *not* match; SUB: take what does not match. All peers of such a
    /// socket have to agree. Default false.
    public var isMatchingInverted = false
    /// XPUB: a subscription is received even if another peer, or this one, has the same. Default false.
    public var isVerbose = false
    /// XPUB: as `isVerbose`, and so for cancellations. Default false.
    public var isVerboser = false
    /// XPUB: a peer's subscriptions are only received; the user decides with `admit` and `dismiss`. Default false.
    public var isManual = false
    /// XPUB with `isManual`: the message after such a decision goes to that peer alone: the last value, for one that
    /// has come late. Default false.
    public var isManualLastValue = false
    /// XPUB, PUB: sent to each subscriber before all others; a SUB sees it if it is subscribed to it. Default nil.
    public var welcomeMessage: Message?
    /// PUB, XPUB: only the first frame of a peer's message can be a subscription; without it each frame can, as in the
    /// reference. Default false.
    public var isOnlyFirstSubscribe = false
    /// XSUB: each cancellation is sent on, not only that of the last holder. Default false.
    public var isUnsubscribeVerbose = false

    /// The defaults.
    public init() {}

    /// Throws `invalidOption` naming the option, its value and its range, or the types that it is for.
    func validate(for type: SocketType, loops: Int) throws(ZeroMQError) {
        try validate()
        func demand(_ isSet: Bool, _ name: String, _ types: [SocketType]) throws(ZeroMQError) {
            guard !isSet || types.contains(type) else {
                let names = types.map(\.name).joined(separator: ", ")
                throw ZeroMQError(.invalidOption, "\(name) is for \(names), not for \(type)")
            }
        }
        try demand(isConflating, "isConflating", [.push, .pull, .dealer, .pub, .sub])
        try demand(isVerbose, "isVerbose", [.xpub])
        try demand(isVerboser, "isVerboser", [.xpub])
        try demand(isManual, "isManual", [.xpub])
        try demand(welcomeMessage != nil, "welcomeMessage", [.pub, .xpub])
        try demand(isUnsubscribeVerbose, "isUnsubscribeVerbose", [.xsub])
        try demand(probesRouter, "probesRouter", [.router, .dealer, .req])
        try demand(!routerNotifications.isEmpty, "routerNotifications", [.router])
        try demand(isRouterRaw, "isRouterRaw", [.router])
        try demand(!isStreamNotifying, "isStreamNotifying", [.stream, .router])
        try demand(helloMessage != nil, "helloMessage", [.router, .dealer, .server, .client, .peer])
        try demand(disconnectMessage != nil, "disconnectMessage", [.router, .server, .peer])
        try demand(hiccupMessage != nil, "hiccupMessage", [.dealer, .client, .peer])
        let all: UInt64 = loops < 64 ? 1 << UInt64(loops) - 1 : .max
        guard affinity == 0 || affinity & all != 0 else {
            throw ZeroMQError(
                .invalidOption, "affinity is \(String(affinity, radix: 2)) in binary, but there are \(loops) loops")
        }
    }

    /// Throws `invalidOption` naming the option, its value and its range.
    private func validate() throws(ZeroMQError) {
        func demand(_ fits: Bool, _ text: @autoclosure () -> String) throws(ZeroMQError) {
            guard fits else { throw ZeroMQError(.invalidOption, text()) }
        }
        let messages = 0...PipeWord.countBound
        let bytes = 0...PipeWord.byteBound
        try demand(messages ~= sendHighWaterMark, "sendHighWaterMark is \(sendHighWaterMark), not in \(messages)")
        try demand(
            messages ~= receiveHighWaterMark, "receiveHighWaterMark is \(receiveHighWaterMark), not in \(messages)")
        try demand(bytes ~= sendByteMark, "sendByteMark is \(sendByteMark), not in \(bytes)")
        try demand(bytes ~= receiveByteMark, "receiveByteMark is \(receiveByteMark), not in \(bytes)")
        try demand(
            memoryShare.map { $0 >= MemoryBudget.smallest } ?? true,
            "memoryShare is \(memoryShare ?? 0), less than 64 KiB")
        try demand(1...65535 ~= backlog, "backlog is \(backlog), not in 1...65535")
        try demand(
            isManual || !isManualLastValue, "isManualLastValue is true without isManual, which it is a form of")
        try demand(routingID.count <= 255, "routingID has \(routingID.count) bytes, more than 255")
        try demand(
            routingID.isEmpty || routingID.bytes[0] != 0,
            "routingID begins with a zero byte, which ROUTER keeps for itself")
        try demand(
            reconnectInterval >= .milliseconds(1), "reconnectInterval is \(reconnectInterval), less than 1 ms")
        try demand(handshakeTimeout > .zero, "handshakeTimeout is \(handshakeTimeout), not positive")
        try demand(
            heartbeatInterval.map { $0 >= .milliseconds(1) } ?? true,
            "heartbeatInterval is \(heartbeatInterval ?? .zero), less than 1 ms")
        try demand(
            heartbeatTimeout.map { $0 >= .milliseconds(1) } ?? true,
            "heartbeatTimeout is \(heartbeatTimeout ?? .zero), less than 1 ms")
        try demand(
            .zero ... .milliseconds(6_553_500) ~= heartbeatTimeToLive,
            "heartbeatTimeToLive is \(heartbeatTimeToLive), not in 0...6553.5 s")
        try demand(
            heartbeatContext.count <= 12, "heartbeatContext has \(heartbeatContext.count) bytes, more than 12")
        if let size = maximumMessageSize { try demand(size >= 0, "maximumMessageSize is \(size), negative") }
        for (name, size) in [("kernelSendBuffer", kernelSendBuffer), ("kernelReceiveBuffer", kernelReceiveBuffer)] {
            if let size { try demand(1...Int(Int32.max) ~= size, "\(name) is \(size), not in 1...2^31-1") }
        }
    }

    /// The protocol's limits with the message size put in.
    var protocolLimits: ZMTPLimits {
        var limits = limits
        if let size = maximumMessageSize { limits.maximumMessageSize = size }
        return limits
    }
}
