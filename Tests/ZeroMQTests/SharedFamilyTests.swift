import Proactor
import Testing
import ZMTP
import ZeroMQ

extension Sockets {
    /// CLIENT, SERVER, SCATTER, GATHER, CHANNEL, PEER: libzmq has them as drafts only, so they meet each other here, and
    /// raw bytes; `TypePairTests` has every pair of them.
    @Suite("Single-part sockets") struct SharedFamilyTests {
        @Test("SERVER answers the CLIENT that asked, by its number", arguments: Setup.all)
        func clientServer(setup: Setup) throws {
            let context = try setup.context()
            let server = try ServerSocket(context, .test)
            let endpoint = try server.bind(setup.wildcard)
            let clients = try (0..<3).map { _ in try ClientSocket(context, .test) }
            for client in clients { try client.connect(endpoint) }
            for round in 0..<50 {
                for (index, client) in clients.enumerated() { try client.send("\(index) \(round)") }
                var numbers: Set<UInt32> = []
                for _ in clients {
                    let request = try server.receive()
                    #expect(request.routingID != 0)
                    numbers.insert(request.routingID)
                    try server.send(Message("re \(request.message.string)"), to: request.routingID)
                }
                #expect(numbers.count == clients.count)
                for (index, client) in clients.enumerated() {
                    #expect(try client.receive().string == "re \(index) \(round)")
                }
            }
            context.close()
        }

        @Test(
            "SERVER tells at once that nobody has a number, and waits for a client at its mark",
            arguments: Setup.all)
        func noRoute(setup: Setup) throws {
            let context = try setup.context()
            let server = try ServerSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 2; $0.linger = .zero
                })
            let client = try ClientSocket(
                context,
                .test {
                    $0.receiveHighWaterMark = 2; $0.kernelReceiveBuffer = 4096
                })
            #expect(try server.trySend("x", to: 7) == .noRoute)
            expectError(.noRoute) { try server.send("x", to: 7) }
            try client.connect(server.bind(setup.wildcard))
            try client.send("hello")
            let number = try server.receive().routingID
            let body = Message([UInt8](repeating: 1, count: 500_000))
            // What the kernels hold is taken as well: full is what stays full.
            var sent = 0
            do {
                while true {
                    try server.send(body, to: number, until: .after(.milliseconds(100)))
                    sent += 1
                }
            } catch {
                #expect(error.code == .timedOut)
            }
            #expect(sent >= 2)
            for _ in 0..<sent { #expect(try client.receive() == body) }
            try server.send("after", to: number)
            #expect(try client.receive().string == "after")
            client.close()
            let hasGone = try context.eventually { try server.trySend("x", to: number) == .noRoute }
            #expect(hasGone)
            context.close()
        }

        @Test("A send that waits for a client learns that it has gone", arguments: Setup.background)
        func goneWhileWaiting(setup: Setup) throws {
            let context = try setup.context()
            let server = try ServerSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 1; $0.linger = .zero; $0.kernelSendBuffer = 4096
                })
            let client = try ClientSocket(context, .test { $0.receiveHighWaterMark = 1 })
            try client.connect(server.bind(setup.wildcard))
            try client.send("hello")
            let number = try server.receive().routingID
            let body = Message([UInt8](repeating: 1, count: 3_000_000))
            while try server.trySend(body, to: number) == .sent {}
            let waiting = Worker { expectError(.noRoute) { while true { try server.send(body, to: number) } } }
            client.close()
            #expect(waiting.join())
            context.close()
        }

        @Test("SCATTER deals to the GATHERs in turn, and keeps what nobody has room for", arguments: Setup.all)
        func scatterGather(setup: Setup) throws {
            let context = try setup.context()
            let scatter = try ScatterSocket(context, .test)
            let gathers = try (0..<3).map { _ in try GatherSocket(context, .test) }
            let endpoint = try scatter.bind(setup.wildcard)
            for gather in gathers { try gather.connect(endpoint) }
            try scatter.awaitPeers(3, in: context)
            for number in 0..<300 { try scatter.send("\(number)") }
            var seen: Set<String> = []
            for gather in gathers { for _ in 0..<100 { seen.insert(try gather.receive().string) } }
            #expect(seen.count == 300)
            context.close()
        }

        @Test("An unconnected SCATTER takes exactly its mark", arguments: Setup.tcp)
        func mark(setup: Setup) throws {
            let context = try setup.context()
            let scatter = try ScatterSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 5; $0.linger = .zero
                })
            try scatter.connect("tcp://127.0.0.1:\(RawPeer.freePort())")
            for _ in 0..<5 { #expect(try scatter.trySend("x") == .sent) }
            #expect(try scatter.trySend("x") == .full)
            expectError(.timedOut) { try scatter.send("x", until: .after(.milliseconds(10))) }
            context.close()
        }

        @Test("CHANNEL talks with one peer and refuses a second", arguments: Setup.all)
        func channel(setup: Setup) throws {
            let context = try setup.context()
            let one = try ChannelSocket(context, .test)
            let two = try ChannelSocket(context, .test)
            let late = try ChannelSocket(context, .test)
            let endpoint = try one.bind(setup.wildcard)
            let refused = (setup.wire == .inproc ? late : one).monitor()
            try two.connect(endpoint)
            for number in 0..<100 {
                try two.send("to one \(number)")
                #expect(try one.receive().string == "to one \(number)")
                try one.send([1, 2, UInt8(number)])
                #expect(try two.receive().bytes == [1, 2, UInt8(number)])
            }
            try late.connect(endpoint)
            try context.await(refused, "refusal") { if case .peerRefused = $0 { true } else { false } }
            try one.send("still")
            #expect(try two.receive().string == "still")
            context.close(timeout: .milliseconds(200))
        }

        @Test(
            "PEER: connect tells a number that works at once, and each side names the other", arguments: Setup.all)
        func peers(setup: Setup) throws {
            let context = try setup.context()
            let one = try PeerSocket(context, .test)
            let two = try PeerSocket(context, .test)
            let endpoint = try setup.reserve()
            // Nobody is there yet: it waits in the queue.
            let number = try two.connect(to: endpoint)
            #expect(number != 0)
            try two.send("early", to: number)
            try one.bind(endpoint)
            let first = try one.receive()
            #expect(first.message.string == "early")
            try one.send("answer", to: first.routingID)
            let answer = try two.receive()
            #expect(answer.message.string == "answer" && answer.routingID == number)
            let third = try PeerSocket(context, .test)
            let other = try third.connect(to: endpoint)
            try third.send("third", to: other)
            let second = try one.receive()
            #expect(second.message.string == "third" && second.routingID != first.routingID)
            try two.disconnect(endpoint)
            let isUnknown = try context.eventually { try two.trySend("x", to: number) == .noRoute }
            #expect(isUnknown)
            context.close()
        }

        @Test("PEER keeps its number over a reconnect", arguments: Setup.engines)
        func numberStays(setup: Setup) throws {
            let context = try setup.context()
            let one = try PeerSocket(context, .test)
            let port = try RawPeer.freePort()
            let number = try one.connect(to: "tcp://127.0.0.1:\(port)")
            for round in 0..<3 {
                let server = try RawServer(port: port)
                let raw = try server.accept()
                try raw.shakeHands(as: "PEER")
                try raw.send(RawPeer.frame([UInt8(round)]))
                let message = try one.receive()
                #expect(message.routingID == number && message.message.bytes == [UInt8(round)])
                try one.send("re", to: number)
                #expect(try raw.receiveFrame().body == Array("re".utf8))
            }
            context.close(timeout: .milliseconds(100))
        }

        @Test(
            "A message of several frames cannot be sent, and one that comes is passed over",
            arguments: Setup.engines)
        func multipart(setup: Setup) throws {
            let context = try setup.context()
            let server = try ServerSocket(context, .test)
            let gather = try GatherSocket(context, .test)
            let channel = try ChannelSocket(context, .test)
            let scatter = try ScatterSocket(context, .test)
            expectError(.invalidMessage) { try scatter.send(["a", "b"]) }
            expectError(.invalidMessage) { _ = try scatter.trySend(["a", "b"]) }
            expectError(.invalidMessage) { try server.send(["a", "b"], to: 1) }
            let parts = RawPeer.frame([1], flags: 1) + RawPeer.frame([], flags: 1) + RawPeer.frame([3])
            let good = RawPeer.frame(Array("good".utf8))
            for (endpoint, type) in [
                (try server.bind(setup.wildcard), "CLIENT"), (try gather.bind(setup.wildcard), "SCATTER"),
                (try channel.bind(setup.wildcard), "CHANNEL"),
            ] {
                let raw = try RawPeer(endpoint)
                try raw.shakeHands(as: type)
                try raw.send(parts + parts + good)
                switch type {
                case "CLIENT": #expect(try server.receive().message.string == "good")
                case "SCATTER": #expect(try gather.receive().string == "good")
                default: #expect(try channel.receive().string == "good")
                }
            }
            for socket in [server, gather, channel] as [Socket] {
                #expect(socket.statistics.losses == [.multipart: 2])
            }
            context.close()
        }
    }
}
