import Glibc
import Proactor
import Synchronization
import Testing

@testable import ZeroMQ

extension Sockets {
    @Suite("The memory budget") struct MemoryBudgetTests {
        /// Whatever a test does, in the end all is given back.
        private static func balanced(
            _ limit: Int, sourceLocation: SourceLocation = #_sourceLocation, _ body: (MemoryBudget) throws -> Void
        ) rethrows {
            let budget = MemoryBudget(limit: limit)
            try body(budget)
            #expect(budget.use.used == 0, "\(budget.use)", sourceLocation: sourceLocation)
        }

        private static let unbounded: @Sendable (inout SocketOptions) -> Void = {
            $0.sendHighWaterMark = 0
            $0.receiveHighWaterMark = 0
            $0.linger = .zero
        }

        @Test("All that was taken is given back: chunks, bodies, what pools keep", arguments: Setup.all)
        func balance(setup: Setup) throws {
            let budget = MemoryBudget(limit: 64 << 20)
            var kept: [Message] = []
            do {
                let context = try setup.context(memory: budget)
                let (pull, push) = (try PullSocket(context, .test), try PushSocket(context, .test))
                try push.connect(pull.bind(setup.wildcard))
                for round in 0..<50 {
                    let message = Message([UInt8](repeating: UInt8(round), count: round % 5 == 0 ? 200_000 : 700))
                    try push.send(message)
                    kept.append(try pull.receive())
                }
                #expect(pull.statistics.memory.limit == 64 << 20)
                context.close()
            }
            // Of what the application holds, the large bodies that were received count: inproc hands over its own.
            #expect(budget.use.used == (setup.wire == .inproc ? 0 : 10 * 200_000))
            #expect(budget.use.highest > 200_000)
            kept = []
            #expect(budget.use.used == 0 && budget.use.cuts == 0 && budget.use.pauses == 0)
        }

        @Test(
            "At the limit receiving pauses without loss, and goes on by itself as messages are taken",
            arguments: Setup.engines, [1000, 5000, 100_000])
        func receiving(setup: Setup, size: Int) throws {
            try Self.balanced(1 << 20) { budget in
                let context = try setup.context(memory: budget)
                let pull = try PullSocket(context, .test(Self.unbounded))
                let endpoint = try pull.bind(setup.wildcard)
                let count = (24 << 20) / size
                let peer = try RawPeer(endpoint)
                try peer.shakeHands(as: "PUSH")
                let sender = Worker {
                    for number in 0..<count {
                        peer.pour(RawPeer.frame([UInt8](repeating: UInt8(number % 251), count: size)))
                    }
                }
                // Nothing is taken: it fills the limit and stops, however much there is.
                let isPaused = context.eventually { budget.use.pauses > 0 }
                #expect(isPaused, "\(budget.use)")
                #expect(budget.use.used < 3 << 20 && pull.statistics.messagesToTake < count)
                for number in 0..<count {
                    let message = try pull.receive()
                    guard message[0].count == size, message[0].bytes[size - 1] == UInt8(number % 251) else {
                        Issue.record("message \(number): \(message)")
                        break
                    }
                }
                #expect(sender.join(within: 10))
                #expect(budget.use.highest < 3 << 20, "\(budget.use)")
                #expect(pull.statistics.losses.isEmpty && budget.use.cuts == 0)
                #expect(pull.statistics.received.messages == count)
                context.close()
            }
        }

        @Test(
            "Messages that the application keeps hold the next ones back until it lets go", arguments: Setup.engines
        )
        func keeping(setup: Setup) throws {
            try Self.balanced(1 << 20) { budget in
                let context = try setup.context(memory: budget)
                let pull = try PullSocket(context, .test(Self.unbounded))
                let peer = try RawPeer(pull.bind(setup.wildcard))
                try peer.shakeHands(as: "PUSH")
                let sender = Worker {
                    for number in 0..<10 as Range<UInt8> {
                        peer.pour(RawPeer.frame([UInt8](repeating: number, count: 300_000)))
                    }
                }
                var kept: [Message] = []
                let isPaused = context.eventually {
                    while let message = try? pull.tryReceive() { kept.append(message) }
                    return budget.use.pauses > 0
                }
                #expect(isPaused && kept.count < 5, "\(kept.count), \(budget.use)")
                for number in UInt8(kept.count)..<10 {
                    // One goes, one comes.
                    kept.removeFirst()
                    kept.append(try pull.receive())
                    #expect(kept.last?.bytes == [UInt8](repeating: number, count: 300_000))
                }
                #expect(sender.join(within: 10) && pull.statistics.losses.isEmpty)
                context.close()
            }
        }

        @Test(
            "A send that finds no memory is refused, or waits until another socket gives some back",
            arguments: Setup.tcp)
        func sending(setup: Setup) throws {
            try Self.balanced(1 << 20) { budget in
                let context = try setup.context(memory: budget)
                let (hoarder, other) = (
                    try PushSocket(context, .test(Self.unbounded)), try PushSocket(context, .test(Self.unbounded))
                )
                try hoarder.connect(setup.reserve())
                try other.connect(setup.reserve())
                let chunk = Message([UInt8](repeating: 1, count: 1000))
                var sent = 0
                while try hoarder.trySend(chunk) == .sent { sent += 1 }
                #expect(sent > 900 && sent < 1200, "\(sent)")
                #expect(try other.trySend(Message(count: 40_000)) == .full)
                expectError(.timedOut) { try other.send(chunk, until: .after(.milliseconds(1))) }
                #expect(other.statistics.memory.isExhausted && budget.use.refusals > 0)
                if setup.drive == .callerDriven {
                    hoarder.close()
                    try other.send(chunk)
                } else {
                    let waiting = Worker { try? other.send(chunk) }
                    hoarder.close()
                    #expect(waiting.join(within: 5))
                }
                let isLost = context.eventually { hoarder.statistics.losses == [.lingerOver: sent] }
                #expect(isLost && other.statistics.messagesToSend == 0 && !budget.use.isExhausted)
                #expect(other.statistics.endpoints[0].toSend.messages == 1)
                context.close(timeout: .zero)
            }
        }

        @Test("A suspended send goes on when memory comes back", arguments: Setup.engines)
        func suspended(setup: Setup) async throws {
            let budget = MemoryBudget(limit: 1 << 20)
            let context = try setup.context(memory: budget)
            let push = try PushSocket(context, .test(Self.unbounded))
            try push.connect(setup.reserve())
            budget.charge(1 << 20)
            let sending = Task { try await push.send("x") }
            while budget.use.refusals == 0 { await Task.yield() }
            budget.release(1 << 20)
            try await sending.value
            #expect(push.statistics.endpoints[0].toSend.messages == 1)
            context.close(timeout: .zero)
        }

        @Test(
            "A half-received message that could never be finished is given up under its reason, and others are not",
            arguments: Setup.engines, [true, false])
        func cut(setup: Setup, isOneBody: Bool) throws {
            try Self.balanced(1 << 20) { budget in
                let context = try setup.context(memory: budget)
                let pull = try PullSocket(context, .test(Self.unbounded))
                let endpoint = try pull.bind(setup.wildcard)
                let (greedy, modest) = (try RawPeer(endpoint), try RawPeer(endpoint))
                try greedy.shakeHands(as: "PUSH")
                try modest.shakeHands(as: "PUSH")
                let sender = Worker {
                    if isOneBody {
                        greedy.pour(RawPeer.frame([UInt8](repeating: 1, count: 4 << 20)))
                    } else {
                        for _ in 0..<1000 {
                            greedy.pour(RawPeer.frame([UInt8](repeating: 1, count: 5000), flags: 1))
                        }
                    }
                }
                let isCut = context.eventually { pull.statistics.losses == [.memory: 1] }
                #expect(isCut, "\(pull.statistics.losses) \(budget.use)")
                #expect(greedy.isHungUpOn() && budget.use.cuts == 1)
                #expect(sender.join(within: 10))
                try modest.send(RawPeer.frame([7]))
                #expect(try pull.receive() == [[7]])
                #expect(pull.statistics.endpoints[0].losses == [.memory: 1])
                context.close()
            }
        }

        @Test(
            "Of two half-received messages too many, one is given up and the other arrives",
            arguments: Setup.engines)
        func two(setup: Setup) throws {
            try Self.balanced(4 << 20) { budget in
                let context = try setup.context(memory: budget)
                let pull = try PullSocket(context, .test(Self.unbounded))
                let endpoint = try pull.bind(setup.wildcard)
                let peers = try (0..<2).map { _ in try RawPeer(endpoint) }
                for peer in peers { try peer.shakeHands(as: "PUSH") }
                let body = RawPeer.frame([UInt8](repeating: 1, count: 3 << 20))
                // Half of each first, so that each holds some before both want the rest.
                for peer in peers { try peer.send(Array(body[..<(3 << 19)])) }
                let areHeld = context.eventually { budget.use.used >= 3 << 20 }
                #expect(areHeld, "\(budget.use)")
                let rests = peers.map { peer in Worker { peer.pour(Array(body[(3 << 19)...])) } }
                #expect(try pull.receive()[0].count == 3 << 20)
                let isCut = context.eventually { pull.statistics.losses == [.memory: 1] }
                #expect(isCut, "\(pull.statistics.losses) \(budget.use)")
                for rest in rests { #expect(rest.join(within: 10)) }
                context.close()
            }
        }

        @Test("A socket at its share waits alone", arguments: Setup.engines)
        func share(setup: Setup) throws {
            try Self.balanced(16 << 20) { budget in
                let context = try setup.context(memory: budget)
                let small = try PullSocket(
                    context,
                    .test {
                        Self.unbounded(&$0)
                        $0.memoryShare = 256 << 10
                    })
                let large = try PullSocket(context, .test(Self.unbounded))
                let (toSmall, toLarge) = (
                    try RawPeer(small.bind(setup.wildcard)), try RawPeer(large.bind(setup.wildcard))
                )
                for peer in [toSmall, toLarge] { try peer.shakeHands(as: "PUSH") }
                let senders = [toSmall, toLarge].map { peer in
                    Worker { for _ in 0..<4000 { peer.pour(RawPeer.frame([UInt8](repeating: 1, count: 1000))) } }
                }
                let isPaused = context.eventually { small.statistics.memory.pauses > 0 }
                #expect(isPaused && small.statistics.memory.limit == 256 << 10)
                for _ in 0..<4000 { #expect(try large.receive()[0].count == 1000) }
                #expect(small.statistics.messagesToTake < 2000 && large.statistics.memory.limit == 16 << 20)
                for _ in 0..<4000 { #expect(try small.receive()[0].count == 1000) }
                for sender in senders { #expect(sender.join(within: 10)) }
                context.close()
                #expect(budget.use.highest < 16 << 20)
            }
        }

        @Test("Shares and limits out of range are refused; the default is a part of the machine's memory")
        func ranges() throws {
            let context = try Setup().context()
            expectError(.invalidOption) { _ = try PullSocket(context, .test { $0.memoryShare = 65535 }) }
            #expect(try PullSocket(context, .test).statistics.memory.limit == MemoryBudget.process.limit)
            context.close()
            let machine = Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
            #expect(MemoryBudget.process.limit <= machine / 2 && MemoryBudget.process.limit >= 64 << 10)
        }

        @Test("The limit holds at a sixteenth below itself before anything goes on")
        func hysteresis() {
            let budget = MemoryBudget(limit: 1 << 20)
            budget.charge((1 << 20) - 1)
            #expect(!budget.isExhausted)
            budget.charge(1)
            #expect(budget.isExhausted)
            budget.release(65535)
            #expect(budget.isExhausted)
            budget.release(1)
            #expect(!budget.isExhausted)
            #expect(!budget.reserve(65537) && budget.reserve(65536) && budget.isExhausted)
            budget.release(1 << 20)
            #expect(budget.use.used == 0 && budget.use.highest == 1 << 20)
        }

        @Test("No wake is lost between threads that wait for memory and threads that give it back")
        func stress() {
            let seed = UInt64.random(in: 0...(.max))
            print("seed \(seed)")
            let budget = MemoryBudget(limit: 1 << 20)
            let share = MemoryBudget(limit: 700_000, within: budget)
            let workers = (0..<4 as Range<UInt64>).map { number in
                Worker {
                    var random = SeededGenerator(seed: seed &+ number)
                    let mine = number % 2 == 0 ? budget : share
                    let waiter = SleepingWaiter()
                    for round in 0..<20_000 {
                        let bytes = Int.random(in: 1..<400_000, using: &random)
                        if round % 2 == 0 {
                            while mine.isExhausted {
                                let seen = waiter.counter.value
                                if mine.enlist(waiter) {
                                    waiter.counter.sleep(while: seen, until: .after(.seconds(20)))
                                }
                            }
                            mine.charge(bytes)
                        } else {
                            while true {
                                let seen = waiter.counter.value
                                if mine.reserve(bytes) { break }
                                mine.enlistHungry(waiter)
                                if mine.reserve(bytes) { break }
                                waiter.counter.sleep(while: seen, until: .after(.seconds(20)))
                            }
                        }
                        mine.release(bytes)
                    }
                }
            }
            // A lost wake sleeps for longer than this watchdog waits.
            for worker in workers { #expect(worker.join(within: 15)) }
            #expect(budget.use.used == 0 && share.use.used == 0)
        }

        private final class SleepingWaiter: MemoryWaiter {
            let counter = FutexCounter()
            func memoryCame() { counter.advance() }
        }
    }
}

extension Message {
    fileprivate init(count: Int) { self.init([UInt8](repeating: 0, count: count)) }
}
