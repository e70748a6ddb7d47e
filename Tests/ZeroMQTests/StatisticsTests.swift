import Testing
import ZMTP

@testable import ZeroMQ

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

        @Test("What an application puts into its READY is in the record of that peer", arguments: Setup.engines)
        func applicationProperties(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let raw = try RawPeer(pull.bind(setup.wildcard))
            let property: [UInt8] = [6] + Array("X-Lamp".utf8) + [0, 0, 0, 2, 7, 0]
            try raw.send(RawPeer.greeting + RawPeer.frame(RawPeer.ready("PUSH")[2...] + property, flags: 4))
            try pull.awaitPeers(1, in: context)
            #expect(pull.statistics.peers[0].peer.properties["X-Lamp"] == [7, 0])
            context.close()
        }

        @Test(
            "What passed is counted each way, and stays in the totals when the peer has gone", arguments: Setup.all)
        func passed(setup: Setup) throws {
            let context = try setup.context()
            let (one, other) = (try DealerSocket(context, .test), try DealerSocket(context, .test))
            try one.connect(other.bind(setup.wildcard))
            for _ in 0..<20 {
                try one.send([UInt8](repeating: 0, count: 98))
                _ = try other.receive()
                try other.send("y")
                _ = try one.receive()
            }
            // Who has found nothing more has accounted for all it took.
            #expect(try one.tryReceive() == nil && other.tryReceive() == nil)
            for (socket, sent, received) in [(one, 100, 3), (other, 3, 100)] {
                let isSettled = context.eventually { socket.statistics.sent.messages == 20 }
                #expect(isSettled, "\(socket.statistics.sent)")
                let statistics = socket.statistics
                #expect(statistics.sent.bytes == 20 * sent && statistics.received.bytes == 20 * received)
                #expect(statistics.peers[0].sent.messages == 20 && statistics.peers[0].received.messages == 20)
                #expect(statistics.oldestToSend == nil && statistics.oldestToTake == nil)
                #expect(statistics.endpoints.map(\.connections) == [1] && statistics.reconnects == 0)
            }
            one.close()
            try other.awaitPeers(0, in: context)
            #expect(other.statistics.sent.messages == 20 && other.statistics.received.bytes == 2000)
            context.close()
        }

        @Test("Counts go on beyond what the words of a pipe hold")
        func wide() {
            let start: (position: UInt64, count: UInt64) = (1 << 34 - 50, 1 << 25 - 3)
            let (lists, pool) = ((ReadyList(), ReadyList()), ChunkPool())
            let pipe = Pipe(
                mark: 0, byteMark: 0, pool: pool, readerList: lists.0, writerList: lists.1, startingAt: start)
            #expect(pipe.passed.messages == start.count && pipe.published.bytes == start.position)
            for _ in 0..<10 {
                pipe.writer.pointee.put([], UnsafeRawBufferPointer(start: nil, count: 0))
                _ = pipe.writer.pointee.publish(keep: false)
                pipe.writer.pointee.put(.more, UnsafeRawBufferPointer(start: nil, count: 0))
                pipe.writer.pointee.put([], UnsafeRawBufferPointer(start: nil, count: 0))
                _ = pipe.writer.pointee.publish(keep: false)
            }
            #expect(pipe.published.messages == start.count + 20 && pipe.published.bytes == start.position + 60)
            #expect(pipe.reader.pointee.look() == 60 && pipe.reader.pointee.skip().messages == 20)
            #expect(pipe.passed.messages == start.count + 20 && pipe.passed.bytes == start.position + 60)
        }

        @Test("The oldest message's age grows while it waits, and goes with it", arguments: Setup.all)
        func ages(setup: Setup) throws {
            let context = try setup.context()
            let (push, pull) = (try PushSocket(context, .test), try PullSocket(context, .test))
            try push.connect(pull.bind(setup.wildcard))
            #expect(pull.statistics.oldestToTake == nil)
            for _ in 0..<3 { try push.send("x") }
            var last = Duration.zero
            for _ in 0..<3 {
                let isOlder = context.eventually { pull.statistics.oldestToTake.map { $0 > last } ?? false }
                #expect(isOlder)
                last = pull.statistics.oldestToTake ?? .zero
            }
            for _ in 0..<3 { _ = try pull.receive() }
            #expect(try pull.tryReceive() == nil && pull.statistics.oldestToTake == nil)
            context.close()
        }

        @Test("Away peers have a queue with an age; connections made again are counted", arguments: Setup.tcp)
        func away(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let endpoint = try setup.reserve()
            try push.connect(endpoint)
            for _ in 0..<4 { try push.send("x") }
            #expect(push.statistics.messagesToSend == 0 && push.statistics.endpoints[0].toSend.messages == 4)
            let ages = context.eventually { push.statistics.oldestToSend.map { $0 > .milliseconds(20) } ?? false }
            #expect(ages)
            for round in 0..<3 {
                let pull = try PullSocket(context, .test)
                try pull.bind(endpoint)
                if round == 0 { for _ in 0..<4 { _ = try pull.receive() } }
                try push.awaitPeers(1, in: context)
                let isCounted = context.eventually { push.statistics.reconnects == round }
                #expect(isCounted && push.statistics.endpoints[0].connections == round + 1)
                pull.close()
                try push.awaitPeers(0, in: context)
            }
            #expect(push.statistics.sent.messages == 4 && push.statistics.oldestToSend == nil)
            context.close()
        }

        @Test("Marks of age: four at most, the oldest is known, passed ones are forgotten")
        func marks() {
            let marks = AgeMarks()
            let none = AgeMarks.Mark()
            #expect((marks.age(published: 5, passed: 5, first: none) ?? .zero) == .zero)
            for number in 6..<10_006 as Range<UInt64> { marks.note(published: number, passed: 5) }
            #expect(marks.age(published: 10_005, passed: 5, first: none) != nil)
            // All that was marked has passed: what waits now was seen just now.
            let age = { marks.age(published: 10_006, passed: 10_005, first: $0) ?? .zero }
            #expect(age(none) < .milliseconds(50))
            // What came into an empty pipe when the clock began counts until it has passed.
            #expect(age(AgeMarks.Mark(published: 10_006, time: 0)) >= .milliseconds(50))
            #expect(age(AgeMarks.Mark(published: 10_005, time: 0)) < .milliseconds(50))
        }

        @Test("A drop for one peer is counted for it", arguments: Setup.connected)
        func dropsByPeer(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.sendHighWaterMark = 1 })
            let endpoint = try router.bind(setup.wildcard)
            let dealers = try (0..<2).map { index in
                try DealerSocket(
                    context,
                    .test {
                        $0.routingID = Frame("d\(index)")
                        $0.receiveHighWaterMark = 1
                    })
            }
            for dealer in dealers { try dealer.connect(endpoint) }
            try router.awaitPeers(2, in: context)
            let body = Frame([UInt8](repeating: 0, count: 1_000_000))
            // More than the kernel's buffers take.
            let isDropped = try context.eventually {
                try router.send(["d1", body])
                return router.statistics.losses[.mark] ?? 0 > 2
            }
            #expect(isDropped)
            let shares = router.statistics.peers
            #expect(shares.first { $0.peer.routingID == "d0" }?.losses == [:])
            #expect(shares.first { $0.peer.routingID == "d1" }?.losses == router.statistics.losses)
            context.close(timeout: .zero)
        }
    }
}
