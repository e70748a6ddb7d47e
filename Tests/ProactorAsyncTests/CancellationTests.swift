import Glibc
import Testing

@testable import Proactor

@Suite("Cancels, deadlines and the end", .timeLimit(.minutes(2)))
struct CancellationTests {
    @Test("A cancelled receive ends, and its buffer is its task's again", arguments: backends)
    func buffer(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            let task = Task {
                var buffer = OwnedBuffer(capacity: 16)
                buffer.append([7])
                let code = await failure { [right] in _ = try await right.receive(into: &buffer) }
                buffer.append([8])
                return (code, buffer.array())
            }
            // Cancelled at any point of its way: before the start, on its way, in the kernel.
            await Task.yield()
            task.cancel()
            let (code, bytes) = await task.value
            #expect(code == .cancelled)
            #expect(bytes == [7, 8])
            try await left.send([9])
            #expect(try await right.receive(until: .after(.seconds(10))) == [9])
        }
    }

    @Test("Cancels and deadlines lose no byte", arguments: backends, [true, false])
    func noByteLost(_ backend: BackendChoice, byCancel: Bool) async throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            let total = 500
            let sender = Task {
                var state = seed
                for number in 0..<total {
                    try await left.send([UInt8(truncatingIfNeeded: number)])
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    if state >> 62 == 0 { await Task.yield() }
                }
                try await left.shutdown()
            }
            var seen: [UInt8] = []
            var cuts = 0
            var isOver = false
            while !isOver {
                let task = Task { () -> [UInt8]? in
                    try await right.receive(until: byCancel ? nil : .after(.microseconds(20)))
                }
                if byCancel {
                    await Task.yield()
                    task.cancel()
                }
                do {
                    if let bytes = try await task.value { seen += bytes } else { isOver = true }
                } catch let error as LoopError {
                    #expect(error.code == (byCancel ? .cancelled : .deadlinePassed))
                    cuts += 1
                }
                // Where every receive ends before its start, nothing would ever come.
                if cuts % 3 == 2 {
                    if let bytes = try await right.receive() { seen += bytes } else { isOver = true }
                    cuts += 1
                }
            }
            try await sender.value
            #expect(seen == (0..<total).map { UInt8(truncatingIfNeeded: $0) })
        }
    }

    @Test("A cancelled accept loses no connection", arguments: backends)
    func acceptCancels(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let listener = try await loop.listen(on: loopback)
            let address = listener.localAddress!
            let clients = Task {
                var clients: [AsyncConnection] = []
                for _ in 0..<50 { clients.append(try await loop.connect(to: address)) }
                return clients
            }
            var accepted: [AsyncConnection] = []
            while accepted.count < 50 {
                let task = Task { try await listener.accept(until: .after(.seconds(10))) }
                await Task.yield()
                if accepted.count % 2 == 0 { task.cancel() }
                if let connection = try? await task.value {
                    accepted.append(connection)
                } else if accepted.count % 2 == 0 {
                    accepted.append(try await listener.accept(until: .after(.seconds(10))))
                }
            }
            #expect(try await clients.value.count == 50)
            #expect(await failure { _ = try await listener.accept(until: .distantPast) } == .deadlinePassed)
        }
    }

    @Test("Every call ends at its deadline, and not before", arguments: backends)
    func deadlines(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            let listener = try await loop.listen(on: loopback)
            let start = Deadline.now
            let deadline = start + .milliseconds(20)
            #expect(await failure { _ = try await right.receive(until: deadline) } == .deadlinePassed)
            #expect(Deadline.now >= deadline)
            #expect(await failure { _ = try await listener.accept(until: deadline) } == .deadlinePassed)
            do {
                // Nobody receives: the kernel's buffers fill, the rest must be cut.
                try await left.send([UInt8](repeating: 1, count: 10_000_000), until: .after(.milliseconds(20)))
                Issue.record("ten megabytes went nowhere")
            } catch {
                let error = try #require(error as? LoopError)
                #expect(error.code == .deadlinePassed)
                #expect(error.transferred > 0 && error.transferred < 10_000_000)
            }
        }
    }

    @Test("A sleep lasts until its deadline, or until its task is cancelled", arguments: backends)
    func sleeps(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let deadline = Deadline.after(.milliseconds(10))
            try await loop.sleep(until: deadline)
            #expect(Deadline.now >= deadline)
            let task = Task { try await loop.sleep(until: .after(.seconds(3600))) }
            await Task.yield()
            task.cancel()
            #expect(await failure { try await task.value } == .cancelled)
        }
    }

    @Test("An operation of a cancelled task starts nothing", arguments: backends)
    func cancelledBefore(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            try await left.send([1])
            let task = Task { () -> LoopError.Code? in
                while !Task.isCancelled { await Task.yield() }
                return await failure { _ = try await right.receive() }
            }
            task.cancel()
            #expect(await task.value == .cancelled)
            #expect(try await right.receive() == [1])
        }
    }

    @Test("A close ends what is in flight, and may come twice", arguments: backends)
    func closing(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            let receiver = Task { await failure { _ = try await right.receive() } }
            try await left.send([])
            await right.close()
            await right.close()
            #expect(await receiver.value == .closed)
            #expect(await failure { _ = try await right.receive() } == .closed)
            #expect(try await left.receive(until: .after(.seconds(10))) == nil)
        }
    }

    @Test("The end of a loop ends every wait, and everything after", arguments: backends, [true, false])
    func shutdown(_ backend: BackendChoice, fromLoop: Bool) async throws {
        let loop = try ProactorLoop(backend)
        let (left, right) = try await pair(loop)
        let (sender, silent) = try await pair(loop)
        let listener = try await loop.listen(on: loopback)
        let preference: LoopExecutor? = fromLoop ? loop.executor : nil
        let waits = [
            Task(executorPreference: preference) { await failure { _ = try await right.receive() } },
            Task(executorPreference: preference) { await failure { _ = try await listener.accept() } },
            Task(executorPreference: preference) {
                await failure { try await loop.sleep(until: .after(.seconds(3600))) }
            },
            Task(executorPreference: preference) {
                await failure { try await sender.send([UInt8](repeating: 1, count: 10_000_000)) }
            },
        ]
        await Task.yield()
        await Task(executorPreference: preference) { await loop.shutdown() }.value
        for wait in waits { #expect(await wait.value == .shutDown) }
        await loop.shutdown()
        #expect(await failure { _ = try await left.receive() } == .shutDown)
        #expect(await failure { _ = try await loop.connect(to: listener.localAddress!) } == .shutDown)
        #expect(await failure { try await loop.sleep(until: .distantPast) } == .shutDown)
        #expect(await Task(executorPreference: loop.executor) { 42 }.value == 42)
        withExtendedLifetime(silent) {}
    }

    @Test("A loop without references ends by itself, and its sockets with it", arguments: backends)
    func forgotten(_ backend: BackendChoice) async throws {
        let (left, right) = try Descriptor.pair().release()
        do {
            let loop = try ProactorLoop(backend)
            _ = try await loop.adopt(Descriptor(owning: left))
        }
        try await withLoop(backend) { other in
            let peer = try await other.adopt(Descriptor(owning: right))
            #expect(try await peer.receive(until: .after(.seconds(10))) == nil)
        }
    }
}
