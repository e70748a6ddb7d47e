import Glibc
import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("PUB and SUB", .timeLimit(.minutes(2))) struct PublishSubscribe {
        @Test("A subscriber gets what it is subscribed to, in order, and nothing else", arguments: Setup.all)
        func filtering(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let a = try SubscribeSocket(context, .test, topics: ["a"])
            let b = try SubscribeSocket(context, .test, topics: ["b", "ab"])
            let all = try SubscribeSocket(context, .test, topics: [""])
            let endpoint = try publisher.bind(setup.wildcard)
            for socket in [a, b, all] { try socket.connect(endpoint) }
            for socket in [a, b, all] { try socket.ready(until: .after(.seconds(10))) }

            let sent = (0..<300).map { ["a", "ab", "b", "c"][$0 % 4] + "\($0)" }
            for text in sent { try publisher.send(text) }
            for (socket, prefixes) in [(a, ["a"]), (b, ["b", "ab"]), (all, [""])] {
                for text in sent where prefixes.contains(where: { text.hasPrefix($0) }) {
                    #expect(try socket.receive().string == text)
                }
                #expect(try socket.tryReceive() == nil)
            }
        }

        @Test("The publisher waits for subscribers and the first message reaches all of them", arguments: Setup.all)
        func barrier(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let endpoint = try publisher.bind(setup.wildcard)
            let subscribers = try (0..<3).map { _ in
                let socket = try SubscribeSocket(context, .test, topics: ["topic"])
                try socket.connect(endpoint)
                return socket
            }
            try publisher.subscribers(atLeast: 3, to: "topic")
            try publisher.send(["topic", "body"])
            for socket in subscribers { #expect(try socket.receive() == ["topic", "body"]) }
            expectError(.timedOut) {
                try publisher.subscribers(atLeast: 4, to: "topic", until: .after(.milliseconds(20)))
            }
            expectError(.timedOut) {
                try publisher.subscribers(atLeast: 1, to: "other", until: .after(.milliseconds(20)))
            }
        }

        @Test("Messages of all sizes pass, in one part and in many", arguments: Setup.all)
        func sizes(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let one = try SubscribeSocket(context, .test, topics: [""])
            let other = try SubscribeSocket(context, .test, topics: ["x"])
            let endpoint = try publisher.bind(setup.wildcard)
            for socket in [one, other] { try socket.connect(endpoint) }
            for socket in [one, other] { try socket.ready(until: .after(.seconds(10))) }
            for size in [0, 1, 63, 64, 65, 254, 255, 256, 8192, 32_767, 32_768, 70_000, 300_000] {
                let body = Frame(count: size) { bytes in
                    for index in stride(from: 0, to: size, by: 61) {
                        bytes[index] = UInt8(truncatingIfNeeded: index)
                    }
                }
                for message in [Message(frames: ["x", body]), Message(frames: ["x", "", body, "end"])] {
                    try publisher.send(message)
                    for socket in [one, other] {
                        let got = try socket.receive()
                        #expect(isSame(got, message), "\(size)")
                    }
                }
            }
        }

        private func isSame(_ one: Message, _ other: Message) -> Bool {
            one.count == other.count
                && zip(one, other).allSatisfy { a, b in
                    a.count == b.count
                        && a.withUnsafeBytes { a in
                            b.withUnsafeBytes { a.isEmpty || memcmp(a.baseAddress!, $0.baseAddress!, a.count) == 0 }
                        }
                }
        }

        @Test("Cancelling ends delivery; the counts of equal subscriptions add up", arguments: Setup.all)
        func cancelling(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let socket = try SubscribeSocket(context, .test, topics: ["a", "a", "end"])
            try socket.connect(try publisher.bind(setup.wildcard))
            try socket.ready(until: .after(.seconds(10)))
            try publisher.send("a1")
            #expect(try socket.receive().string == "a1")
            #expect(socket.cancel("a"))
            try socket.ready(until: .after(.seconds(10)))
            try publisher.send("a2")
            #expect(try socket.receive().string == "a2")
            #expect(socket.cancel("a"))
            #expect(!socket.cancel("a"))
            try socket.ready(until: .after(.seconds(10)))
            try publisher.send("a3")
            try publisher.send("end")
            #expect(try socket.receive().string == "end")
            #expect(publisher.statistics.losses[.notSubscribed] == 1)
        }

        @Test("What was on its way when its subscription was cancelled is dropped", arguments: Setup.all)
        func late(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let publisher = try PublishSocket(context, .test)
            let socket = try SubscribeSocket(context, .test, topics: ["a", "b"])
            try socket.connect(try publisher.bind(setup.wildcard))
            try socket.ready(until: .after(.seconds(10)))
            try publisher.send("a1")
            try publisher.send("b1")
            #expect(context.eventually { socket.statistics.messagesToTake == 2 })
            socket.cancel("a")
            #expect(try socket.receive().string == "b1")
            #expect(socket.statistics.losses[.notSubscribed] == 1)
        }
    }
}
