import Proactor
import Testing

@testable import ZeroMQ

extension Sockets {
    @Suite("Several loops") struct LoopsTests {
        @Test(
            "Peers are spread over the loops, and every message arrives in its peer's order",
            arguments: Setup.background, [2, 3])
        func spread(setup: Setup, loops: Int) throws {
            let context = try setup.context(loops: loops)
            let pull = try PullSocket(context, .test)
            let endpoint = try pull.bind(setup.wildcard)
            var workers: [Worker] = []
            for index in 0..<6 {
                workers.append(
                    Worker {
                        guard let push = try? PushSocket(context, .test) else { return }
                        try? push.connect(endpoint)
                        for number in 0..<500 { try? push.send([Frame("\(index)"), Frame("\(number)")]) }
                    })
            }
            var counts: [String: Int] = [:]
            for _ in 0..<3000 {
                let message = try pull.receive()
                let next = counts[message[0].string, default: 0]
                #expect(message[1].string == "\(next)")
                counts[message[0].string] = next + 1
            }
            #expect(counts.values.allSatisfy { $0 == 500 } && counts.count == 6)
            for worker in workers { #expect(worker.join(within: 10)) }
            #expect(context.close().isComplete)
        }

        @Test("Answers find their way over loops", arguments: Setup.background, [2, 3])
        func answers(setup: Setup, loops: Int) throws {
            let context = try setup.context(loops: loops)
            let router = try RouterSocket(context, .test)
            let endpoint = try router.bind(setup.wildcard)
            let askers = (0..<6).map { index in
                Worker {
                    guard let request = try? RequestSocket(context, .test) else { return }
                    try? request.connect(endpoint)
                    for number in 0..<100 {
                        try? request.send("\(index) \(number)")
                        let answer = try? request.receive().string
                        #expect(answer == "re \(index) \(number)")
                    }
                }
            }
            for _ in 0..<600 {
                var message = try router.receive()
                message[2] = Frame("re \(message[2].string)")
                try router.send(message)
            }
            for asker in askers { #expect(asker.join(within: 10)) }
            context.close()
        }

        @Test(
            "The connections of a socket, made and accepted, lie evenly on the loops that its affinity allows",
            arguments: Setup.background.filter { $0.wire != .inproc }, [0, 0b1, 0b10, 0b101, 0b110] as [UInt64])
        func affinity(setup: Setup, affinity: UInt64) throws {
            let context = try setup.context(loops: 3)
            let accepting = try RouterSocket(context, .test { $0.affinity = affinity })
            let endpoint = try accepting.bind(setup.wildcard)
            let partner = try RouterSocket(context, .test)
            let partnerEndpoint = try partner.bind(setup.wildcard)
            let dialing = try DealerSocket(context, .test { $0.affinity = affinity })
            var peers: [DealerSocket] = []
            for count in 1...12 {
                let peer = try DealerSocket(context, .test)
                try peer.connect(endpoint)
                try accepting.awaitPeers(count, in: context)
                try dialing.connect(partnerEndpoint)
                try dialing.awaitPeers(count, in: context)
                peers.append(peer)
            }
            let allowed = (0..<3).filter { affinity == 0 || affinity >> UInt64($0) & 1 == 1 }
            for socket in [accepting, dialing] {
                let loops = placement(of: socket, in: context)
                for loop in 0..<3 {
                    let wanted = allowed.contains(loop) ? 12 / allowed.count : 0
                    // The listener has a place as well.
                    #expect(
                        abs(loops[loop] - wanted) <= (allowed.contains(loop) ? 1 : 0), "\(loops), \(socket.type)")
                }
            }
            context.close()
        }

        /// How many connections of the socket each loop has.
        private func placement(of socket: Socket, in context: Context) -> [Int] {
            let doors = socket.core.registry.withLock { $0.connections.values.map(\.door) }
            return context.core.allDoors.map { door in doors.count { $0 === door } }
        }
    }
}
