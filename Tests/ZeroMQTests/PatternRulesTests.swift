import Proactor
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    /// What 28/REQREP to 52/CHANNEL ask of each pattern beside carrying messages; `Documentation/rfc-conformance.md`
    /// has the rules and names these tests.
    @Suite("Rules of the patterns", .timeLimit(.minutes(2))) struct PatternRules {
        // MARK: In turn

        /// Types that share messages out.
        static let dealing: [SocketType] = [.push, .dealer, .scatter, .client]

        @Test("Who deals messages out gives its peers one each in turn", arguments: Setup.background, dealing)
        func dealt(setup: Setup, type: SocketType) throws {
            let context = try setup.context()
            let dealer = try type.make(context)
            let peers = try (0..<3).map { index in
                let peer = try type.partner.make(context)
                try dealer.connect(peer.bind(setup.wire == .inproc ? "inproc://\(index)" : setup.wildcard))
                return peer
            }
            for number in 0..<60 { try dealer.put("\(number)") }
            for number in 0..<60 { #expect(try peers[number % 3].take() == "\(number)") }
            context.close()
        }

        /// Types that take from several peers, but for REP and subscribers, which ask for more than a message.
        static let gathering: [SocketType] = [.pull, .dealer, .router, .rep, .gather, .server, .peer]

        @Test(
            "Who has several peers takes one message of each in turn", arguments: Setup.background, gathering)
        func gathered(setup: Setup, type: SocketType) throws {
            let context = try setup.context()
            let gatherer = try type.make(context)
            let endpoint = try gatherer.bind(setup.wildcard)
            var peers: [Socket] = []
            for index in 0..<4 {
                let peer = try (type == .rep || type == .router ? .dealer : type.partner).make(context)
                let number = try (peer as? PeerSocket)?.connect(to: endpoint)
                if number == nil { try peer.connect(endpoint) }
                for _ in 0..<20 { try peer.put("\(index)", to: number, isRequest: type == .rep) }
                peers.append(peer)
            }
            let isThere = context.eventually { gatherer.statistics.messagesToTake == 80 }
            #expect(isThere)
            for _ in 0..<20 {
                var round: Set<String> = []
                for _ in 0..<4 {
                    round.insert(try gatherer.take())
                    if type == .rep { try gatherer.put("answer") }
                }
                #expect(round.count == 4, "\(round)")
            }
            context.close()
        }

        @Test("A subscriber of several publishers takes one message of each in turn", arguments: Setup.background)
        func subscribed(setup: Setup) throws {
            for isDish in [false, true] {
                let context = try setup.context()
                let sub = try SubscribeSocket(context, .test, topics: [""])
                let dish = try DishSocket(context, .test)
                try dish.join("g")
                let socket: Socket = isDish ? dish : sub
                let endpoint = try socket.bind(setup.wildcard)
                var peers: [Socket] = []
                for index in 0..<4 {
                    if isDish {
                        let radio = try RadioSocket(context, .test)
                        try radio.connect(endpoint)
                        peers.append(radio)
                        var sent = 0
                        let isSent = try context.eventually {
                            sent += try radio.send("\(index)", to: "g")
                            return sent == 20
                        }
                        #expect(isSent)
                    } else {
                        let publisher = try PublishSocket(context, .test)
                        try publisher.connect(endpoint)
                        peers.append(publisher)
                        try publisher.subscribers(atLeast: 1)
                        for _ in 0..<20 { try publisher.send("\(index)") }
                    }
                }
                let isThere = context.eventually { socket.statistics.messagesToTake == 80 }
                #expect(isThere)
                for _ in 0..<20 {
                    let round = try (0..<4).map { _ in
                        try isDish ? dish.receive().message.string : sub.receive().string
                    }
                    #expect(Set(round).count == 4, "\(round)")
                }
                context.close()
            }
        }

        // MARK: Without room

        /// Types that make a sender wait and never discard.
        static let waiting: [SocketType] = [.push, .dealer, .req, .pair, .scatter, .client, .channel]

        @Test(
            "Without a peer a send is refused or waits, and nothing is lost", arguments: Setup.background, waiting)
        func noPeer(setup: Setup, type: SocketType) throws {
            let context = try setup.context()
            let sender = try type.make(context)
            let endpoint = try sender.bind(setup.wildcard)
            #expect(try sender.tryPut("refused") == .full)
            expectError(.timedOut) { try sender.put("timed out", until: .after(.milliseconds(5))) }
            let receiver = try type.partner.make(context)
            try receiver.connect(endpoint)
            try sender.put("taken")
            #expect(try receiver.take() == "taken")
            #expect(sender.statistics.losses.isEmpty)
            context.close()
        }

        @Test(
            "At the marks of both sides nothing more is taken, and nothing is lost",
            arguments: Setup.all.filter { $0.wire == .inproc }, waiting.filter { $0 != .req } + [.server, .peer])
        func marks(setup: Setup, type: SocketType) throws {
            let context = try setup.context()
            let sender = try type.make(context) { $0.sendHighWaterMark = 2 }
            let receiver = try type.partner.make(context) { $0.receiveHighWaterMark = 3 }
            try sender.bind("inproc://marks")
            var number: UInt32?
            if let peer = receiver as? PeerSocket {
                try peer.send("hello", to: peer.connect(to: "inproc://marks"))
            } else {
                try receiver.connect("inproc://marks")
                if type == .server { try receiver.put("hello") }
            }
            if let routed = sender as? any RoutedSocket {
                number = try routed.receive().routingID
                #expect(try routed.trySend("x", to: number! &+ 1) == .noRoute)
            }
            for text in 0..<5 { #expect(try sender.tryPut("\(text)", to: number) == .sent) }
            #expect(try sender.tryPut("x", to: number) == .full)
            expectError(.timedOut) { try sender.put("x", to: number, until: .after(.milliseconds(5))) }
            for text in 0..<5 { #expect(try receiver.take() == "\(text)") }
            try sender.put("again", to: number)
            #expect(try receiver.take() == "again")
            #expect(sender.statistics.losses.isEmpty)
            context.close()
        }

        @Test(
            "What is queued for an accepted peer goes with its connection, counted", arguments: Setup.engines,
            [SocketType.push, .dealer, .router, .pair])
        func queueGoes(setup: Setup, type: SocketType) throws {
            let context = try setup.context()
            let sender = try type.make(context) {
                $0.sendHighWaterMark = 4
                $0.kernelSendBuffer = 4096
                if type == .router { $0.isRouterMandatory = true }
            }
            var raw: RawPeer? = try RawPeer(sender.bind(setup.wildcard))
            try raw?.shakeHands(as: type == .router ? "DEALER" : type.partner.name, identity: "raw")
            try sender.awaitPeers(1, in: context)
            let body = Frame([UInt8](repeating: 1, count: 3_000_000))
            let message = type == .router ? Message(frames: ["raw", body]) : Message(body)
            let socket = sender as! any SendingSocket
            while try socket.trySend(message) == .sent {}
            let queued = sender.statistics.messagesToSend
            #expect(queued == 4)
            raw = nil
            let isCounted = context.eventually { sender.statistics.losses == [.peerGone: queued] }
            #expect(isCounted, "\(sender.statistics.losses)")
            context.close()
        }

        // MARK: 28/REQREP

        @Test(
            "REQ passes over answers of others than the one it asked, and answers without an envelope",
            arguments: Setup.engines)
        func strangers(setup: Setup) throws {
            let context = try setup.context()
            let request = try RequestSocket(context, .test)
            let endpoint = try request.bind(setup.wildcard)
            let asked = try RawPeer(endpoint)
            try asked.shakeHands(as: "REP")
            try request.awaitPeers(1, in: context)
            try request.send("question")
            #expect(try asked.receive(3 + 9) == [1, 0, 0, 8] + Array("question".utf8).prefix(8))
            let stranger = try RawPeer(endpoint)
            try stranger.shakeHands(as: "REP")
            try stranger.send([1, 0] + RawPeer.frame(Array("wrong".utf8)))
            let isThere = context.eventually { request.statistics.messagesToTake == 1 }
            #expect(isThere)
            try asked.send(RawPeer.frame(Array("bare".utf8)) + [1, 0] + RawPeer.frame(Array("right".utf8)))
            #expect(try request.receive() == "right")
            #expect(request.statistics.losses == [.unexpected: 2])
            context.close()
        }

        @Test("REP keeps the whole envelope of a request and puts it before the answer", arguments: Setup.engines)
        func envelope(setup: Setup) throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let raw = try RawPeer(reply.bind(setup.wildcard))
            try raw.shakeHands(as: "DEALER")
            let envelope: [UInt8] = [1, 1, 0x41, 1, 2, 0x42, 0x43, 1, 0]
            try raw.send(envelope + [1, 1, 7, 1, 0, 0, 1, 8])
            #expect(try reply.receive() == [[7], [], [8]])
            try reply.send([[9], [10]])
            #expect(try raw.receive(envelope.count + 6) == envelope + [1, 1, 9, 0, 1, 10])
            context.close()
        }

        // MARK: 29/PUBSUB

        @Test(
            "Who subscribes after a message does not get it; it is counted, and the ready barrier ends that",
            arguments: Setup.all)
        func slowJoiner(setup: Setup) throws {
            let context = try setup.context()
            let publisher = try PublishSocket(context, .test)
            let endpoint = try publisher.bind(setup.wildcard)
            try publisher.send("t early")
            let subscriber = try SubscribeSocket(context, .test, topics: ["t"])
            try subscriber.connect(endpoint)
            try publisher.subscribers(atLeast: 1, to: "t")
            try publisher.send("t first")
            #expect(try subscriber.receive() == "t first")
            #expect(publisher.statistics.losses == [.notSubscribed: 1])
            context.close()
        }

        @Test("PUB drops what a subscriber's user sends, and goes on", arguments: Setup.engines)
        func deafPublisher(setup: Setup) throws {
            let context = try setup.context()
            let publisher = try PublishSocket(context, .test)
            let raw = try RawPeer(publisher.bind(setup.wildcard))
            try raw.shakeHands(as: "XSUB")
            try raw.send(
                [1, 1, 5, 0, 2, 6, 7] + RawPeer.frame([UInt8](repeating: 5, count: 300)) + [0, 2, 1, 0x74])
            try publisher.subscribers(atLeast: 1, to: "t")
            try publisher.send("t")
            #expect(try raw.receive(3) == [0, 1, 0x74])
            #expect(!(publisher as Any is any ReceivingSocket))
            context.close()
        }

        @Test(
            "A message of XSUB's user goes to every publisher; one at its mark loses it, and no send waits",
            arguments: Setup.engines)
        func upstream(setup: Setup) throws {
            let context = try setup.context()
            let xsub = try XSubscribeSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 2
                    $0.kernelSendBuffer = 4096
                    $0.linger = .zero
                })
            let endpoint = try xsub.bind(setup.wildcard)
            let stuck = try RawPeer(endpoint)
            try stuck.shakeHands(as: "XPUB")
            let publishers = try (0..<2).map { _ in try XPublishSocket(context, .test) }
            for publisher in publishers { try publisher.connect(endpoint) }
            try xsub.awaitPeers(3, in: context)
            try xsub.send("hello")
            for publisher in publishers { #expect(try publisher.receive() == "hello") }
            #expect(try stuck.receiveFrame().body == Array("hello".utf8))
            let body = [UInt8](repeating: 5, count: 3_000_000)
            for _ in 0..<10 { try xsub.send(body, until: .distantPast) }
            #expect(xsub.statistics.losses[.mark, default: 0] > 0)
            context.close()
        }

        // MARK: 37/ZMTP, Error Handling

        @Test(
            "After an ERROR in the handshake nobody connects again; after a mere end one does",
            arguments: Setup.engines)
        func refusal(setup: Setup) throws {
            let context = try setup.context()
            let port = try RawPeer.freePort()
            let server = try RawServer(port: port)
            let push = try PushSocket(context, .test)
            let monitor = push.monitor()
            try push.connect("tcp://127.0.0.1:\(port)")
            do {
                let first = try server.accept()
                _ = try first.receive(10)
            }
            let second = try server.accept()
            try second.send(
                RawPeer.greeting + RawPeer.frame([5] + Array("ERROR".utf8) + [2, 0x6E, 0x6F], flags: 4))
            try context.await(monitor, "refusal") { if case .handshakeFailed = $0 { true } else { false } }
            // The endpoint is closed: no further attempt can come.
            let end = try context.await(monitor, "end") {
                switch $0 {
                case .connectRetried, .closed: true
                default: false
                }
            }
            #expect(end.kind == .closed)
            context.close()
        }
    }

}

extension SocketType {
    /// A socket with the options of tests, changed, which gives up at once when it is closed.
    fileprivate func make(_ context: Context, _ change: (inout SocketOptions) -> Void) throws -> Socket {
        try make(
            context,
            .test {
                $0.linger = .zero
                change(&$0)
            })
    }

    /// The simplest type to talk to.
    fileprivate var partner: SocketType {
        if isCompatible(with: self), self != .router { return self }
        return SocketType.allCases.first { isCompatible(with: $0) }!
    }
}

extension Socket {
    /// Sends a text: behind a delimiter if it is a request of a DEALER to a REP, to a number if the type has numbers.
    fileprivate func put(
        _ text: String, to number: UInt32? = nil, isRequest: Bool = false, until deadline: Deadline? = nil
    ) throws {
        switch self {
        case let socket as any RoutedSocket: try socket.send(text, to: number!, until: deadline)
        case let socket as any SharedSendingSocket: try socket.send(text, until: deadline)
        case let socket as any SendingSocket:
            try socket.send(isRequest ? ["", Frame(text)] : Message(text), until: deadline)
        default: preconditionFailure("\(type) does not send texts")
        }
    }

    fileprivate func tryPut(_ text: String, to number: UInt32? = nil) throws -> SendResult {
        switch self {
        case let socket as any RoutedSocket: try socket.trySend(Message(text), to: number!)
        case let socket as any SharedSendingSocket: try socket.trySend(Message(text))
        case let socket as any SendingSocket: try socket.trySend(Message(text))
        default: preconditionFailure("\(type) does not send texts")
        }
    }

    /// The last frame of the next message.
    fileprivate func take() throws -> String {
        switch self {
        case let socket as any RoutedSocket: try socket.receive().message.string
        case let socket as any SharedReceivingSocket: try socket.receive().string
        case let socket as any ReceivingSocket: try socket.receive().last!.string
        default: preconditionFailure("\(type) does not receive texts")
        }
    }
}
