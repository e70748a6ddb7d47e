import Proactor
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    @Suite("Streams of a publisher", .timeLimit(.minutes(2))) struct PublisherStreams {
        // MARK: Moving between streams

        @Test(
            "Each subscriber gets exactly what it was subscribed to when it was sent, however sets change",
            arguments: Setup.all.filter { $0.wire == .tcp || $0.wire == .inproc })
        func moving(setup: Setup) throws {
            let seed = UInt64.random(in: 0...(.max))
            var random = SeededGenerator(seed: seed)
            let context = try setup.context(loops: setup.drive == .background ? 2 : 1)
            defer { context.close() }
            let publisher = try PublishSocket(context, .test { $0.sendHighWaterMark = 0 })
            let endpoint = try publisher.bind(setup.wildcard)
            // XSUB does not filter: it shows what is sent to it.
            let subscribers = try (0..<5).map { _ in
                let socket = try XSubscribeSocket(context, .test { $0.receiveHighWaterMark = 0 })
                try socket.connect(endpoint)
                try socket.ready(until: .after(.seconds(10)))
                return socket
            }
            let topics = ["", "a", "ab", "abc", "b", "c"]
            var sets = [Set<String>](repeating: [], count: subscribers.count)
            var wanted = [[String]](repeating: [], count: subscribers.count)
            for step in 0..<400 {
                if Int.random(in: 0..<3, using: &random) == 0 {
                    let index = Int.random(in: 0..<subscribers.count, using: &random)
                    for _ in 0..<Int.random(in: 1...3, using: &random) {
                        let topic = topics.randomElement(using: &random)!
                        if sets[index].remove(topic) != nil {
                            subscribers[index].cancel(Frame(topic))
                        } else {
                            sets[index].insert(topic)
                            subscribers[index].subscribe(Frame(topic))
                        }
                    }
                    try subscribers[index].ready(until: .after(.seconds(10)))
                }
                for burst in 0..<Int.random(in: 0...4, using: &random) {
                    let text = ["", "a", "ab", "abcd", "b", "cc", "z"].randomElement(using: &random)!
                    let body = text + " \(step).\(burst)"
                    try publisher.send(body)
                    for index in sets.indices where sets[index].contains(where: { body.hasPrefix($0) }) {
                        wanted[index].append(body)
                    }
                }
            }
            for index in subscribers.indices {
                subscribers[index].subscribe("end")
                try subscribers[index].ready(until: .after(.seconds(10)))
            }
            try publisher.send("end")
            for index in subscribers.indices {
                var got: [String] = []
                while true {
                    let text = try subscribers[index].receive().string
                    if text == "end" { break }
                    got.append(text)
                }
                #expect(got == wanted[index], "seed \(seed), subscriber \(index)")
            }
        }

        @Test(
            "What stays subscribed arrives once and in order while sets change under load", arguments: Setup.engines
        )
        func load(setup: Setup) throws {
            let context = try setup.context(loops: 2)
            defer { context.close() }
            let publisher = try PublishSocket(context, .test { $0.slowSubscribers = .wait })
            let endpoint = try publisher.bind(setup.wildcard)
            let count = 20_000
            let receivers = try (0..<4).map { index in
                let socket = try XSubscribeSocket(context, .test)
                try socket.connect(endpoint)
                socket.subscribe("kept")
                try socket.ready(until: .after(.seconds(10)))
                return (index, socket)
            }
            let failures = Shared<[String]>([])
            let changer = Worker {
                var random = SeededGenerator(seed: 5)
                for _ in 0..<1500 {
                    let (index, socket) = receivers.randomElement(using: &random)!
                    // One with a set of its own, the others share now and then.
                    for topic in index == 0 ? ["own", "noise"] : ["noise"] {
                        socket.subscribe(Frame(topic))
                        if Bool.random(using: &random) { try? socket.ready(until: .after(.seconds(10))) }
                        socket.cancel(Frame(topic))
                    }
                }
            }
            let workers = receivers.map { index, socket in
                Worker {
                    var next = 0
                    var noise = -1
                    while next < count {
                        guard let text = try? socket.receive().string else {
                            failures.change { $0.append("\(index) ended at \(next)") }
                            return
                        }
                        let words = text.split(separator: " ")
                        let number = Int(words[1])!
                        if words[0] == "kept" {
                            if number != next {
                                failures.change { $0.append("\(index): \(text) instead of \(next)") }
                                return
                            }
                            next += 1
                        } else {
                            if number <= noise || number < next - 1 {
                                failures.change { $0.append("\(index): \(text) after \(noise), \(next)") }
                            }
                            noise = number
                        }
                    }
                }
            }
            for number in 0..<count {
                try publisher.send("kept \(number)")
                if number % 3 == 0 { try publisher.send("noise \(number)") }
            }
            for worker in workers { #expect(worker.join(within: 60)) }
            #expect(changer.join(within: 60))
            #expect(failures.value == [])
        }

        // MARK: A slow subscriber

        /// A publisher with one subscriber that does not receive and one that does.
        struct Slow {
            let context: Context
            let publisher: PublishSocket
            let stuck: RawPeer
            let quick: SubscribeSocket

            /// More than the kernel takes: the first one is never sent whole.
            static let size = 500_000
            static let mark = 5

            init(_ setup: Setup, _ change: (inout SocketOptions) -> Void = { _ in }) throws {
                context = try setup.context()
                publisher = try PublishSocket(
                    context,
                    .test {
                        $0.sendHighWaterMark = Slow.mark
                        $0.kernelSendBuffer = 64 << 10
                        change(&$0)
                    })
                let endpoint = try publisher.bind("tcp://127.0.0.1:*")
                stuck = try RawPeer(endpoint)
                try stuck.shakeHands(as: "SUB")
                try stuck.send(RawPeer.frame([9] + Array("SUBSCRIBE".utf8), flags: 4))
                try publisher.subscribers(atLeast: 1)
                quick = try SubscribeSocket(context, .test { $0.receiveHighWaterMark = 0 }, topics: [""])
                try quick.connect(endpoint)
                try publisher.subscribers(atLeast: 2)
            }

            static func body(_ number: Int) -> [UInt8] {
                let digits = Array("\(number)".utf8)
                return digits + [UInt8](repeating: 32, count: size - digits.count)
            }

            static func number(_ body: [UInt8]) -> Int {
                body.prefix { $0 != 32 }.reduce(0) { $0 * 10 + Int($1) - 48 }
            }

            /// Publishes so that the quick one is never behind.
            func publish(_ numbers: Range<Int>) throws {
                for number in numbers {
                    try publisher.send(Self.body(number))
                    #expect(Self.number(try quick.receive().bytes) == number)
                }
            }

            /// What the publisher knows of the stuck one: it came first.
            var share: SocketStatistics.PeerShare { publisher.statistics.peers[0] }
        }

        @Test(
            "One that does not receive is cut exactly at its mark, and its books balance", arguments: Setup.engines)
        func cut(setup: Setup) throws {
            let slow = try Slow(setup)
            defer { slow.context.close() }
            let published = 30
            try slow.publish(0..<published)
            let share = slow.share
            #expect(share.toSend.messages == Slow.mark)
            #expect(share.toSend.bytes == Slow.mark * (Slow.size + 9))
            #expect(share.published! == (0, published - Slow.mark))
            #expect(slow.publisher.statistics.losses == [.mark: published - Slow.mark])
            let other = slow.context.eventually { slow.publisher.statistics.peers[1].published! == (published, 0) }
            #expect(other)

            // It gets all that was queued, then what is published after that.
            for number in 0..<Slow.mark { #expect(Slow.number(try slow.stuck.receiveFrame().body) == number) }
            let isSent = slow.context.eventually { slow.share.toSend.messages == 0 }
            #expect(isSent)
            try slow.publish(published..<published + 5)
            for number in published..<published + 5 {
                #expect(Slow.number(try slow.stuck.receiveFrame().body) == number)
            }
            #expect(slow.publisher.statistics.losses == [.mark: published - Slow.mark])
        }

        @Test("With dropOldest it gets the newest of its mark", arguments: Setup.engines)
        func dropOldest(setup: Setup) throws {
            let slow = try Slow(setup) { $0.slowSubscribers = .dropOldest }
            defer { slow.context.close() }
            let published = 30
            try slow.publish(0..<published)
            let share = slow.share
            #expect(share.toSend.messages == Slow.mark)
            #expect(share.published! == (0, published - Slow.mark))
            // What had begun is finished; behind the gap stand the newest.
            #expect(Slow.number(try slow.stuck.receiveFrame().body) == 0)
            for number in published - Slow.mark + 1..<published {
                #expect(Slow.number(try slow.stuck.receiveFrame().body) == number)
            }
            let isSent = slow.context.eventually { slow.share.published! == (Slow.mark, published - Slow.mark) }
            #expect(isSent)
        }

        @Test("With wait the publisher is refused exactly at the mark of the slowest", arguments: Setup.engines)
        func wait(setup: Setup) throws {
            let slow = try Slow(setup) { $0.slowSubscribers = .wait }
            defer { slow.context.close() }
            for number in 0..<Slow.mark { try slow.publisher.send(Slow.body(number)) }
            let result = try Slow.body(0).withUnsafeBytes { try slow.publisher.trySend($0) }
            #expect(result == .full)
            expectError(.timedOut) { try slow.publisher.send(Slow.body(0), until: .after(.milliseconds(10))) }
            #expect(slow.share.toSend.messages == Slow.mark)
            #expect(slow.share.published! == (0, 0))

            // A blocked sender goes on when the slow one receives.
            let publisher = slow.publisher
            let total = Slow.mark + 15
            let first = Slow.mark
            let sender = Worker {
                for number in first..<total { try? publisher.send(Slow.body(number)) }
            }
            for number in 0..<total { #expect(Slow.number(try slow.stuck.receiveFrame().body) == number) }
            for number in 0..<total { #expect(Slow.number(try slow.quick.receive().bytes) == number) }
            #expect(sender.join())
            #expect(slow.publisher.statistics.losses.isEmpty)
        }

        @Test(
            "Room that comes between the refused try and the sleep is not slept through",
            arguments: Setup.background)
        func roomBeforeSleep(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(
                context,
                .test {
                    $0.slowSubscribers = .wait
                    $0.sendHighWaterMark = 4
                    $0.kernelSendBuffer = 64 << 10
                })
            let endpoint = try publisher.bind(setup.wildcard)
            let subscribers = try (0..<2).map { _ in
                let socket = try SubscribeSocket(context, .test { $0.receiveHighWaterMark = 4 }, topics: [""])
                try socket.connect(endpoint)
                return socket
            }
            try publisher.subscribers(atLeast: 2)
            let body = Message(Slow.body(1))
            var sent = 0
            // The loop may make room again as it takes note: full is what is refused twice.
            let isFull = try context.eventually {
                while try publisher.trySend(body) == .sent { sent += 1 }
                return try publisher.trySend(body) == .full
            }
            #expect(isFull)
            // In the place of a sender that has been refused and not yet gone to sleep: all is taken meanwhile.
            for socket in subscribers {
                for _ in 0..<sent { _ = try socket.receive() }
            }
            // Whoever is told to sleep while there is room is woken by nobody.
            let isAwake = context.eventually { publisher.core.publisher?.prepareToWait() == false }
            #expect(isAwake)
            #expect(try publisher.trySend(body) == .sent)
        }

        @Test("With disconnect it is hung up on", arguments: Setup.engines)
        func disconnect(setup: Setup) throws {
            let slow = try Slow(setup) { $0.slowSubscribers = .disconnect }
            defer { slow.context.close() }
            var number = 0
            let isGone = try slow.context.eventually {
                try slow.publish(number..<number + 1)
                number += 1
                return slow.publisher.statistics.peers.count == 1
            }
            #expect(isGone)
            #expect(slow.stuck.isHungUpOn())
            #expect(slow.publisher.statistics.losses.keys.sorted { $0.rawValue < $1.rawValue } == [.peerGone])
        }

        @Test("A subscriber that goes gives back what was queued for it", arguments: Setup.engines)
        func gone(setup: Setup) throws {
            var slow: Slow? = try Slow(setup)
            let publisher = slow!.publisher
            let context = slow!.context
            defer { context.close() }
            try slow!.publish(0..<20)
            slow = nil
            let isAlone = context.eventually { publisher.statistics.peers.isEmpty }
            #expect(isAlone)
            #expect(publisher.statistics.losses == [.mark: 20 - Slow.mark, .peerGone: Slow.mark])
            try publisher.send("to nobody")
            #expect(publisher.statistics.losses[.notSubscribed] == 1)
        }

        @Test(
            "A publisher that conflates sends the message that has begun, and then the newest",
            arguments: Setup.engines)
        func conflated(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(
                context,
                .test {
                    $0.isConflating = true
                    $0.kernelSendBuffer = 64 << 10
                })
            let stuck = try RawPeer(try publisher.bind("tcp://127.0.0.1:*"))
            try stuck.shakeHands(as: "SUB")
            try stuck.send(RawPeer.frame([9] + Array("SUBSCRIBE".utf8), flags: 4))
            try publisher.subscribers(atLeast: 1)
            try publisher.send(Slow.body(0))
            // It has begun when the kernel has what it can take: the next one cannot replace it.
            let first = try stuck.receiveFrameHeader()
            for number in 1..<20 { try publisher.send(Slow.body(number)) }
            #expect(Slow.number(try stuck.receive(first)) == 0)
            #expect(Slow.number(try stuck.receiveFrame().body) == 19)
            #expect(publisher.statistics.losses == [.conflated: 18])
        }

        @Test(
            "Where every subscriber is stuck, sends wait for none of them, and the marks are kept",
            arguments: Setup.engines, [SlowSubscriberPolicy.dropNewest, .dropOldest])
        func allStuck(setup: Setup, policy: SlowSubscriberPolicy) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(
                context,
                .test {
                    $0.slowSubscribers = policy
                    $0.sendHighWaterMark = Slow.mark
                    $0.kernelSendBuffer = 64 << 10
                })
            let stuck = try RawPeer(try publisher.bind("tcp://127.0.0.1:*"))
            try stuck.shakeHands(as: "SUB")
            try stuck.send(RawPeer.frame([9] + Array("SUBSCRIBE".utf8), flags: 4))
            try publisher.subscribers(atLeast: 1)
            let published = 60
            for number in 0..<published { try publisher.send(Slow.body(number)) }
            var numbers: [Int] = []
            while numbers.count < Slow.mark { numbers.append(Slow.number(try stuck.receiveFrame().body)) }
            #expect(numbers.first == 0)
            #expect(numbers == Array(Set(numbers)).sorted())
            if policy == .dropOldest { #expect(numbers.last! >= published - 2 * Slow.mark) }
            let balances = context.eventually {
                let share = publisher.statistics.peers[0]
                return share.published!.sent + share.published!.lost + share.toSend.messages == published
                    && share.published!.lost > published / 2
            }
            #expect(balances)
        }

        // MARK: Life

        @Test("Peers on several loops get the same", arguments: Setup.background)
        func loops(setup: Setup) throws {
            let context = try setup.context(loops: 3)
            defer { context.close() }
            let publisher = try PublishSocket(context, .test { $0.slowSubscribers = .wait })
            let endpoint = try publisher.bind(setup.wildcard)
            let subscribers = try (0..<7).map { index in
                let socket = try SubscribeSocket(
                    context, .test { $0.receiveHighWaterMark = 0 }, topics: index % 2 == 0 ? ["a"] : ["a", "b"])
                try socket.connect(endpoint)
                return socket
            }
            try publisher.subscribers(atLeast: 7, to: "a")
            try publisher.subscribers(atLeast: 3, to: "b")
            for number in 0..<1000 { try publisher.send("\(["a", "b"][number % 2])\(number)") }
            for (index, socket) in subscribers.enumerated() {
                for number in 0..<1000 where index % 2 == 1 || number % 2 == 0 {
                    #expect(try socket.receive().string == "\(["a", "b"][number % 2])\(number)")
                }
            }
        }

        @Test("What is published before the close is delivered within linger", arguments: Setup.all)
        func linger(setup: Setup) throws {
            let context = try setup.context()
            let publisher = try PublishSocket(context, .test { $0.slowSubscribers = .wait })
            let subscriber = try SubscribeSocket(context, .test, topics: [""])
            try subscriber.connect(try publisher.bind(setup.wildcard))
            try publisher.subscribers(atLeast: 1)
            for number in 0..<500 { try publisher.send("\(number)") }
            publisher.close()
            for number in 0..<500 { #expect(try subscriber.receive().string == "\(number)") }
            #expect(context.close().isComplete)
        }

        @Test("Subscriptions are told again after a reconnect", arguments: Setup.connected)
        func reconnect(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let endpoint = try setup.reserve()
            let subscriber = try SubscribeSocket(context, .test, topics: ["a"])
            try subscriber.connect(endpoint)
            for round in 0..<3 {
                let publisher = try PublishSocket(context, .test)
                try publisher.bind(endpoint)
                try publisher.subscribers(atLeast: 1, to: "a")
                if round > 0 { try publisher.subscribers(atLeast: 1, to: "b") }
                try publisher.send("a\(round)")
                #expect(try subscriber.receive().string == "a\(round)")
                publisher.close()
                if round == 0 { subscriber.subscribe("b") }
            }
        }

        @Test("A publisher that connects keeps its queue while the subscriber is away", arguments: Setup.connected)
        func away(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let endpoint = try setup.reserve()
            let publisher = try PublishSocket(context, .test)
            try publisher.connect(endpoint)
            var subscriber: SubscribeSocket? = try SubscribeSocket(context, .test, topics: [""])
            try subscriber!.bind(endpoint)
            try publisher.subscribers(atLeast: 1)
            try publisher.send("1")
            #expect(try subscriber!.receive().string == "1")
            subscriber = nil
            try publisher.awaitPeers(0, in: context)
            for text in ["2", "3"] { try publisher.send(text) }
            let next = try SubscribeSocket(context, .test, topics: [""])
            try next.bind(endpoint)
            for text in ["2", "3"] { #expect(try next.receive().string == text) }
        }

        @Test("Tasks wait for subscribers and for publishers", arguments: Setup.background)
        func tasks(setup: Setup) async throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let endpoint = try publisher.bind(setup.wildcard)
            async let waiting: Void = publisher.subscribers(atLeast: 1, to: "a")
            let subscriber = try SubscribeSocket(context, .test)
            try subscriber.connect(endpoint)
            try await subscriber.ready(until: .after(.seconds(10)))
            subscriber.subscribe("a")
            try await subscriber.ready(until: .after(.seconds(10)))
            try await waiting
            try await publisher.send("a")
            #expect(try await subscriber.receive() == "a")
        }
    }
}
