public import ZMTP

/// What a socket is told when it is made. Validated once, then it never changes.
///
/// Each option tells its unit, range, default and effect, and in brackets what libzmq calls it. Defaults are libzmq's
/// unless said otherwise. A value out of its range, or an option that is marked *refused elsewhere* on another type, makes
/// the socket's initializer throw `invalidOption`, which names the option; other options for single types are ignored by
/// the rest. What concerns connections means nothing to inproc, which has none.
public struct SocketOptions: Sendable {
    // MARK: Marks

    /// Messages queued towards each peer before sends wait or are refused, 0 to 33 554 431; 0 means no mark (then the
    /// largest number is the bound). Default 1000. A message leaves the mark when the kernel has accepted its last byte.
    /// inproc adds the receiver's mark. (SNDHWM)
    public var sendHighWaterMark = 1000
    /// Messages received from each peer and not yet taken before its connection is paused, 0 to 33 554 431; 0 means no
    /// mark. Default 1000. (RCVHWM)
    public var receiveHighWaterMark = 1000
    /// Bytes queued towards each peer, headers included, before sends wait or are refused, 0 to 2^34 - 1; 0 means none.
    /// Default 0. Whichever mark is reached first counts; one message may go beyond the byte mark. (Not in libzmq.)
    public var sendByteMark = 0
    /// Bytes received from each peer and not yet taken, headers included, before its connection is paused, 0 to 2^34 - 1;
    /// 0 means none. Default 0. (Not in libzmq.)
    public var receiveByteMark = 0

    /// Bytes of the context's `MemoryBudget` that the socket's messages may occupy, at least 64 KiB; at that limit the
    /// socket waits as all do at the budget's, while others go on. It takes nothing from others before it is used. Nil
    /// sets no limit of its own. Default nil. (Not in libzmq.)
    public var memoryShare: Int?

    // MARK: Waiting

    /// How long a blocking or suspending send without a deadline waits; zero tries once, nil waits on. Default nil.
    /// (SNDTIMEO)
    public var sendTimeout: Duration?
    /// How long a blocking or suspending receive without a deadline waits; zero tries once, nil waits on. Default nil.
    /// (RCVTIMEO)
    public var receiveTimeout: Duration?
    /// How long unsent messages are kept after `close`; zero drops them, nil keeps them until they are sent, as far as the
    /// time given to `Context.close` reaches. What is dropped is counted as `LossReason.lingerOver`. Default 5 s (libzmq
    /// waits without end). (LINGER)
    public var linger: Duration? = .seconds(5)

    // MARK: Connecting

    /// Queue messages only to peers whose handshake is done; the pipe then ends with its connection, and what it holds is
    /// lost. Without it a message may be queued as soon as `connect` returns, and is kept over reconnects. PEER refuses it.
    /// Default false. (IMMEDIATE)
    public var isImmediate = false
    /// Pause before the first reconnect, at least 1 ms. Default 100 ms. Each pause gets up to a quarter more at
    /// random, so that many clients do not come back at the same moment. (RECONNECT_IVL)
    public var reconnectInterval: Duration = .milliseconds(100)
    /// The pause doubles with each failure up to this, and begins anew after a handshake; nil, or less than the interval,
    /// keeps it constant. Default nil. (RECONNECT_IVL_MAX)
    public var reconnectIntervalMaximum: Duration?
    /// Give up one attempt to connect after this, more than zero, and make the next after the pause; nil leaves it to the
    /// kernel, which takes about two minutes. Default nil. (CONNECT_TIMEOUT)
    public var connectTimeout: Duration?
    /// Time a peer has for greeting and handshake together, more than zero; then its connection is cut. Default 30 s.
    /// (HANDSHAKE_IVL)
    public var handshakeTimeout: Duration = .seconds(30)
    /// Connections that wait for an accept, 1 to 65535; the kernel has a bound of its own (listen(2)). Default 100.
    /// (BACKLOG)
    public var backlog = 100

    // MARK: The wire

    /// The identity announced to peers, 0 to 255 bytes, the first not zero. A ROUTER knows this socket by it; an empty one
    /// gets a name of the ROUTER's making. Default empty. (ROUTING_ID)
    public var routingID: Frame = []
    /// Bytes of one frame's body, 0 or more; a peer that announces a larger one is cut off. Nil is no limit. Default nil.
    /// (MAXMSGSIZE)
    public var maximumMessageSize: Int?
    /// Span between PINGs to each peer of ZMTP 3.1 and later, at least 1 ms; nil sends none. A peer that has heartbeats
    /// of its own is watched by what its PINGs ask for, also without this. Default nil. PINGs may be late by 10 ms:
    /// one timer serves all connections of a loop. (HEARTBEAT_IVL; 37/ZMTP, Connection Heartbeating.)
    public var heartbeatInterval: Duration?
    /// How long a PING may stay without any byte from the peer before its connection is cut, then made again as after
    /// any break; at least 1 ms, nil takes the interval. Default nil. While the receiver is at its mark the time stands
    /// still. It counts whether or not the connection takes the PING: a peer that receives nothing for so long must send
    /// heartbeats of its own to be known alive. (HEARTBEAT_TIMEOUT)
    public var heartbeatTimeout: Duration?
    /// How long the peer shall wait for our next byte, carried by each PING: 0 to 6553.5 s, rounded down to tenths of a
    /// second; zero tells it nothing. Should be longer than the interval. Default zero. (HEARTBEAT_TTL)
    public var heartbeatTimeToLive: Duration = .zero
    /// What the context of each PING begins with, 0 to 12 bytes: peers answer with it. Four bytes of ours follow, by
    /// which round trips are measured. Default empty. (Not in libzmq, which sends none.)
    public var heartbeatContext: Frame = []
    /// The other bounds on what a peer may send; each has its default and its name in `ZMTPLimits`. `maximumMessageSize`
    /// above comes before the one inside. (Not in libzmq.)
    public var limits = ZMTPLimits()
    /// SO_SNDBUF in bytes, 1 to 2^31 - 1, of which Linux makes twice as many; nil leaves it to the kernel. Default nil.
    /// (SNDBUF)
    public var kernelSendBuffer: Int?
    /// SO_RCVBUF in bytes, 1 to 2^31 - 1, of which Linux makes twice as many; nil leaves it to the kernel. Default nil.
    /// (RCVBUF)
    public var kernelReceiveBuffer: Int?
    /// TCP keep-alive; nil leaves it off. Default nil. (TCP_KEEPALIVE, _IDLE, _INTVL, _CNT)
    public var keepAlive: KeepAlive?
    /// TCP keep-alive settings (tcp(7)).
    public struct KeepAlive: Sendable {
        /// Seconds of silence before the first probe, 1 to 32 767.
        public var idle: Int
        /// Seconds between probes, 1 to 32 767.
        public var interval: Int
        /// Unanswered probes before the connection is dead, 1 to 127.
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
    /// it both are dropped and counted. Default false. (ROUTER_MANDATORY)
    public var isRouterMandatory = false
    /// ROUTER: a peer with a taken identity replaces the one that has it; without it the newcomer is refused.
    /// Default false. (ROUTER_HANDOVER)
    public var isRouterHandover = false
    /// REQ: may send again before the reply; the earlier request is forgotten. Default false. (REQ_RELAXED)
    public var isRequestRelaxed = false
    /// REQ: marks each request with a number and takes only the reply with that number. Default false; on from the first
    /// `request(_:timeout:retries:)`. (REQ_CORRELATE)
    public var isRequestCorrelated = false

    /// PUSH, PULL, DEALER, PUB, SUB; refused elsewhere: of the messages that wait for a peer, or from one, only the newest
    /// is kept; the marks mean nothing then. What is replaced on its way out is counted as conflated. Default false.
    /// (CONFLATE)
    public var isConflating = false
    /// ROUTER, DEALER, REQ; refused elsewhere: the first message on each new connection, made or accepted, is an empty
    /// one, so that a ROUTER at the other end learns of us. Default false. (PROBE_ROUTER)
    public var probesRouter = false
    /// ROUTER; refused elsewhere: which changes of peers the application hears of, as an empty message from that peer.
    /// Default none. (ROUTER_NOTIFY)
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
    /// ROUTER, DEALER, SERVER, CLIENT, PEER; refused elsewhere: the first message on each new connection, made or
    /// accepted. Default nil, none. (HELLO_MSG)
    public var helloMessage: Frame?
    /// ROUTER, SERVER, PEER; refused elsewhere: received as the last message of an accepted peer that has gone, not by our
    /// doing. Default nil, none. (DISCONNECT_MSG)
    public var disconnectMessage: Frame?
    /// DEALER, CLIENT, PEER; refused elsewhere: received when a connection that we made is lost; it is made again. Default
    /// nil, none. (HICCUP_MSG)
    public var hiccupMessage: Frame?
    /// ROUTER; refused elsewhere: connections carry bytes without ZMTP, as those of STREAM, which is the better choice.
    /// Default false. (ROUTER_RAW)
    public var isRouterRaw = false
    /// STREAM and a raw ROUTER; to turn it off is refused elsewhere: each connection begins and ends with an empty
    /// message. Default true. (STREAM_NOTIFY)
    public var isStreamNotifying = true

    // MARK: Loops

    /// Which loops of the context may serve the socket's connections: bit N stands for loop N, 0 for all; at least one
    /// of them must exist. Default 0. The socket's connections lie evenly on the allowed ones. (AFFINITY)
    public var affinity: UInt64 = 0

    // MARK: Publish, subscribe

    /// PUB, XPUB: what happens to a subscriber that is behind by its whole mark. Default `dropNewest`, as libzmq does.
    /// (XPUB_NODROP is `wait`; the others are not in libzmq.)
    public var slowSubscribers = SlowSubscriberPolicy.dropNewest
    /// PUB, XPUB: send to those whose subscriptions do *not* match; SUB: take what does not match. All peers of such a
    /// socket have to agree. Default false. (INVERT_MATCHING)
    public var isMatchingInverted = false
    /// XPUB; refused elsewhere: a subscription is received even if another peer, or this one, has the same. Default false.
    /// (XPUB_VERBOSE)
    public var isVerbose = false
    /// XPUB; refused elsewhere: as `isVerbose`, and so for cancellations. Default false. (XPUB_VERBOSER)
    public var isVerboser = false
    /// XPUB; refused elsewhere: a peer's subscriptions are only received; the user decides with `admit` and `dismiss`.
    /// Default false. (XPUB_MANUAL)
    public var isManual = false
    /// XPUB with `isManual`, without which it is refused: the message after such a decision goes to that peer alone: the
    /// last value, for one that has come late. Default false. (XPUB_MANUAL_LAST_VALUE)
    public var isManualLastValue = false
    /// XPUB, PUB; refused elsewhere: sent to each subscriber before all others; a SUB sees it if it is subscribed to it.
    /// Default nil, none. (XPUB_WELCOME_MSG)
    public var welcomeMessage: Message?
    /// PUB, XPUB: only the first frame of a peer's message can be a subscription; without it each frame can. Default
    /// false. (ONLY_FIRST_SUBSCRIBE)
    public var isOnlyFirstSubscribe = false
    /// XSUB; refused elsewhere: each cancellation is sent on, not only that of the last holder. Default false.
    /// (XSUB_VERBOSE_UNSUBSCRIBE)
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
        try demand(
            connectTimeout.map { $0 > .zero } ?? true, "connectTimeout is \(connectTimeout ?? .zero), not positive")
        if let keepAlive {
            // The bounds of Linux (tcp(7)); a kernel that refused one would leave its own in silence.
            for (name, value, range) in [
                ("idle", keepAlive.idle, 1...32_767), ("interval", keepAlive.interval, 1...32_767),
                ("count", keepAlive.count, 1...127),
            ] {
                try demand(range ~= value, "keepAlive.\(name) is \(value), not in \(range)")
            }
        }
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
