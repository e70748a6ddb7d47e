import Testing
import ZeroMQ

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
    }
}
