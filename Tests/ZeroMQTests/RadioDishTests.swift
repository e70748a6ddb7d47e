import Proactor
import Testing
import ZMTP
import ZeroMQ

extension Sockets {
    @Suite("RADIO and DISH") struct RadioDishTests {
        @Test("Each DISH receives the groups it has joined, and no other", arguments: Setup.all)
        func groups(setup: Setup) throws {
            let context = try setup.context()
            let radio = try RadioSocket(context, .test)
            let endpoint = try radio.bind(setup.wildcard)
            let weather = try DishSocket(context, .test)
            let both = try DishSocket(context, .test)
            // Before there is a peer, and with one.
            try weather.join("weather")
            try weather.connect(endpoint)
            try both.connect(endpoint)
            try both.join("weather")
            try both.join("sport")
            let areThere = try context.eventually {
                try radio.send("are you there?", to: "weather") == 2 && radio.send("and you?", to: "sport") == 1
            }
            #expect(areThere)
            #expect(try radio.send("nobody", to: "weather ") == 0)
            #expect(try radio.send("nobody", to: "weathe") == 0)
            for number in 0..<100 {
                #expect(try radio.send("\(number)", to: "weather") == 2)
                #expect(try radio.send("\(number)", to: "sport") == 1)
            }
            var next = 0
            while next < 100 {
                let message = try weather.receive()
                #expect(message.group == "weather")
                guard message.message.string != "are you there?" else { continue }
                #expect(message.message.string == "\(next)")
                next += 1
            }
            var counts: [Group: Int] = [:]
            while counts.values.reduce(0, +) < 200 {
                let message = try both.receive()
                guard !message.message.string.hasSuffix("?") else { continue }
                #expect(message.message.string == "\(counts[message.group, default: 0])")
                counts[message.group, default: 0] += 1
            }
            try both.leave("sport")
            let hasLeft = try context.eventually { try radio.send("still?", to: "sport") == 0 }
            #expect(hasLeft)
            try radio.send("last", to: "weather")
            while try both.receive().message.string != "last" {}
            expectError(.wrongState) { try both.join("weather") }
            expectError(.wrongState) { try both.leave("sport") }
            context.close()
        }

        @Test("A RADIO that is ready reaches whoever had joined before it connected", arguments: Setup.all)
        func ready(setup: Setup) throws {
            let context = try setup.context()
            for _ in 0..<20 {
                let radio = try RadioSocket(context, .test)
                let dish = try DishSocket(context, .test)
                for number in 0..<10 { try dish.join(Group("group \(number)")) }
                try dish.connect(radio.bind(setup.wildcard))
                try radio.ready(until: .after(.seconds(10)))
                for number in 0..<10 { #expect(try radio.send("\(number)", to: Group("group \(number)")) == 1) }
                for number in 0..<10 { #expect(try dish.receive().message.string == "\(number)") }
                radio.close()
                dish.close()
            }
            context.close()
        }

        @Test(
            "The DISH may bind and the RADIO connect; groups are told again after a reconnect",
            arguments: Setup.engines)
        func reconnect(setup: Setup) throws {
            let context = try setup.context()
            let dish = try DishSocket(context, .test)
            try dish.join("g")
            let endpoint = try setup.reserve()
            let radio = try RadioSocket(context, .test)
            try radio.connect(endpoint)
            for round in 0..<3 {
                try dish.bind(endpoint)
                let isThere = try context.eventually { try radio.send("\(round)", to: "g") == 1 }
                #expect(isThere)
                #expect(try dish.receive().message.string == "\(round)")
                let monitor = dish.monitor()
                try dish.unbind(endpoint)
                try context.await(monitor, "end of the listener") { $0 == .closed }
                let isGone = try context.eventually { try radio.send("gone?", to: "g") == 0 }
                #expect(isGone)
                while try dish.tryReceive() != nil {}
            }
            context.close()
        }

        @Test(
            "A peer at its mark loses messages, counted, and never makes the RADIO wait", arguments: Setup.engines)
        func mark(setup: Setup) throws {
            let context = try setup.context()
            let radio = try RadioSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 3; $0.kernelSendBuffer = 4096; $0.linger = .zero
                })
            let raw = try RawPeer(radio.bind(setup.wildcard))
            try raw.shakeHands(as: "DISH")
            try raw.send(RawPeer.frame([4] + Array("JOIN".utf8) + Array("g".utf8), flags: 4))
            let body = Message([UInt8](repeating: 1, count: 1_000_000))
            let isLost = try context.eventually {
                try radio.send(body, to: "g")
                return radio.statistics.losses[.mark, default: 0] > 10
            }
            #expect(isLost)
            context.close()
        }

        @Test(
            "On the wire: JOIN and LEAVE are commands, a message is its group with MORE and its body",
            arguments: Setup.engines)
        func vectors(setup: Setup) throws {
            let context = try setup.context()
            let dish = try DishSocket(context, .test)
            try dish.join("A")
            let radioPeer = try RawPeer(dish.bind(setup.wildcard))
            try radioPeer.shakeHands(as: "RADIO")
            #expect(try radioPeer.receive(8) == [4, 6] + Array("\u{4}JOINA".utf8))
            try dish.join("B")
            #expect(try radioPeer.receive(8) == [4, 6] + Array("\u{4}JOINB".utf8))
            try dish.leave("B")
            #expect(try radioPeer.receive(9) == [4, 7] + Array("\u{5}LEAVEB".utf8))
            try radioPeer.send([1, 1, 0x42, 0, 1, 9] + [1, 1, 0x41, 0, 2, 8, 7])
            #expect(try dish.receive() == GroupMessage(group: "A", message: [[8, 7]]))

            let radio = try RadioSocket(context, .test)
            let dishPeer = try RawPeer(radio.bind(setup.wildcard))
            try dishPeer.shakeHands(as: "DISH")
            // Joined twice, left once: joins add up, as in the reference. What the DISH says besides is nothing.
            let join = RawPeer.frame(Array("\u{4}JOINA".utf8), flags: 4)
            try dishPeer.send(join + join + RawPeer.frame(Array("\u{5}LEAVEA".utf8), flags: 4) + [0, 1, 5])
            let isThere = try context.eventually { try radio.send("x", to: "A") == 1 }
            #expect(isThere)
            #expect(try dishPeer.receive(6) == [1, 1, 0x41, 0, 1, 0x78])
            try dishPeer.send(RawPeer.frame(Array("\u{5}LEAVEA".utf8), flags: 4))
            let isGone = try context.eventually { try radio.send("x", to: "A") == 0 }
            #expect(isGone)
            context.close()
        }

        @Test("What is not a group and one body ends its connection", arguments: Setup.engines)
        func malformed(setup: Setup) throws {
            let context = try setup.context()
            let dish = try DishSocket(context, .test)
            try dish.join("A")
            let long = [UInt8](repeating: 0x41, count: 256)
            let attacks: [[UInt8]] = [
                [0, 1, 0x41], [1, 1, 0x41, 1, 1, 1, 0, 1, 2], [1, 1, 0, 0, 1, 9],
                RawPeer.frame(long, flags: 1) + [0, 0],
            ]
            for attack in attacks {
                let raw = try RawPeer(dish.bind(setup.wildcard))
                try raw.shakeHands(as: "RADIO")
                _ = try raw.receiveFrame()
                try raw.send(attack + [1, 1, 0x41, 0, 1, 9])
                #expect(try dish.receive().message == [[9]])
                #expect(raw.isHungUpOn(), "\(attack.prefix(20))")
            }
            #expect(dish.statistics.losses == [.unexpected: attacks.count])
            let radio = try RadioSocket(context, .test)
            for command in [[4] + Array("JOIN".utf8) + long, [4] + Array("JOIN".utf8) + [0]] {
                let raw = try RawPeer(radio.bind(setup.wildcard))
                try raw.shakeHands(as: "DISH")
                raw.pour(RawPeer.frame(command, flags: 4))
                #expect(raw.isHungUpOn())
            }
            expectError(.invalidMessage) { _ = try Group(String(repeating: "x", count: 256)) }
            let zero = "a\0b"
            expectError(.invalidMessage) { _ = try Group(zero) }
            expectError(.invalidMessage) { try radio.send(["a", "b"], to: "A") }
            context.close()
        }

        @Test(
            "Tasks send on one RADIO at once; each DISH has each sender's messages in order",
            arguments: Setup.background)
        func many(setup: Setup) async throws {
            let context = try setup.context(loops: 2)
            let radio = try RadioSocket(context, .test { $0.sendHighWaterMark = 0 })
            let endpoint = try radio.bind(setup.wildcard)
            let dishes = try (0..<3).map { _ in try DishSocket(context, .test { $0.receiveHighWaterMark = 0 }) }
            for dish in dishes {
                try dish.join("g")
                try dish.connect(endpoint)
            }
            let areThere = try context.eventually { try radio.send("0 -1", to: "g") == 3 }
            #expect(areThere)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<4 {
                    group.addTask { for number in 0..<500 { try radio.send("\(sender) \(number)", to: "g") } }
                }
                for dish in dishes {
                    group.addTask {
                        var next = [0, 0, 0, 0]
                        while next != [500, 500, 500, 500] {
                            let parts = try await dish.receive().message.string.split(separator: " ")
                            guard let sender = Int(parts[0]), let number = Int(parts[1]), number >= 0 else {
                                continue
                            }
                            #expect(number == next[sender])
                            next[sender] += 1
                        }
                    }
                }
                try await group.waitForAll()
            }
            context.close()
        }
    }
}
