import Testing

@testable import Proactor

/// What is true of the epoll engine alone: its costs, and the kernels without epoll_pwait2.
struct EpollTests {
    @Test("With completions waiting only every eighth turn enters the kernel, and each transfer is one system call")
    func costs() throws {
        var engine = try EpollBackend(EngineConfiguration())
        var batch = CompletionBatch()
        let (near, far) = try Descriptor.pair().release()
        let (sender, receiver) = (
            try engine.adopt(Descriptor(owning: near)), try engine.adopt(Descriptor(owning: far))
        )
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        let before = engine.counters
        let rounds: UInt64 = 800
        for _ in 0..<rounds {
            engine.send(sender, UnsafeRawBufferPointer(memory), toCompletion: true)
            engine.receive(receiver, into: memory, untilFull: true)
            try engine.wait(until: nil, into: &batch)
            #expect(batch.count == 2)
        }
        #expect(engine.counters.systemCalls - before.systemCalls == 2 * rounds)
        #expect(engine.counters.kernelEntries - before.kernelEntries <= rounds / 8)
    }

    @Test("A short receive uses the edge up: a round trip that waits asks the kernel for nothing in vain")
    func noVainCalls() throws {
        var engine = try EpollBackend(EngineConfiguration())
        var batch = CompletionBatch()
        let (near, far) = try Descriptor.pair().release()
        let (left, right) = (
            try engine.adopt(Descriptor(owning: near)), try engine.adopt(Descriptor(owning: far))
        )
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        let byte = UnsafeRawBufferPointer(rebasing: memory[0..<1])
        let room = UnsafeMutableRawBufferPointer(rebasing: memory[32...])
        // The first receive finds nothing, once.
        engine.receive(right, into: room, untilFull: false)
        var before = EngineCounters()
        for round in 0..<100 {
            engine.send(left, byte, toCompletion: true)
            var outstanding = 2
            while outstanding > 0 {
                try engine.wait(until: .after(.seconds(5)), into: &batch)
                try #require(batch.count > 0)
                outstanding -= batch.count
            }
            engine.receive(right, into: room, untilFull: false)
            if round == 0 { before = engine.counters }
        }
        #expect(engine.counters.systemCalls - before.systemCalls == 2 * 99)
    }

    @Test("Without epoll_pwait2 deadlines are rounded up: a wait is never early, and does not spin")
    func milliseconds() throws {
        var engine = try EpollBackend(EngineConfiguration(), allowNanoseconds: false)
        #expect(engine.report.features.allSatisfy { !$0.isUsed && !$0.reason.isEmpty })
        var batch = CompletionBatch()
        for microseconds in [1, 300, 1500, 3999] {
            let deadline = Deadline.after(.microseconds(microseconds))
            let entries = engine.counters.kernelEntries
            try engine.wait(until: deadline, into: &batch)
            #expect(Deadline.now >= deadline)
            #expect(engine.counters.kernelEntries - entries <= 2)
        }
        let timer = engine.startTimer(at: .after(.microseconds(700)), every: nil)
        try engine.wait(until: nil, into: &batch)
        #expect(batch.count == 1 && batch[0].token == timer)
    }
}
