import Proactor
import Testing
import ZMTP
import ZeroMQ

extension Sockets {
    /// Octet by octet, with peers of 3.1 and of the version before.
    @Suite("Subscriptions on the wire", .timeLimit(.minutes(1))) struct SubscriptionWire {
        /// 23/ZMTP: minor 0.
        private static let oldGreeting: [UInt8] = RawPeer.greeting[..<11] + [0] + RawPeer.greeting[12...]

        private static func shakeHands(_ peer: RawPeer, _ type: String, old: Bool) throws {
            try peer.send(old ? oldGreeting : RawPeer.greeting)
            _ = try peer.receive(64)
            try peer.send(RawPeer.ready(type))
            _ = try peer.receiveFrame()
        }

        private static func command(_ name: String, _ topic: [UInt8]) -> [UInt8] {
            [UInt8(name.utf8.count)] + Array(name.utf8) + topic
        }

        private static let topics: [[UInt8]] = [0, 1, 245, 246, 247, 255, 256, 1000].map {
            [UInt8](repeating: 65, count: $0)
        }

        @Test(
            "SUB tells a publisher by commands from 3.1 on, by messages before", arguments: Setup.engines,
            [false, true])
        func told(setup: Setup, old: Bool) throws {
            let context = try setup.context()
            defer { context.close() }
            let port = try RawPeer.freePort()
            let server = try RawServer(port: port)
            let socket = try SubscribeSocket(context, .test)
            try socket.connect("tcp://127.0.0.1:\(port)")
            let peer = try server.accept()
            try Self.shakeHands(peer, "PUB", old: old)
            try socket.awaitPeers(1, in: context)
            for topic in Self.topics {
                // The counterpart only once the first has arrived: before the connection looks, they cancel out.
                socket.subscribe(Frame(topic))
                try Self.expect(.subscribe, topic, from: peer, old: old)
                // Told once: it is the socket that counts.
                socket.subscribe(Frame(topic))
                socket.cancel(Frame(topic))
                socket.cancel(Frame(topic))
                try Self.expect(.cancel, topic, from: peer, old: old)
            }
        }

        @Test(
            "SUB and XSUB tell publishers of ZMTP 1.0 and 2.0 by messages in their framing, as libzmq 4.3.4 does",
            arguments: Setup.engines, [SocketType.sub, .xsub])
        func toldOld(setup: Setup, type: SocketType) throws {
            let context = try setup.context()
            defer { context.close() }
            let signature: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F]
            for (opening, ours, subscribe, cancel) in [
                // 13/ZMTP: an anonymous peer; the signature is the head of our identity frame.
                ([1, 0], [], [3, 0, 1, 65], [3, 0, 0, 65]),
                // 15/ZMTP: PUB; then our revision, SUB, no identity.
                (signature + [1, 1, 0, 0], [3, 2, 0, 0], [0, 2, 1, 65], [0, 2, 0, 65]),
            ] as [([UInt8], [UInt8], [UInt8], [UInt8])] {
                let port = try RawPeer.freePort()
                let server = try RawServer(port: port)
                let socket = try type.make(context)
                (socket as? SubscribeSocket)?.subscribe("A")
                (socket as? XSubscribeSocket)?.subscribe("A")
                try socket.connect("tcp://127.0.0.1:\(port)")
                let raw = try server.accept()
                try raw.send(opening)
                let wanted = signature + ours + subscribe
                #expect(try raw.receive(wanted.count) == wanted)
                (socket as? SubscribeSocket)?.cancel("A")
                (socket as? XSubscribeSocket)?.cancel("A")
                #expect(try raw.receive(4) == cancel)
                socket.close()
            }
        }

        private static func expect(_ change: Subscription, _ topic: [UInt8], from peer: RawPeer, old: Bool) throws {
            let frame = try peer.receiveFrame()
            let isOn = change == .subscribe
            #expect(frame.flags & 4 == (old ? 0 : 4))
            #expect(frame.body == (old ? [isOn ? 1 : 0] + topic : command(isOn ? "SUBSCRIBE" : "CANCEL", topic)))
        }

        @Test("A publisher takes both forms from anybody", arguments: Setup.engines, [false, true])
        func taken(setup: Setup, old: Bool) throws {
            let context = try setup.context()
            defer { context.close() }
            let xpub = try XPublishSocket(context, .test)
            let peer = try RawPeer(try xpub.bind("tcp://127.0.0.1:*"))
            try Self.shakeHands(peer, "SUB", old: old)
            for topic in Self.topics {
                try peer.send(RawPeer.frame([1] + topic))
                #expect(try xpub.receive() == Message(Frame([1] + topic)))
                try peer.send(RawPeer.frame(Self.command("CANCEL", topic), flags: 4))
                #expect(try xpub.receive() == Message(Frame([0] + topic)))
                try peer.send(RawPeer.frame(Self.command("SUBSCRIBE", topic), flags: 4))
                #expect(try xpub.receive() == Message(Frame([1] + topic)))
                try peer.send(RawPeer.frame([0] + topic))
                #expect(try xpub.receive() == Message(Frame([0] + topic)))
            }
        }

        @Test(
            "A peer's subscriptions are a set, as libzmq's are: the second of the same is nothing, one CANCEL ends both",
            arguments: Setup.engines)
        func set(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let xpub = try XPublishSocket(context, .test)
            let peer = try RawPeer(try xpub.bind("tcp://127.0.0.1:*"))
            try Self.shakeHands(peer, "SUB", old: false)
            let subscribe = RawPeer.frame(Self.command("SUBSCRIBE", [65]), flags: 4)
            try peer.send(subscribe + subscribe + RawPeer.frame(Self.command("CANCEL", [65]), flags: 4))
            #expect(try xpub.receive() == [[1, 65]])
            #expect(try xpub.receive() == [[0, 65]])
            try xpub.send([65])
            #expect(xpub.statistics.losses == [.notSubscribed: 1])
        }

        @Test("A subscriber of ZMTP 1.0 gets everything, in its own framing", arguments: Setup.engines)
        func version1(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let peer = try RawPeer(try publisher.bind("tcp://127.0.0.1:*"))
            // 13/ZMTP: an anonymous peer.
            try peer.send([1, 0])
            _ = try peer.receive(10)
            try publisher.subscribers(atLeast: 1, to: "anything")
            for size in [0, 1, 253, 254, 255, 300, 70_000] {
                let body = [UInt8](repeating: 66, count: size)
                try publisher.send(Message(frames: ["t", Frame(body)]))
                #expect(try peer.receive(3) == [2, 1, 116])
                if size < 254 {
                    #expect(try peer.receive(2 + size) == [UInt8(size + 1), 0] + body)
                } else {
                    #expect(try peer.receive(1) == [255])
                    #expect(try peer.receive(8).reduce(0) { $0 << 8 | Int($1) } == size + 1)
                    #expect(try peer.receive(1 + size) == [0] + body)
                }
            }
        }

        @Test("A PING is answered between messages while a large one is on its way", arguments: Setup.engines)
        func ping(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test { $0.kernelSendBuffer = 4096 })
            let peer = try RawPeer(try publisher.bind("tcp://127.0.0.1:*"))
            try Self.shakeHands(peer, "SUB", old: false)
            try peer.send(RawPeer.frame(Self.command("SUBSCRIBE", []), flags: 4))
            try publisher.subscribers(atLeast: 1)
            let body = [UInt8](repeating: 1, count: 1 << 20)
            for _ in 0..<4 { try publisher.send(Message(body)) }
            try peer.send(RawPeer.ping([1, 2, 3]))
            var pongs = 0
            var messages = 0
            while messages < 4 || pongs < 1 {
                let frame = try peer.receiveFrame()
                if frame.flags & 4 != 0 {
                    #expect(frame.body == [4] + Array("PONG".utf8) + [1, 2, 3])
                    pongs += 1
                } else {
                    #expect(frame.body == body)
                    messages += 1
                }
            }
        }
    }
}
