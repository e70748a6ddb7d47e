import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Conflation") struct ConflateTests {
        @Test("Of what waits for a peer only the newest goes", arguments: Setup.all)
        func sending(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.isConflating = true; $0.sendHighWaterMark = 1
                })
            let pull = try PullSocket(context, .test)
            let endpoint = try setup.reserve()
            try push.connect(endpoint)
            for number in 0..<100 { #expect(try push.trySend([Frame("\(number)"), "part"]) == .sent) }
            #expect(push.statistics.losses == [.conflated: 99])
            try pull.bind(endpoint)
            #expect(try pull.receive() == ["99", "part"])
            for number in 0..<50 {
                try push.send("\(number)")
                #expect(try pull.receive().string == "\(number)")
            }
            #expect(try pull.tryReceive() == nil)
            // What is in the place when the socket closes has its linger.
            try push.send("last")
            push.close()
            #expect(try pull.receive().string == "last")
            context.close()
        }

        @Test("Of what has come from a peer only the newest is there", arguments: Setup.engines)
        func receiving(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(
                context,
                .test {
                    $0.isConflating = true; $0.receiveHighWaterMark = 1
                })
            let endpoint = try pull.bind(setup.wildcard)
            let one = try RawPeer(endpoint)
            let other = try RawPeer(endpoint)
            for raw in [one, other] { try raw.shakeHands(as: "PUSH") }
            let body = [UInt8](repeating: 1, count: 100_000)
            for round in 0..<5 {
                for (raw, name) in [(one, "one"), (other, "other")] {
                    var bytes: [UInt8] = []
                    for number in 0..<100 {
                        bytes += RawPeer.frame(Array("\(name) \(round) \(number)".utf8), flags: 1) + RawPeer.ping()
                        bytes += RawPeer.frame(number % 10 == 0 ? body : [2])
                    }
                    let sending = Worker { [bytes] in try? raw.send(bytes + RawPeer.ping([7])) }
                    // Answered behind all of it.
                    while try raw.receiveFrame().body.last != 7 {}
                    #expect(sending.join())
                }
                var messages: Set<Message> = []
                while let message = try pull.tryReceive() { messages.insert(message) }
                #expect(messages == [[Frame("one \(round) 99"), [2]], [Frame("other \(round) 99"), [2]]])
            }
            // Half a message is none, and its rest may take its time.
            try one.send(RawPeer.frame([1], flags: 1) + [0, 2, 9] + [])
            #expect(try pull.tryReceive() == nil)
            try one.send([9])
            #expect(try pull.receive() == [[1], [9, 9]])
            context.close()
        }

        @Test(
            "Both sides conflate, a waiting receiver gets the newest sooner or later", arguments: Setup.background)
        func both(setup: Setup) throws {
            let context = try setup.context()
            let one = try DealerSocket(context, .test { $0.isConflating = true })
            let two = try DealerSocket(context, .test { $0.isConflating = true })
            try two.connect(one.bind(setup.wildcard))
            let receiver = Worker {
                var last = -1
                while last < 20_000, let number = (try? one.receive()).flatMap({ Int($0.string) }) {
                    #expect(number > last)
                    last = number
                }
                #expect(last == 20_000)
            }
            for number in 0...20_000 { try two.send("\(number)") }
            #expect(receiver.join())
            context.close()
        }

        @Test("Only types that can are told to", arguments: [Setup()])
        func refused(setup: Setup) throws {
            let context = try setup.context()
            expectError(.invalidOption) { _ = try RouterSocket(context, .test { $0.isConflating = true }) }
            expectError(.invalidOption) { _ = try ClientSocket(context, .test { $0.isConflating = true }) }
            context.close()
        }
    }
}
