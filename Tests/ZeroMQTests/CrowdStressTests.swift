import Glibc
import Proactor
import Synchronization
import Testing
import ZeroMQ

extension Sockets {
    /// Many callers on one half: `Crowd`.
    @Suite("Many callers at once") struct CrowdStressTests {
        static let seed = UInt64.random(in: 0...(.max))

        /// What the receivers have seen, by sender: each number once, and in order for each receiver.
        private struct Book {
            var seen: [Int: Set<Int>] = [:]
            var wrong = 0
        }

        /// Tells what a receiver gets to the book; one for each receiver.
        private struct Reader {
            let book: Shared<Book>
            var last: [Int: Int] = [:]

            mutating func note(_ text: String) {
                let parts = text.split(separator: " ").compactMap { Int($0) }
                let (sender, number) = (parts[0], parts[1])
                let isInOrder = last[sender, default: -1] < number
                last[sender] = number
                book.change { book in
                    if !isInOrder || !book.seen[sender, default: []].insert(number).inserted { book.wrong += 1 }
                }
            }
        }

        @Test(
            "Threads and tasks send on one socket and receive from one: each message once, in its sender's order",
            arguments: Setup.background, [1, 100])
        func both(setup: Setup, mark: Int) async throws {
            print("crowd stress seed \(Self.seed)")
            let context = try setup.context()
            let scatter = try ScatterSocket(
                context,
                .test {
                    $0.sendHighWaterMark = mark; $0.sendTimeout = nil
                })
            let gather = try GatherSocket(
                context,
                .test {
                    $0.receiveHighWaterMark = mark; $0.receiveTimeout = nil
                })
            try scatter.connect(gather.bind(setup.wildcard))
            let book = Shared(Book())
            let each = 1000
            // Blocking threads, some with short deadlines, and tasks, some of which are cancelled while they wait.
            let receivers = (0..<2).map { index in
                Worker {
                    var generator = SeededGenerator(seed: Self.seed &+ UInt64(index))
                    var reader = Reader(book: book)
                    while true {
                        do {
                            let span = Duration.microseconds(Int.random(in: 0...300, using: &generator))
                            reader.note(try gather.receive(until: index == 0 ? .after(span) : nil).string)
                        } catch let error as ZeroMQError where error.code == .timedOut {
                            continue
                        } catch { return }
                    }
                }
            }
            let steady = Task {
                var reader = Reader(book: book)
                for try await message in gather.messages { reader.note(message.string) }
            }
            let hasty = Task {
                var reader = Reader(book: book)
                while !Task.isCancelled {
                    let receiving = Task { try await gather.receive() }
                    await Task.yield()
                    receiving.cancel()
                    switch await receiving.result {
                    case .success(let message): reader.note(message.string)
                    case .failure(let error): if (error as? ZeroMQError)?.code == .socketClosed { return }
                    }
                }
            }
            let threads = (0..<2).map { sender in
                Worker {
                    for number in 0..<each { try? scatter.send("\(sender) \(number)") }
                }
            }
            let tasks = (2..<4).map { sender in
                Task { for number in 0..<each { try await scatter.send("\(sender) \(number)") } }
            }
            // One that gives up and tries again: what was not sent stays with it.
            let impatient = Worker {
                var generator = SeededGenerator(seed: Self.seed &- 1)
                var number = 0
                while number < each {
                    let span = Duration.microseconds(Int.random(in: 0...200, using: &generator))
                    do {
                        try scatter.send("4 \(number)", until: .after(span))
                        number += 1
                    } catch {}
                }
            }
            for thread in threads { #expect(await thread.ends(), "a wake was lost: seed \(Self.seed)") }
            #expect(await impatient.ends())
            for task in tasks { try await task.value }
            var turns = 0
            while book.value.seen.values.reduce(0, { $0 + $1.count }) < 5 * each, turns < 20_000 {
                turns += 1
                try await Task.sleep(for: .microseconds(500))
            }
            #expect(book.value.wrong == 0, "seed \(Self.seed)")
            #expect((0..<5).allSatisfy { book.value.seen[$0]?.count == each }, "seed \(Self.seed)")
            hasty.cancel()
            gather.close()
            await hasty.value
            try await steady.value
            for receiver in receivers { #expect(await receiver.ends()) }
            context.close()
        }

        @Test("Tasks ask one SERVER through one CLIENT, all at once", arguments: Setup.background)
        func clients(setup: Setup) async throws {
            let context = try setup.context()
            let server = try ServerSocket(context, .test { $0.sendHighWaterMark = 4 })
            let client = try ClientSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 4; $0.receiveHighWaterMark = 4
                })
            try client.connect(server.bind(setup.wildcard))
            let serving = (0..<3).map { _ in
                Task {
                    for try await request in server.messages {
                        try await server.send(request.message, to: request.routingID)
                    }
                }
            }
            let answers = Shared<[String: Int]>([:])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<4 {
                    group.addTask {
                        for number in 0..<500 { try await client.send("\(index) \(number)") }
                    }
                    group.addTask {
                        for _ in 0..<500 {
                            let answer = try await client.receive().string
                            answers.change { $0[answer, default: 0] += 1 }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(answers.value.count == 2000 && answers.value.values.allSatisfy { $0 == 1 })
            server.close()
            for task in serving { try await task.value }
            context.close()
        }

        @Test("Senders that wait for different clients are each woken by their own", arguments: Setup.background)
        func directed(setup: Setup) throws {
            let context = try setup.context()
            let server = try ServerSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 1; $0.sendTimeout = nil
                })
            let endpoint = try server.bind(setup.wildcard)
            let clients = try (0..<3).map { _ in try ClientSocket(context, .test { $0.receiveHighWaterMark = 1 }) }
            var numbers: [UInt32] = []
            for client in clients {
                try client.connect(endpoint)
                try client.send("hello")
                numbers.append(try server.receive().routingID)
            }
            let rounds = 60
            let body = [UInt8](repeating: 7, count: 200_000)
            let senders = numbers.flatMap { number in
                (0..<2).map { _ in Worker { for _ in 0..<rounds { try? server.send(Message(body), to: number) } } }
            }
            // One client after the other: while the first is served the others' senders wait.
            for client in clients.reversed() {
                for _ in 0..<2 * rounds { #expect(try client.receive().byteCount == body.count) }
            }
            for sender in senders { #expect(sender.join(), "a wake was lost") }
            context.close()
        }

        @Test("Closing ends every wait of every caller", arguments: Setup.background)
        func closing(setup: Setup) async throws {
            let context = try setup.context()
            let client = try ClientSocket(
                context,
                .test {
                    $0.receiveTimeout = nil; $0.sendTimeout = nil
                })
            let receivers = (0..<3).map { _ in Worker { expectError(.socketClosed) { _ = try client.receive() } } }
            let senders = (0..<3).map { _ in Worker { expectError(.socketClosed) { try client.send("x") } } }
            let tasks = (0..<3).map { _ in Task { try await client.receive() } }
            await Task.yield()
            client.close()
            for worker in receivers + senders { #expect(await worker.ends()) }
            for task in tasks {
                let result = await task.result
                guard case .failure(let error) = result else {
                    return #expect(Bool(false), "a message from nowhere")
                }
                #expect((error as? ZeroMQError)?.code == .socketClosed)
            }
            context.close()
        }
    }
}
