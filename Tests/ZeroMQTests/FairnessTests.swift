import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    @Suite("Fairness") struct FairnessTests {
        @Test("While several peers are readable, each gives one message in turn", arguments: Setup.all)
        func fairQueueing(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let endpoint = try pull.bind(setup.wildcard)
            var pushes: [PushSocket] = []
            for index in 0..<4 {
                let push = try PushSocket(context, .test)
                try push.connect(endpoint)
                for _ in 0..<50 { try push.send("\(index)") }
                pushes.append(push)
            }
            let isThere = context.eventually { pull.statistics.messagesToTake == 200 }
            #expect(isThere)
            for _ in 0..<50 {
                let round = try (0..<4).map { _ in try pull.receive().string }
                #expect(Set(round).count == 4, "\(round)")
            }
            context.close()
        }

        /// But for those that `PatternRules` shows, and those with one peer at a time to hear.
        private static let further: [SocketType] = SocketType.allCases.filter {
            $0.receives && !PatternRules.gathering.contains($0)
                && ![.sub, .dish, .pair, .channel, .req].contains($0)
        }

        @Test(
            "So do all other types that hear several peers: CLIENT, XPUB, XSUB", arguments: Setup.engines, further)
        func others(setup: Setup, type: SocketType) throws {
            let context = try setup.context()
            let socket = try type.make(context)
            let endpoint = try socket.bind(setup.wildcard)
            let peerType = try #require(SocketType.allCases.first { $0.isCompatible(with: type) })
            let peers = try (10..<13).map { number in
                let raw = try RawPeer(endpoint)
                try raw.shakeHands(as: peerType.name)
                try raw.send((0..<5).flatMap { _ in RawPeer.frame([UInt8(number)]) })
                return raw
            }
            let areThere = context.eventually { socket.statistics.messagesToTake == 15 }
            try #require(areThere, "\(socket.statistics.messagesToTake)")
            for _ in 0..<5 {
                let round = try (0..<3).map { _ in
                    if let shared = socket as? any SharedReceivingSocket { return try shared.receive().bytes }
                    return try (socket as! any ReceivingSocket).receive().bytes
                }
                #expect(Set(round) == [[10], [11], [12]])
            }
            withExtendedLifetime(peers) {}
            context.close()
        }

        @Test("Messages go to the peers in turn", arguments: Setup.all)
        func loadBalancing(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            var pulls: [PullSocket] = []
            for index in 0..<3 {
                let pull = try PullSocket(context, .test)
                try push.connect(pull.bind(setup.wire == .inproc ? "inproc://\(index)" : setup.wildcard))
                pulls.append(pull)
            }
            for number in 0..<60 { try push.send("\(number)") }
            for number in 0..<60 { #expect(try pulls[number % 3].receive().string == "\(number)") }
            context.close()
        }

        @Test(
            "A peer at its mark is passed over until it takes again",
            arguments: Setup.background.filter { $0.wire == .inproc })
        func slowPeer(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 1 })
            let slow = try PullSocket(context, .test { $0.receiveHighWaterMark = 1 })
            let quick = try PullSocket(context, .test { $0.receiveHighWaterMark = 1 })
            try slow.bind("inproc://slow")
            try quick.bind("inproc://quick")
            try push.connect("inproc://slow")
            try push.connect("inproc://quick")
            var taken = 0
            for _ in 0..<50 {
                try push.send("x")
                while try quick.tryReceive() != nil { taken += 1 }
            }
            #expect(taken == 48)
            for _ in 0..<2 { _ = try slow.receive() }
            for _ in 0..<4 { try push.send("y") }
            #expect(try slow.receive().string == "y" && slow.receive().string == "y")
            context.close()
        }
    }
}
