import Proactor
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    /// The pairs of 37/ZMTP that stock libzmq cannot show: drafts meet our own kind over every transport, and raw bytes;
    /// every pair that is none is refused. `SocketPairTests` and `IllegalPairTests` do the rest, with libzmq.
    @Suite("Pairs of socket types") struct TypePairTests {
        /// Where framing and storage change.
        private static let sizes = [0, 1, 64, 65, 255, 256, 8192, 40_000, 200_000]

        @Test(
            "Drafts talk with each other, whoever binds: bodies of all sizes pass unchanged both ways",
            arguments: Setup.all, TypePair.drafts)
        func exchange(setup: Setup, pair: TypePair) throws {
            let context = try setup.context()
            var bound = try Speaker(pair.bound.make(context))
            var connected = try Speaker(pair.connected.make(context))
            let endpoint = try bound.socket.bind(setup.wildcard)
            try connected.connect(endpoint)
            for (from, to) in [(bound, connected), (connected, bound)] where from.socket is RadioSocket {
                let hasJoined = try context.eventually { try from.radio("are you there?") == 1 }
                try #require(hasJoined)
                while try to.receiveAnything().string != "are you there?" {}
            }
            for (number, size) in Self.sizes.enumerated() {
                let body = Message([UInt8](repeating: UInt8(number + 1), count: size))
                // Who knows nobody yet hears first.
                if connected.canSpeak {
                    try connected.say(body, to: &bound)
                    if bound.canSpeak { try bound.say(body, to: &connected) }
                } else {
                    try bound.say(body, to: &connected)
                    if connected.canSpeak { try connected.say(body, to: &bound) }
                }
            }
            for socket in [bound.socket, connected.socket] { #expect(socket.statistics.losses.isEmpty) }
            #expect(context.close().isComplete)
        }

        @Test(
            "On the wire drafts name their type in READY, and a message is one frame, behind its group if it has one",
            arguments: Setup.engines, TypePair.drafts)
        func vectors(setup: Setup, pair: TypePair) throws {
            let context = try setup.context()
            var ours = try Speaker(pair.bound.make(context))
            let raw = try RawPeer(ours.socket.bind(setup.wildcard))
            try raw.send(RawPeer.greeting)
            #expect(try raw.receive(64).prefix(12) == [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1])
            try raw.send(RawPeer.ready(pair.connected.name))
            // 37/ZMTP, Connection Metadata: no Identity but from REQ, DEALER and ROUTER.
            #expect(try raw.receive(RawPeer.ready(pair.bound.name).count) == RawPeer.ready(pair.bound.name))
            let join = RawPeer.frame(Array("\u{4}JOINg".utf8), flags: 4)
            if pair.bound == .dish { #expect(try raw.receive(join.count) == join) }
            if pair.bound == .radio {
                try raw.send(join)
                let hasJoined = try context.eventually { try ours.radio("") == 1 }
                try #require(hasJoined)
                #expect(try raw.receive(5) == [1, 1, UInt8(ascii: "g"), 0, 0])
            }
            let hasGroup = pair.bound == .radio || pair.bound == .dish
            for size in Self.sizes {
                let body = [UInt8](repeating: 7, count: size)
                let onWire = (hasGroup ? [1, 1, UInt8(ascii: "g")] : []) + RawPeer.frame(body)
                if pair.bound.receives {
                    try raw.send(onWire)
                    #expect(try ours.receive().bytes == body)
                }
                if pair.bound.sends {
                    try ours.send(Message(body))
                    #expect(try raw.receive(onWire.count) == onWire)
                }
            }
            context.close()
        }

        @Test(
            "Whoever has an unfit type is told so by ERROR, hung up on, and is nobody's peer",
            arguments: Setup.engines)
        func illegal(setup: Setup) throws {
            let context = try setup.context()
            for type in SocketType.allCases {
                let socket = try type.make(context)
                let endpoint = try socket.bind(setup.wildcard)
                for pair in TypePair.illegal where pair.bound == type {
                    let raw = try RawPeer(endpoint)
                    try raw.send(RawPeer.greeting + RawPeer.ready(pair.connected.name))
                    let ready = RawPeer.ready(type.name, identity: type.sendsIdentity ? "" : nil)
                    #expect(try raw.receive(64 + ready.count).suffix(ready.count) == ready)
                    // 37/ZMTP, Connection Metadata: ERROR, then disconnect.
                    let (flags, body) = try raw.receiveFrame()
                    #expect(flags == 4 && body.starts(with: [5] + Array("ERROR".utf8)), "\(pair)")
                    try #require(raw.isHungUpOn(), "\(pair)")
                }
                #expect(socket.statistics.peers.isEmpty)
                socket.close()
            }
            #expect(context.close().isComplete)
        }

        @Test("A ZMTP 2.0 peer of an unfit type is hung up on without a word", arguments: Setup.engines)
        func oldAndUnfit(setup: Setup) throws {
            let context = try setup.context()
            for type in SocketType.allCases {
                let socket = try type.make(context)
                let endpoint = try socket.bind(setup.wildcard)
                for number in UInt8(0)...8 {
                    let theirs = try #require(SocketType(version2Number: number))
                    guard !type.isCompatible(with: theirs) else { continue }
                    let raw = try RawPeer(endpoint)
                    raw.pour([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 1, number, 0, 0])
                    try #require(raw.isHungUpOn(), "\(type) \(theirs)")
                }
                #expect(socket.statistics.peers.isEmpty)
                socket.close()
            }
            context.close()
        }

        @Test(
            "Within a process, where libzmq joins anybody, an unfit connect is told and joins nobody",
            arguments: Setup.engines)
        func illegalInproc(setup: Setup) throws {
            let context = try setup.context()
            for pair in TypePair.illegal {
                let bound = try pair.bound.make(context)
                let connected = try pair.connected.make(context)
                let monitor = connected.monitor()
                try connected.connect(bound.bind("inproc://\(pair.bound)-\(pair.connected)"))
                try context.await(monitor) { $0 == .handshakeFailed(.incompatibleSocketTypes) }
                #expect(bound.statistics.peers.isEmpty && connected.statistics.peers.isEmpty, "\(pair)")
                bound.close()
                connected.close()
            }
            #expect(context.close().isComplete)
        }
    }
}

/// One end of a conversation of drafts, whatever its type.
private struct Speaker {
    let socket: Socket
    /// What SERVER and PEER call the other.
    private var number: UInt32?

    init(_ socket: Socket) throws {
        self.socket = socket
        try (socket as? DishSocket)?.join("g")
    }

    /// Whether it can send now: it sends at all, and knows to whom.
    var canSpeak: Bool { socket.type.sends && (!(socket is any RoutedSocket) || number != nil) }

    mutating func connect(_ endpoint: String) throws {
        guard let peer = socket as? PeerSocket else { return try socket.connect(endpoint) }
        number = try peer.connect(to: endpoint)
    }

    func say(_ body: Message, to other: inout Speaker) throws {
        try send(body)
        #expect(try other.receive() == body)
    }

    func send(_ body: Message) throws {
        switch socket {
        case let routed as any RoutedSocket: try routed.send(body, to: #require(number))
        case is RadioSocket: #expect(try radio(body) == 1)
        default: try (socket as! any SharedSendingSocket).send(body)
        }
    }

    func radio(_ body: Message) throws -> Int { try (socket as! RadioSocket).send(body, to: "g") }

    mutating func receive() throws -> Message {
        guard let routed = socket as? any RoutedSocket else { return try receiveAnything() }
        let message = try routed.receive()
        #expect(message.routingID != 0 && (number ?? message.routingID) == message.routingID)
        number = message.routingID
        return message.message
    }

    func receiveAnything() throws -> Message {
        guard let dish = socket as? DishSocket else { return try (socket as! any SharedReceivingSocket).receive() }
        let message = try dish.receive()
        #expect(message.group == "g")
        return message.message
    }
}
