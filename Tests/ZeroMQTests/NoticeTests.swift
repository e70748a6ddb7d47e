import Proactor
import Testing
import ZMTP
import ZeroMQ

extension Sockets {
    @Suite("Probe, hello, disconnect, hiccup, names at connect") struct NoticeTests {
        @Test("A probe tells a ROUTER of a peer before it has said anything", arguments: Setup.all)
        func probe(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let dealer = try DealerSocket(
                context,
                .test {
                    $0.probesRouter = true
                    $0.routingID = "d"
                })
            try dealer.connect(router.bind(setup.wildcard))
            #expect(try router.receive() == ["d", []])
            try router.send(["d", "welcome"])
            #expect(try dealer.receive().string == "welcome")
            try dealer.send("first")
            #expect(try router.receive() == ["d", "first"])
            context.close()
        }

        @Test("The hello comes first, on connections made and accepted", arguments: Setup.all)
        func hello(setup: Setup) throws {
            let context = try setup.context()
            let server = try ServerSocket(context, .test { $0.helloMessage = "from the server" })
            let client = try ClientSocket(context, .test { $0.helloMessage = "from the client" })
            let endpoint = try setup.reserve()
            // What waits for the connection comes behind it.
            try client.connect(endpoint)
            try client.send("first")
            try server.bind(endpoint)
            #expect(try server.receive().message.string == "from the client")
            #expect(try client.receive().string == "from the server")
            #expect(try server.receive().message.string == "first")
            context.close()
        }

        @Test("The hello is said again on each new connection", arguments: Setup.engines)
        func helloAgain(setup: Setup) throws {
            let context = try setup.context()
            let port = try RawPeer.freePort()
            let dealer = try DealerSocket(context, .test { $0.helloMessage = "hello" })
            try dealer.connect("tcp://127.0.0.1:\(port)")
            for _ in 0..<3 {
                let raw = try RawServer(port: port).accept()
                try raw.shakeHands(as: "ROUTER")
                #expect(try raw.receive(7) == [0, 5] + Array("hello".utf8))
            }
            context.close(timeout: .milliseconds(100))
        }

        @Test("A ROUTER hears of peers that come and go, before and behind their messages", arguments: Setup.all)
        func notifications(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.routerNotifications = [.connect, .disconnect] })
            let endpoint = try router.bind(setup.wildcard)
            for round in 0..<3 {
                let dealer = try DealerSocket(context, .test { $0.routingID = "d" })
                try dealer.connect(endpoint)
                #expect(try router.receive() == ["d", []])
                try dealer.ready(until: .after(.seconds(10)))
                for number in 0..<5 { try dealer.send("\(round) \(number)") }
                dealer.close()
                for number in 0..<5 { #expect(try router.receive() == ["d", Frame("\(round) \(number)")]) }
                #expect(try router.receive() == ["d", []])
            }
            #expect(try router.tryReceive() == nil)
            context.close()
        }

        @Test("Only what was asked for is told, and nothing of our own doing", arguments: Setup.engines)
        func selective(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.routerNotifications = .disconnect })
            let endpoint = try router.bind(setup.wildcard)
            let dealer = try DealerSocket(context, .test { $0.routingID = "d" })
            try dealer.connect(endpoint)
            try dealer.send("x")
            #expect(try router.receive() == ["d", "x"])
            try router.unbind(endpoint)
            try router.awaitPeers(0, in: context)
            #expect(try router.tryReceive() == nil)
            context.close()
        }

        @Test("A disconnect message closes the story of an accepted peer", arguments: Setup.all)
        func disconnect(setup: Setup) throws {
            let context = try setup.context()
            let server = try ServerSocket(context, .test { $0.disconnectMessage = "bye" })
            let client = try ClientSocket(context, .test)
            try client.connect(server.bind(setup.wildcard))
            try client.send("hello")
            let hello = try server.receive()
            client.close()
            let bye = try server.receive()
            #expect(bye == RoutedMessage(routingID: hello.routingID, message: "bye"))
            context.close()
        }

        @Test(
            "Half a message of a peer that is lost is not delivered, the disconnect message is",
            arguments: Setup.engines)
        func halfMessage(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.disconnectMessage = "bye" })
            var raw: RawPeer? = try RawPeer(router.bind(setup.wildcard))
            try raw?.shakeHands(as: "DEALER", identity: "raw")
            try raw?.send(RawPeer.frame([1]) + RawPeer.frame([2], flags: 1) + [0, 9, 1, 2])
            #expect(try router.receive() == ["raw", [1]])
            raw = nil
            #expect(try router.receive() == ["raw", "bye"])
            #expect(router.statistics.losses == [.cutShort: 1])
            context.close()
        }

        @Test("A hiccup message tells of a connection that is being made again", arguments: Setup.engines)
        func hiccup(setup: Setup) throws {
            let context = try setup.context()
            let client = try ClientSocket(context, .test { $0.hiccupMessage = "hiccup" })
            let port = try RawPeer.freePort()
            try client.connect("tcp://127.0.0.1:\(port)")
            for _ in 0..<2 {
                do {
                    let raw = try RawServer(port: port).accept()
                    try raw.shakeHands(as: "SERVER")
                    try raw.send(RawPeer.frame(Array("there".utf8)))
                    #expect(try client.receive().string == "there")
                }
                #expect(try client.receive().string == "hiccup")
            }
            context.close(timeout: .milliseconds(100))
        }

        @Test("A ROUTER names the peer it connects to, and can send there at once", arguments: Setup.all)
        func connectRoutingID(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.isRouterMandatory = true })
            let endpoint = try setup.reserve()
            try router.connect(endpoint, as: "east")
            expectError(.invalidOption) { try router.connect(endpoint, as: "east") }
            expectError(.invalidOption) { try router.connect(endpoint, as: "") }
            expectError(.invalidOption) { try router.connect(endpoint, as: [0, 1]) }
            try router.send(["east", "early"])
            let dealer = try DealerSocket(context, .test { $0.routingID = "own name" })
            try dealer.bind(endpoint)
            #expect(try dealer.receive().string == "early")
            try dealer.send("answer")
            #expect(try router.receive() == ["east", "answer"])
            #expect(try router.trySend(["own name", "x"]) == .noRoute)
            try router.disconnect(endpoint)
            let isUnknown = try context.eventually { try router.trySend(["east", "x"]) == .noRoute }
            #expect(isUnknown)
            context.close()
        }

        @Test("Options are refused where the type has no use for them", arguments: [Setup(engine: .epoll)])
        func refused(setup: Setup) throws {
            let context = try setup.context(loops: 2)
            expectError(.invalidOption) { _ = try PullSocket(context, .test { $0.probesRouter = true }) }
            expectError(.invalidOption) { _ = try PushSocket(context, .test { $0.helloMessage = "x" }) }
            expectError(.invalidOption) { _ = try DealerSocket(context, .test { $0.disconnectMessage = "x" }) }
            expectError(.invalidOption) { _ = try RouterSocket(context, .test { $0.hiccupMessage = "x" }) }
            expectError(.invalidOption) {
                _ = try DealerSocket(context, .test { $0.routerNotifications = .connect })
            }
            expectError(.invalidOption) { _ = try DealerSocket(context, .test { $0.isRouterRaw = true }) }
            expectError(.invalidOption) { _ = try PeerSocket(context, .test { $0.isImmediate = true }) }
            expectError(.invalidOption) { _ = try PullSocket(context, .test { $0.affinity = 0b100 }) }
            _ = try PullSocket(context, .test { $0.affinity = 0b110 })
            context.close()
        }
    }
}
