import Glibc
import Testing
import ZMTP
import ZeroMQ

extension Sockets {
    /// A peer's bytes close its own session with the rule it broke; they never trap, and good peers go on.
    @Suite("Hostile peers") struct HostilePeerTests {
        /// A PULL under attack, and a good peer that must be served before, during and after.
        final class Target {
            let context: Context
            let pull: PullSocket
            let good: PushSocket
            let endpoint: String
            let monitor: SocketMonitor
            /// Its own, so that what an attack takes can be read from it.
            let memory = MemoryBudget(limit: 1 << 30)
            private var count = 0

            init(_ setup: Setup, _ options: SocketOptions = .test) throws {
                context = try setup.context(memory: memory)
                pull = try PullSocket(context, options)
                good = try PushSocket(context, .test)
                monitor = pull.monitor(bound: 100_000)
                endpoint = try pull.bind(setup.wildcard)
                try good.connect(endpoint)
                try serve()
            }

            func serve() throws {
                count += 1
                try good.send("good \(count)")
                var message = try pull.receive()
                while !message.string.hasPrefix("good") { message = try pull.receive() }
                #expect(message.string == "good \(count)")
            }

            func close() throws {
                try serve()
                #expect(context.eventually { self.pull.statistics.peers.count == 1 })
                #expect(context.close(timeout: .seconds(5)).isComplete)
            }
        }

        @Test(
            "Before the handshake: whatever comes, the peer is cut and others are served", arguments: Setup.engines)
        func beforeHandshake(setup: Setup) throws {
            let target = try Target(setup)
            var attacks: [[UInt8]] = [
                Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8),
                [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1] + Array("CURVE".utf8) + [UInt8](repeating: 0, count: 47),
                RawPeer.greeting + RawPeer.frame([1, 2, 3]),
                RawPeer.greeting + [6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                RawPeer.greeting + [6, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                RawPeer.greeting + RawPeer.ready("NOTYPE"),
                RawPeer.greeting + RawPeer.ready("REQ"),
                RawPeer.greeting + RawPeer.frame([200, 1, 2], flags: 4),
                RawPeer.greeting + RawPeer.frame([5] + Array("ERROR".utf8) + [3, 110, 111, 33], flags: 4),
            ]
            var generator = SeededGenerator(seed: 77)
            for size in [1, 10, 64, 65, 1000, 20_000] {
                attacks.append((0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) })
            }
            for attack in attacks {
                let peer = try RawPeer(target.endpoint)
                peer.pour(attack)
                try target.serve()
            }
            for attack in attacks[1..<9] {
                let peer = try RawPeer(target.endpoint)
                peer.pour(attack)
                #expect(peer.isHungUpOn(), "\(attack.prefix(90))")
            }
            try target.close()
        }

        @Test("Half a greeting and then silence costs the time of the handshake, no more", arguments: Setup.engines)
        func silence(setup: Setup) throws {
            let target = try Target(setup, .test { $0.handshakeTimeout = .milliseconds(100) })
            let halves: [[UInt8]] = [[], [0xFF], Array(RawPeer.greeting.prefix(30)), RawPeer.greeting]
            for half in halves {
                let peer = try RawPeer(target.endpoint)
                peer.pour(half)
                #expect(peer.isHungUpOn())
                try target.context.await(target.monitor, "time-out") { $0 == .handshakeTimedOut }
            }
            try target.close()
        }

        @Test("In traffic: a broken frame ends that session with the rule's name", arguments: Setup.engines)
        func inTraffic(setup: Setup) throws {
            let target = try Target(setup, .test { $0.maximumMessageSize = 100_000 })
            let attacks: [([UInt8], ZMTPError)] = [
                ([0xF8, 1, 0], .reservedFlags),
                ([5, 1, 0], .moreOnCommand),
                ([2, 0, 0, 0, 0, 0, 1, 0x86, 0xA1], .messageTooLarge),
                ([2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .frameSizeOutOfRange),
                ([6, 0, 0, 0, 0, 0, 1, 0, 1, 4], .commandTooLarge),
                ([6, 0, 0, 0, 0, 0, 0x20, 0, 1, 9] + Array("SUBSCRIBE".utf8), .commandTooLarge),
                (RawPeer.ready("PUSH"), .unexpectedCommand),
                (RawPeer.frame([9, 1], flags: 4), .malformedCommand),
                (RawPeer.frame([4] + Array("PING".utf8) + [0], flags: 4), .malformedHeartbeat),
            ]
            for (attack, rule) in attacks {
                let peer = try RawPeer(target.endpoint)
                try peer.shakeHands(as: "PUSH")
                try peer.send(RawPeer.frame(Array("before".utf8)) + attack)
                #expect(try target.pull.receive().string == "before")
                #expect(peer.isHungUpOn())
                let event = try target.context.await(target.monitor, "violation") {
                    if case .protocolViolation = $0 { true } else { false }
                }
                #expect(event.kind == .protocolViolation(rule))
                try target.serve()
            }
            try target.close()
        }

        @Test("A header that promises gigabytes costs nothing until they come", arguments: Setup.engines)
        func promises(setup: Setup) throws {
            let target = try Target(setup)
            let before = residentBytes()
            var peers: [RawPeer] = []
            for _ in 0..<20 {
                let peer = try RawPeer(target.endpoint)
                try peer.shakeHands(as: "PUSH")
                try peer.send([2, 0, 0, 0, 0x40, 0, 0, 0, 0, 1, 2, 3])
                peers.append(peer)
            }
            try target.pull.awaitPeers(21, in: target.context)
            try target.serve()
            #expect(residentBytes() - before < 32 << 20)
            peers = []
            try target.close()
        }

        /// Bytes of the budget; the floods are several times as large.
        private static let floodBound = 512 << 10

        @Test("A flood of PINGs, cut anywhere, costs no memory and leaves no trace", arguments: Setup.engines)
        func pings(setup: Setup) throws {
            let target = try Target(setup)
            let peer = try RawPeer(target.endpoint)
            try peer.shakeHands(as: "PUSH")
            let flood = [[UInt8]](repeating: RawPeer.ping([1, 2, 3]), count: 100_000).flatMap { $0 }
            // In pieces that are no multiple of a PING, with messages between whole ones.
            var generator = SeededGenerator(seed: 3)
            var at = 0
            while at < flood.count {
                let size = min([1, 7, 500, 1023, 8191, 65_537].randomElement(using: &generator)!, flood.count - at)
                try peer.send(Array(flood[at..<at + size]))
                at += size
                drain(peer)
            }
            try peer.send(RawPeer.frame(Array("behind the flood".utf8)))
            var message = try target.pull.receive()
            #expect(message.string == "behind the flood")
            // Byte by byte, with messages in the middle.
            for round in 0..<50 {
                let bytes =
                    RawPeer.ping() + RawPeer.ping([9]) + RawPeer.frame(Array("m\(round)".utf8)) + RawPeer.ping()
                for byte in bytes { try peer.send([byte]) }
                message = try target.pull.receive()
                #expect(message.string == "m\(round)")
            }
            // Commands inside a multipart message, cut across chunks.
            try peer.send(RawPeer.frame([1], flags: 1))
            for _ in 0..<300 { try peer.send(RawPeer.ping([1])) }
            try peer.send(RawPeer.frame([2]))
            #expect(try target.pull.receive() == [[1], [2]])
            #expect(target.memory.use.highest < Self.floodBound)
            _ = consume peer
            try target.close()
        }

        /// Takes what is there without waiting.
        private func drain(_ peer: RawPeer) {
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            while recv(peer.number, &bytes, bytes.count, Int32(MSG_DONTWAIT)) > 0 {}
        }

        @Test("PINGs for ever inside an unfinished message meet a limit", arguments: Setup.engines)
        func pingsInside(setup: Setup) throws {
            let target = try Target(setup)
            let peer = try RawPeer(target.endpoint)
            try peer.shakeHands(as: "PUSH")
            peer.pour(
                RawPeer.frame([1], flags: 1)
                    + [[UInt8]](repeating: RawPeer.ping([1]), count: 500_000).flatMap { $0 })
            #expect(peer.isHungUpOn())
            let event = try target.context.await(target.monitor, "violation") {
                if case .protocolViolation = $0 { true } else { false }
            }
            #expect(event.kind == .protocolViolation(.tooManyCommands))
            #expect(target.memory.use.highest < Self.floodBound)
            try target.close()
        }

        @Test("Frames with MORE for ever meet a limit", arguments: Setup.engines)
        func endlessMultipart(setup: Setup) throws {
            let target = try Target(setup, .test { $0.limits.maximumParts = 1000 })
            let peer = try RawPeer(target.endpoint)
            try peer.shakeHands(as: "PUSH")
            peer.pour([[UInt8]](repeating: [1, 0], count: 100_000).flatMap { $0 })
            #expect(peer.isHungUpOn())
            let event = try target.context.await(target.monitor, "violation") {
                if case .protocolViolation = $0 { true } else { false }
            }
            #expect(event.kind == .protocolViolation(.tooManyParts))
            try target.close()
        }

        @Test("A PUSH and a ROUTER live with a peer that sends what they do not want", arguments: Setup.engines)
        func others(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let router = try RouterSocket(context, .test)
            let intruder = try RawPeer(push.bind(setup.wildcard))
            try intruder.shakeHands(as: "PULL")
            // More than a small frame's worth for a socket that takes nothing.
            intruder.pour(RawPeer.frame([UInt8](repeating: 1, count: 1_000_000)))
            #expect(intruder.isHungUpOn())
            let zero = try RawPeer(router.bind(setup.wildcard))
            zero.pour(RawPeer.greeting + RawPeer.ready("DEALER", identity: "\0bad"))
            #expect(zero.isHungUpOn())
            // A broken frame behind a good one is no secret of theirs either.
            let monitor = push.monitor()
            let broken = try RawPeer(push.lastEndpoint)
            try broken.shakeHands(as: "PULL")
            broken.pour(RawPeer.frame([1]) + RawPeer.frame([2], flags: 1) + RawPeer.ping([3]) + [0xF8, 0])
            try context.await(monitor, "violation") { $0 == .protocolViolation(.reservedFlags) }
            // A subscription may be larger than other commands, wherever it comes.
            let subscriber = try RawPeer(push.lastEndpoint)
            try subscriber.shakeHands(as: "PULL")
            let prefix = [UInt8](repeating: 7, count: 500_000)
            try subscriber.send(RawPeer.frame([9] + Array("SUBSCRIBE".utf8) + prefix, flags: 4) + RawPeer.ping([4]))
            #expect(try subscriber.receiveFrame().body == [4] + Array("PONG".utf8) + [4])
            _ = consume subscriber
            try push.awaitPeers(0, in: context)
            let good = try RawPeer(push.lastEndpoint)
            try good.shakeHands(as: "PULL")
            try push.awaitPeers(1, in: context)
            try push.send("fine")
            #expect(try good.receiveFrame().body == Array("fine".utf8))
            context.close()
        }

        @Test(
            "A peer of ZMTP 1.0 sends bodies of every size", arguments: Setup.engines, [10, 300, 40_000, 500_000])
        func oldPeer(setup: Setup, size: Int) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 1 })
            let peer = try RawPeer(pull.bind(setup.wildcard))
            /// 13/ZMTP: a length that counts the flags octet, flags, body.
            func frame(_ body: [UInt8], more: UInt8 = 0) -> [UInt8] {
                let length = body.count + 1
                guard length >= 255 else { return [UInt8(length), more] + body }
                return [0xFF] + (0..<8).map { UInt8(truncatingIfNeeded: length >> ((7 - $0) * 8)) } + [more] + body
            }
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            let bytes =
                frame([]) + [[UInt8]](repeating: frame([1, 2], more: 1) + frame(body), count: 5).flatMap { $0 }
            let sender = Worker { peer.pour(bytes) }
            for _ in 0..<5 {
                let message = try pull.receive()
                #expect(message.count == 2 && message[0].bytes == [1, 2] && message[1].bytes == body)
            }
            #expect(sender.join())
            context.close()
        }
    }
}
