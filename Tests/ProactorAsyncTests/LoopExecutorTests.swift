import Glibc
import Synchronization
import Testing

@testable import Proactor

@Suite("The executor of a loop", .timeLimit(.minutes(1)))
struct LoopExecutorTests {
    private final class Count: Sendable {
        let value = Atomic<Int>(0)
        func add() { value.add(1, ordering: .sequentiallyConsistent) }
        var now: Int { value.load(ordering: .sequentiallyConsistent) }
    }

    @Test("Jobs of others wake the loop only when it rests, and once per rest")
    func wakes() async throws {
        let wakes = Count()
        let ran = Count()
        let executor = LoopExecutor { wakes.add() }
        Task(executorPreference: executor) { ran.add() }
        #expect(wakes.now == 0)
        let couldRest = await onThread { executor.prepareToRest() }
        #expect(!couldRest)
        let count = await onThread { executor.runJobs() }
        #expect(count == 1)
        #expect(ran.now == 1)
        let canRest = await onThread { executor.prepareToRest() }
        #expect(canRest)
        Task(executorPreference: executor) { ran.add() }
        Task(executorPreference: executor) { ran.add() }
        #expect(wakes.now == 1)
        _ = await onThread { executor.runJobs() }
        #expect(ran.now == 3)
        #expect(wakes.now == 1)
    }

    @Test("Jobs of the loop's own thread wake nobody")
    func ownJobs() async throws {
        let wakes = Count()
        let executor = LoopExecutor { wakes.add() }
        let rested = await onThread {
            executor.claimThread()
            let rested = executor.prepareToRest()
            Task(executorPreference: executor) {}
            executor.runJobs()
            return rested
        }
        #expect(rested)
        #expect(wakes.now == 0)
    }

    @Test("A call runs what was there at its start, not what that enqueues")
    func bounded() async throws {
        let executor = LoopExecutor {}
        let counts = await onThread {
            Task(executorPreference: executor) {
                for _ in 0..<3 { await Task.yield() }
            }
            return (0..<10).map { _ in executor.runJobs() }
        }
        #expect(counts.prefix(4) == [1, 1, 1, 1])
        #expect(counts.max() == 1 && counts.last == 0)
    }

    @Test("Identity: its thread is isolated, others are not")
    func identity() async throws {
        let executor = LoopExecutor {}
        let other = LoopExecutor {}
        let inside = Count()
        await onThread {
            Task(executorPreference: executor) {
                executor.checkIsolated()
                if executor.isOnLoop, executor.isIsolatingCurrentContext() == true { inside.add() }
            }
            executor.runJobs()
        }
        #expect(inside.now == 1)
        #expect(executor.isIsolatingCurrentContext() == false)
        #expect(executor.isSameExclusiveExecutionContext(other: executor))
        #expect(!executor.isSameExclusiveExecutionContext(other: other))
    }

    @Test("After the end jobs still run, one at a time")
    func remains() async throws {
        let executor = LoopExecutor {}
        let before = Task(executorPreference: executor) { executor.isOnLoop }
        executor.finish()
        #expect(await before.value)
        let running = Count()
        let overlaps = Count()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask(executorPreference: executor) {
                    running.add()
                    if running.now > 1 || !executor.isOnLoop { overlaps.add() }
                    running.value.subtract(1, ordering: .sequentiallyConsistent)
                    await Task.yield()
                }
            }
        }
        #expect(overlaps.now == 0)
    }

    /// Runs a body on a thread of its own.
    private func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            do {
                try SystemThread.start(named: "test") { continuation.resume(returning: body()) }
            } catch { fatalError("\(error)") }
        }
    }
}

/// An actor whose isolation is a loop's thread.
private actor Resident {
    private let loop: ProactorLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor.asUnownedSerialExecutor() }

    init(_ loop: ProactorLoop) { self.loop = loop }

    /// Whether it was on the loop's thread all the time.
    func exchange(_ left: AsyncConnection, _ right: AsyncConnection) async throws -> Bool {
        var isResident = loop.executor.isOnLoop
        for round in 0..<10 {
            try await left.send([UInt8(round)])
            isResident = isResident && loop.executor.isOnLoop
            let bytes = try await right.receive(until: .after(.seconds(10)))
            isResident = isResident && loop.executor.isOnLoop && bytes == [UInt8(round)]
        }
        return isResident
    }
}

@Suite("Where tasks run", .timeLimit(.minutes(1)))
struct ResidenceTests {
    @Test("A task that prefers the loop stays on its thread through every operation", arguments: backends)
    func preference(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            let isResident = try await loop.run {
                var isResident = loop.executor.isOnLoop
                for round in 0..<100 {
                    try await left.send([UInt8(round)])
                    isResident = isResident && loop.executor.isOnLoop
                    let bytes = try await right.receive(until: .after(.seconds(10)))
                    isResident = isResident && loop.executor.isOnLoop && bytes == [UInt8(round)]
                }
                try await loop.sleep(until: .after(.milliseconds(1)))
                return isResident && loop.executor.isOnLoop
            }
            #expect(isResident)
            #expect(!loop.executor.isOnLoop)
        }
    }

    @Test("An actor whose executor is the loop stays on its thread", arguments: backends)
    func actor(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            #expect(try await Resident(loop).exchange(left, right))
        }
    }
}
