import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Batches") struct BatchTests {
        @Test("A batch is sent in order and taken in lots", arguments: Setup.all)
        func batches(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            for round in 0..<10 {
                try push.send(contentsOf: (0..<100).map { Message("\(round) \($0)") })
                var taken: [String] = []
                while taken.count < 100 {
                    let lot = try pull.receive(upTo: 7)
                    #expect((1...7).contains(lot.count))
                    taken += lot.map(\.string)
                }
                #expect(taken == (0..<100).map { "\(round) \($0)" })
            }
            context.close()
        }

        @Test("A task takes lots of at most the limit, in order, losing none", arguments: Setup.background)
        func asyncLots(setup: Setup) async throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let taking = Task(executorPreference: context.executor) {
                var taken: [String] = []
                while taken.count < 1000 {
                    let lot = try await pull.receive(upTo: 7)
                    guard (1...7).contains(lot.count) else { return ["a lot of \(lot.count)"] }
                    taken += lot.map(\.string)
                }
                return taken
            }
            for number in 0..<1000 { try await push.send("\(number)") }
            #expect(try await taking.value == (0..<1000).map(String.init))
            context.close()
        }

        @Test("A batch beyond the mark waits like single sends", arguments: Setup.background)
        func beyondMark(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 3 })
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 3 })
            try push.connect(pull.bind(setup.wildcard))
            let sender = Worker { try? push.send(contentsOf: (0..<500).map { Message("\($0)") }) }
            for number in 0..<500 { #expect(try pull.receive().string == "\(number)") }
            #expect(sender.join(within: 10))
            context.close()
        }

        @Test("A batch that stops tells how many went; the others are the caller's still", arguments: Setup.all)
        func stopped(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.sendHighWaterMark = 5 })
            let endpoint = try setup.reserve()
            try push.connect(endpoint)
            var batch = (0..<9).map { Message("\($0)") }
            // Nobody is there: exactly the mark is taken.
            let full = #expect(throws: BatchError.self) {
                try push.send(contentsOf: batch, until: .after(.milliseconds(20)))
            }
            #expect(full?.sent == 5 && full?.cause.code == .timedOut)
            batch.removeFirst(full?.sent ?? 0)
            let pull = try PullSocket(context, .test)
            try pull.bind(endpoint)
            for number in 0..<5 { #expect(try pull.receive().string == "\(number)") }
            #expect(try pull.tryReceive() == nil)
            try push.send(contentsOf: batch)
            for number in 5..<9 { #expect(try pull.receive().string == "\(number)") }
            #expect(try pull.tryReceive() == nil)
            push.close()
            let closed = #expect(throws: BatchError.self) { try push.send(contentsOf: batch) }
            #expect(closed?.sent == 0 && closed?.cause.code == .socketClosed)
            context.close()
        }
    }
}
