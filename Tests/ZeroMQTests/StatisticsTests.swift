import Testing
import ZMTP
import ZeroMQ

extension Sockets {
    @Suite("Statistics") struct StatisticsTests {
        @Test("Queue lengths are exact at rest: messages and bytes", arguments: Setup.all)
        func queues(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            #expect(push.statistics.messagesToSend == 0 && pull.statistics.messagesToTake == 0)
            for _ in 0..<30 { try push.send([UInt8](repeating: 0, count: 98)) }
            let isThere = context.eventually { pull.statistics.messagesToTake == 30 }
            #expect(isThere)
            #expect(pull.statistics.peers[0].toTake.bytes == 3000)
            if setup.wire != .inproc {
                let isSent = context.eventually { push.statistics.messagesToSend == 0 }
                #expect(isSent)
            }
            for _ in 0..<30 { _ = try pull.receive() }
            #expect(try pull.tryReceive() == nil)
            #expect(pull.statistics.messagesToTake == 0 && pull.statistics.peers[0].toTake.bytes == 0)
            #expect(pull.statistics.losses.isEmpty && push.statistics.losses.isEmpty)
            context.close()
        }

        @Test("What was sent was received, is queued, or is lost under a reason", arguments: Setup.connected)
        func balance(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.linger = .zero })
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 10 })
            try push.connect(pull.bind(setup.wildcard))
            for _ in 0..<20 { try push.send("x") }
            for _ in 0..<5 { _ = try pull.receive() }
            try pull.unbind(pull.lastEndpoint)
            // The receiver's side is gone; the sender keeps what it sends from now on until it closes.
            try push.awaitPeers(0, in: context)
            for _ in 0..<7 { try push.send("y") }
            push.close()
            let isCounted = context.eventually { push.statistics.losses == [.lingerOver: 7] }
            #expect(isCounted, "\(push.statistics.losses)")
            context.close()
        }

        @Test("A closed socket counts what was never taken", arguments: Setup.connected)
        func notTaken(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            for _ in 0..<12 { try push.send("x") }
            let isThere = context.eventually { pull.statistics.messagesToTake == 12 }
            #expect(isThere)
            pull.close()
            let isCounted = context.eventually { pull.statistics.losses == [.notTaken: 12] }
            #expect(isCounted, "\(pull.statistics.losses)")
            context.close()
        }

        @Test("An inproc sender counts what a closed receiver did not take")
        func inproc() throws {
            let context = try Setup(wire: .inproc).context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try pull.bind("inproc://gone")
            try push.connect("inproc://gone")
            for _ in 0..<9 { try push.send("x") }
            pull.close()
            #expect(try push.trySend("nobody") == .full)
            #expect(push.statistics.losses == [.peerGone: 9])
            context.close()
        }

        @Test("Each peer's share names the peer", arguments: Setup.connected)
        func shares(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let endpoint = try router.bind(setup.wildcard)
            var dealers: [DealerSocket] = []
            for index in 0..<3 {
                let dealer = try DealerSocket(context, .test { $0.routingID = Frame("d\(index)") })
                try dealer.connect(endpoint)
                for _ in 0...index { try dealer.send("x") }
                dealers.append(dealer)
            }
            let isThere = context.eventually { router.statistics.messagesToTake == 6 }
            #expect(isThere)
            let shares = router.statistics.peers
            #expect(shares.map(\.peer.socketType) == [.dealer, .dealer, .dealer])
            #expect(Set(shares.map { "\($0.peer.routingID) \($0.toTake.messages)" }) == ["d0 1", "d1 2", "d2 3"])
            #expect(shares.allSatisfy { $0.peer.endpoint == endpoint })
            context.close()
        }
    }
}
