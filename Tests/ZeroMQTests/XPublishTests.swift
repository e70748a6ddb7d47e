import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("XPUB and XSUB", .timeLimit(.minutes(2))) struct XPublish {
        private static func subscribe(_ topic: String) -> Message { Message(Frame([1] + Array(topic.utf8))) }
        private static func cancel(_ topic: String) -> Message { Message(Frame([0] + Array(topic.utf8))) }

        /// An XPUB with two subscribers that have no subscriptions yet.
        private struct Bench {
            let context: Context
            let xpub: XPublishSocket
            let a: XSubscribeSocket
            let b: XSubscribeSocket

            init(_ setup: Setup, _ change: (inout SocketOptions) -> Void = { _ in }) throws {
                context = try setup.context()
                xpub = try XPublishSocket(context, .test(change))
                let endpoint = try xpub.bind(setup.wildcard)
                a = try XSubscribeSocket(context, .test)
                b = try XSubscribeSocket(context, .test)
                for socket in [a, b] {
                    try socket.connect(endpoint)
                    try socket.ready(until: .after(.seconds(10)))
                }
            }

            func change(_ socket: XSubscribeSocket, _ message: Message) throws {
                try socket.send(message)
                try socket.ready(until: .after(.seconds(10)))
            }

            func reports(_ wanted: [Message], sourceLocation: SourceLocation = #_sourceLocation) throws {
                for message in wanted {
                    #expect(try xpub.receive() == message, sourceLocation: sourceLocation)
                }
                #expect(try xpub.tryReceive() == nil, sourceLocation: sourceLocation)
            }
        }

        @Test("XPUB hears of the first subscription and of the last cancellation", arguments: Setup.all)
        func edges(setup: Setup) throws {
            let bench = try Bench(setup)
            defer { bench.context.close() }
            for socket in [bench.a, bench.b, bench.a] { try bench.change(socket, Self.subscribe("t")) }
            try bench.change(bench.b, Self.subscribe("other"))
            try bench.reports([Self.subscribe("t"), Self.subscribe("other")])
            try bench.change(bench.a, Self.cancel("t"))
            try bench.change(bench.a, Self.cancel("t"))
            try bench.change(bench.a, Self.cancel("never"))
            try bench.reports([])
            try bench.change(bench.b, Self.cancel("t"))
            try bench.reports([Self.cancel("t")])
            // Whoever goes has cancelled.
            bench.b.close()
            #expect(try bench.xpub.receive() == Self.cancel("other"))
        }

        @Test("What XPUB's user was told is in force: an answer sent at once arrives", arguments: Setup.all)
        func inForce(setup: Setup) throws {
            let bench = try Bench(setup)
            defer { bench.context.close() }
            for round in 0..<300 {
                bench.a.subscribe("t")
                #expect(try bench.xpub.receive() == Self.subscribe("t"))
                try bench.xpub.send("t \(round)")
                try #require(try bench.a.receive().string == "t \(round)")
                bench.a.cancel("t")
                #expect(try bench.xpub.receive() == Self.cancel("t"))
                try bench.xpub.send("t after")
                try #require(bench.xpub.statistics.losses == [.notSubscribed: round + 1])
            }
        }

        @Test("Verbose shows every subscription, verboser every cancellation too", arguments: Setup.engines)
        func verbose(setup: Setup) throws {
            for isVerboser in [false, true] {
                let bench = try Bench(setup) {
                    $0.isVerbose = true
                    $0.isVerboser = isVerboser
                }
                defer { bench.context.close() }
                for socket in [bench.a, bench.b, bench.a] { try bench.change(socket, Self.subscribe("t")) }
                try bench.reports([Message](repeating: Self.subscribe("t"), count: 3))
                for socket in [bench.a, bench.a, bench.b] { try bench.change(socket, Self.cancel("t")) }
                try bench.reports([Message](repeating: Self.cancel("t"), count: isVerboser ? 2 : 1))
            }
        }

        @Test("Messages of XSUB's user reach XPUB beside subscriptions", arguments: Setup.all)
        func upstream(setup: Setup) throws {
            let bench = try Bench(setup)
            defer { bench.context.close() }
            let messages: [Message] = [
                ["hello"], ["two", "parts"], Message(Frame([UInt8](repeating: 5, count: 100_000))), [""],
            ]
            for message in messages { try bench.a.send(message) }
            for message in messages { #expect(try bench.xpub.receive() == message) }
            try bench.change(bench.a, Self.subscribe("t"))
            try bench.reports([Self.subscribe("t")])
        }

        @Test("In manual mode the user decides what a peer is subscribed to", arguments: Setup.all)
        func manual(setup: Setup) throws {
            let bench = try Bench(setup) { $0.isManual = true }
            defer { bench.context.close() }
            try bench.change(bench.a, Self.subscribe("wish"))
            try bench.change(bench.b, Self.subscribe("wish"))
            #expect(try bench.xpub.receive() == Self.subscribe("wish"))
            try bench.xpub.admit("granted")
            #expect(try bench.xpub.receive() == Self.subscribe("wish"))
            try bench.xpub.send("wish 1")
            try bench.xpub.send("granted 1")
            #expect(try bench.a.receive() == "granted 1")
            try bench.change(bench.a, Self.cancel("wish"))
            #expect(try bench.xpub.receive() == Self.cancel("wish"))
            try bench.xpub.send("granted 2")
            try bench.xpub.dismiss("granted")
            try bench.xpub.send("granted 3")
            #expect(try bench.a.receive() == "granted 2")
            bench.b.close()
            #expect(try bench.xpub.receive() == Self.cancel("wish"))
            #expect(try bench.a.tryReceive() == nil)
        }

        @Test("With the last value a newcomer alone gets the next message", arguments: Setup.all)
        func lastValue(setup: Setup) throws {
            let bench = try Bench(setup) {
                $0.isManual = true
                $0.isManualLastValue = true
            }
            defer { bench.context.close() }
            for (number, socket) in [bench.a, bench.b].enumerated() {
                try bench.change(socket, Self.subscribe("t"))
                #expect(try bench.xpub.receive() == Self.subscribe("t"))
                try bench.xpub.admit("t")
                try bench.xpub.send("t last \(number)")
            }
            try bench.xpub.send("t to all")
            #expect(try bench.a.receive() == "t last 0")
            #expect(try bench.a.receive() == "t to all")
            #expect(try bench.b.receive() == "t last 1")
            #expect(try bench.b.receive() == "t to all")
        }

        @Test("The welcome message comes before all others", arguments: Setup.all)
        func welcome(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let xpub = try XPublishSocket(context, .test { $0.welcomeMessage = ["welcome", "here"] })
            let socket = try SubscribeSocket(context, .test, topics: ["w", "t"])
            try socket.connect(try xpub.bind(setup.wildcard))
            try xpub.subscribers(atLeast: 1, to: "t")
            try xpub.send("t")
            #expect(try socket.receive() == ["welcome", "here"])
            #expect(try socket.receive() == "t")
        }

        @Test("With inverted matching a peer gets what it is not subscribed to", arguments: Setup.all)
        func inverted(setup: Setup) throws {
            let bench = try Bench(setup) { $0.isMatchingInverted = true }
            defer { bench.context.close() }
            try bench.change(bench.a, Self.subscribe("a"))
            for text in ["a1", "b1", "end"] { try bench.xpub.send(text) }
            #expect(try bench.a.receive() == "b1")
            #expect(try bench.a.receive() == "end")
            for text in ["a1", "b1", "end"] { #expect(try bench.b.receive() == Message(text)) }
        }

        @Test("Any frame of a message may be a subscription, unless only the first may", arguments: Setup.engines)
        func onlyFirst(setup: Setup) throws {
            for isOnlyFirst in [false, true] {
                let context = try setup.context()
                defer { context.close() }
                let xpub = try XPublishSocket(context, .test { $0.isOnlyFirstSubscribe = isOnlyFirst })
                let peer = try RawPeer(try xpub.bind("tcp://127.0.0.1:*"))
                try peer.shakeHands(as: "XSUB")
                try peer.send(RawPeer.frame(Array("user".utf8), flags: 1) + RawPeer.frame([1, 65]))
                try peer.send(RawPeer.frame([1, 66], flags: 1) + RawPeer.frame([1, 67]))
                let messages = try (0..<3).map { _ in try xpub.receive() }
                if isOnlyFirst {
                    #expect(Set(messages) == [["user", [1, 65]], [[1, 66]], [[1, 67]]])
                } else {
                    #expect(
                        Set(messages.filter { $0[0].bytes.first == 1 }) == [[[1, 65]], [[1, 66]], [[1, 67]]])
                }
            }
        }

        @Test("A forwarder passes subscriptions up and messages down", arguments: Setup.all)
        func forwarder(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let xsub = try XSubscribeSocket(context, .test)
            let xpub = try XPublishSocket(context, .test)
            let subscriber = try SubscribeSocket(context, .test, topics: ["a"])
            try xsub.connect(try publisher.bind(setup.wildcard))
            let name = setup.wire == .inproc ? "inproc://down" : setup.wildcard
            try subscriber.connect(try xpub.bind(name))
            try xsub.send(try xpub.receive())
            try xsub.ready(until: .after(.seconds(10)))
            for text in ["b1", "a1"] { try publisher.send(text) }
            try xpub.send(try xsub.receive())
            #expect(try subscriber.receive() == "a1")
            subscriber.cancel("a")
            try xsub.send(try xpub.receive())
            try xsub.ready(until: .after(.seconds(10)))
            try publisher.send("a2")
            #expect(publisher.statistics.losses[.notSubscribed] == 2)
        }

        @Test("An option that makes no sense is refused by name")
        func options() throws {
            let context = try Context(backend: .epoll)
            defer { context.close() }
            expectError(.invalidOption) {
                _ = try XPublishSocket(context, .test { $0.isManualLastValue = true })
            }
        }
    }
}
