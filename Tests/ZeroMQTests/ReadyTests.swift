import Proactor
import Testing
import ZMTP
import ZeroMQ

extension Sockets {
    @Suite("Waiting until peers are ready") struct ReadyTests {
        @Test("After ready, a message that may not wait finds its peers", arguments: Setup.all)
        func exact(setup: Setup) throws {
            let context = try setup.context()
            for _ in 0..<10 {
                let router = try RouterSocket(context, .test { $0.isRouterMandatory = true })
                let endpoint = try router.bind(setup.wildcard)
                let dealers = try (0..<3).map { index in
                    try DealerSocket(context, .test { $0.routingID = Frame("d\(index)") })
                }
                for dealer in dealers { try dealer.connect(endpoint) }
                try router.ready(peers: 3, until: .after(.seconds(10)))
                for index in 0..<3 { #expect(try router.trySend([Frame("d\(index)"), "x"]) == .sent) }
                for dealer in dealers {
                    try dealer.ready(until: .after(.seconds(10)))
                    #expect(try dealer.receive().string == "x")
                    dealer.close()
                }
                router.close()
                // The next round takes the name again.
                let isFree = try context.eventually {
                    let probe = try PullSocket(context, .test)
                    defer { probe.close() }
                    do { try probe.bind(setup.wire == .tcp ? "inproc://free" : setup.wildcard) } catch {
                        return false
                    }
                    return true
                }
                #expect(isFree)
            }
            context.close()
        }

        @Test("It waits for as many as were asked for, by thread or by task", arguments: Setup.background)
        func waits(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let endpoint = try pull.bind(setup.wildcard)
            expectError(.timedOut) { try pull.ready(until: .after(.milliseconds(10))) }
            do {
                try await pull.ready(peers: 1, until: .after(.milliseconds(10)))
                Issue.record("nobody is there")
            } catch { #expect(error.code == .timedOut) }
            let counts = Shared(0)
            let thread = Worker {
                try? pull.ready(peers: 2)
                counts.value = pull.statistics.peers.count
            }
            let task = Task {
                try await pull.ready(peers: 2)
                return pull.statistics.peers.count
            }
            let never = Task { try await pull.ready(peers: 3) }
            let pushes = try (0..<2).map { _ in try PushSocket(context, .test) }
            for push in pushes { try push.connect(endpoint) }
            #expect(try await task.value == 2)
            #expect(thread.join() && counts.value == 2)
            never.cancel()
            let outcome = await never.result
            #expect(throws: ZeroMQError.self) { try outcome.get() }
            try await pull.ready(peers: 0)
            let closing = Task { try await pull.ready(peers: 9) }
            await Task.yield()
            pull.close()
            switch await closing.result {
            case .success: Issue.record("it is closed")
            case .failure(let error): #expect((error as? ZeroMQError)?.code == .socketClosed)
            }
            context.close()
        }

        @Test(
            "A peer counts when it has answered a PING, an old one when its handshake is done",
            arguments: Setup.engines)
        func raw(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let raw = try RawPeer(pull.bind(setup.wildcard))
            try raw.shakeHands(as: "PUSH")
            expectError(.timedOut) { try pull.ready(until: .after(.milliseconds(20))) }
            #expect(try raw.receiveFrame().body == [4] + Array("PING".utf8) + [0, 0] + Array("ready".utf8))
            try raw.send(RawPeer.frame([4] + Array("PONG".utf8) + Array("other".utf8), flags: 4))
            expectError(.timedOut) { try pull.ready(until: .after(.milliseconds(20))) }
            try raw.send(RawPeer.frame([4] + Array("PONG".utf8) + Array("ready".utf8), flags: 4))
            try pull.ready(until: .after(.seconds(10)))
            // ZMTP 2.0: no commands.
            let old = try RawPeer(pull.lastEndpoint)
            try old.send([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 1, 8, 0, 0])
            try pull.ready(peers: 2, until: .after(.seconds(10)))
            context.close()
        }

        @Test("Every pattern has it", arguments: Setup.background)
        func everyPattern(setup: Setup) throws {
            let context = try setup.context()
            let pairs: [(Socket, Socket)] = [
                (try PushSocket(context, .test), try PullSocket(context, .test)),
                (try PairSocket(context, .test), try PairSocket(context, .test)),
                (try RequestSocket(context, .test), try ReplySocket(context, .test)),
                (try DealerSocket(context, .test), try RouterSocket(context, .test)),
                (try ClientSocket(context, .test), try ServerSocket(context, .test)),
                (try ScatterSocket(context, .test), try GatherSocket(context, .test)),
                (try ChannelSocket(context, .test), try ChannelSocket(context, .test)),
                (try PeerSocket(context, .test), try PeerSocket(context, .test)),
                (try RadioSocket(context, .test), try DishSocket(context, .test)),
            ]
            for (index, pair) in pairs.enumerated() {
                let endpoint = try pair.0.bind(setup.wire == .inproc ? "inproc://\(index)" : setup.wildcard)
                try pair.1.connect(endpoint)
                try pair.0.ready(until: .after(.seconds(10)))
                try pair.1.ready(until: .after(.seconds(10)))
            }
            context.close()
        }
    }
}
