import CLiburing
import Glibc
import Synchronization
import Testing

@testable import Proactor

@Suite("io_uring", .enabled(if: RingAvailability.refusal == nil, "\(RingAvailability.refusal ?? "")"))
struct RingTests {
    static let rungs = ["5.11", "5.17", "5.18", "5.19", "6.0", "6.1", "6.7", "6.12", "99.0"]

    static func configuration(_ version: String) -> EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.features = .kernel(KernelVersion(version)!)
        return configuration
    }

    @Test("Pool receives, quiet sends, cancels and closes work on every rung", arguments: rungs)
    func rung(_ version: String) throws {
        var bench = try RingBench(Self.configuration(version))
        let (near, far) = try bench.pair()
        let receiving = bench.engine.receive(far, multishot: true)
        for text: StaticString in ["one", "two", "three"] {
            try bench.send(text, on: near)
            let completion = try bench.next(receiving)
            #expect(completion.flags == [.more, .buffer])
            #expect(bench.engine.buffer(completion.buffer)[0] == text.utf8Start[0])
            bench.engine.recycle(completion.buffer)
        }
        let word: StaticString = "quiet"
        bench.engine.sendQuietly(near, UnsafeRawBufferPointer(start: word.utf8Start, count: 5))
        #expect(bench.engine.isSending(near) == true)
        let quiet = try bench.next(receiving)
        #expect(quiet.result == 5)
        bench.engine.recycle(quiet.buffer)
        try bench.turn { !$0.isSending(near) }
        bench.engine.cancel(receiving)
        let last = try bench.next(receiving)
        #expect(last.result == -ECANCELED && !last.hasMore)
        let closing = bench.engine.close(near)
        #expect(try bench.next(closing).result == 0)
        #expect(bench.engine.counters.buffersOut == 0)
        #expect(bench.collected.isEmpty, "nothing else completes")
    }

    @Test("A masked feature is not used", arguments: EngineFeatures.table.map(\.name))
    func mask(_ name: String) throws {
        let row = EngineFeatures.table.first { $0.name == name }!
        var configuration = EngineConfiguration()
        configuration.features.remove(row.feature)
        var bench = try RingBench(configuration)
        let entry = bench.engine.report.features.first { $0.name == name }!
        #expect(!entry.isUsed && entry.reason == "masked by the configuration")
        let (near, far) = try bench.pair()
        let receiving = bench.engine.receive(far, multishot: false)
        try bench.send("x", on: near)
        #expect(try bench.next(receiving).flags == .buffer)
    }

    @Test("More submissions than the queue holds are flushed early, and none is lost")
    func submissionOverflow() throws {
        var configuration = EngineConfiguration()
        configuration.submissionDepth = 8
        var bench = try RingBench(configuration)
        var sends: [Token] = []
        let text: StaticString = "x"
        for _ in 0..<50 {
            let (near, _) = try bench.pair()
            sends.append(
                bench.engine.send(near, UnsafeRawBufferPointer(start: text.utf8Start, count: 1), toCompletion: true)
            )
        }
        for token in sends { #expect(try bench.next(token).result == 1) }
        #expect(bench.engine.counters.submissionOverflows > 0)
    }

    @Test("More completions than the queue holds come back from the kernel's list")
    func completionOverflow() throws {
        var configuration = EngineConfiguration()
        configuration.submissionDepth = 8  // a completion queue of 128
        var bench = try RingBench(configuration)
        var sends: [Token] = []
        let text: StaticString = "x"
        for _ in 0..<300 {
            let (near, _) = try bench.pair()
            sends.append(
                bench.engine.send(near, UnsafeRawBufferPointer(start: text.utf8Start, count: 1), toCompletion: true)
            )
        }
        for token in sends { #expect(try bench.next(token).result == 1) }
        #expect(bench.engine.counters.completionOverflows > 0)
    }

    @Test("Receives without a pool buffer rest, and go on when buffers come back", arguments: rungs)
    func starvation(_ version: String) throws {
        var configuration = Self.configuration(version)
        configuration.receiveBufferCount = 8
        configuration.receiveBufferSize = 256
        var bench = try RingBench(configuration)
        var waiting = Set<Token>()
        for _ in 0..<30 {
            let (near, far) = try bench.pair()
            waiting.insert(bench.engine.receive(far, multishot: true))
            try bench.send("x", on: near)
        }
        let deadline = Deadline.after(.seconds(5))
        var held: [UInt16] = []
        while !waiting.isEmpty, .now < deadline {
            try bench.turn(until: .after(.milliseconds(20)))
            for completion in bench.collected {
                #expect(completion.result == 1 && completion.flags == [.more, .buffer])
                waiting.remove(completion.token)
                held.append(completion.buffer)
            }
            bench.collected.removeAll()
            // Only one at a time: no lot is ever full, and still everybody gets its turn.
            if let buffer = held.popLast() { bench.engine.recycle(buffer) }
        }
        #expect(waiting.isEmpty)
        #expect(bench.engine.counters.starvations > 0)
    }

    @Test("A starved receive is cancelled without the kernel")
    func cancelStarved() throws {
        var configuration = EngineConfiguration()
        configuration.receiveBufferCount = 8
        var bench = try RingBench(configuration)
        for _ in 0..<8 {
            let (near, far) = try bench.pair()
            let token = bench.engine.receive(far, multishot: false)
            try bench.send("x", on: near)
            #expect(try bench.next(token).flags == .buffer)
        }
        let (near, far) = try bench.pair()
        let starved = bench.engine.receive(far, multishot: true)
        try bench.send("x", on: near)
        try bench.turn { $0.counters.starvations > 0 }
        bench.engine.cancel(starved)
        #expect(bench.collected.isEmpty, "no completion before the next wait")
        #expect(try bench.next(starved).result == -ECANCELED)
    }

    @Test("Pipe ends are received from and sent to like sockets", arguments: rungs)
    func pipes(_ version: String) throws {
        var bench = try RingBench(Self.configuration(version))
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let reader = try bench.engine.adopt(Descriptor(owning: ends[0]))
        let writer = try bench.engine.adopt(Descriptor(owning: ends[1]))
        let receiving = bench.engine.receive(reader, multishot: true)
        try bench.send("through", on: writer)
        let completion = try bench.next(receiving)
        #expect(completion.result == 7 && completion.flags == [.more, .buffer])
        let closing = bench.engine.close(writer)
        #expect(try bench.next(closing).result == 0)
        #expect(try bench.next(receiving).result == 0, "the end of the stream")
    }

    @Test("A quiet send larger than the socket's buffer goes on silently and arrives whole", arguments: rungs)
    func largeQuietSend(_ version: String) throws {
        var bench = try RingBench(Self.configuration(version))
        let (near, far) = try bench.pair()
        let size = 4 << 20
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * size, alignment: 8)
        defer { memory.deallocate() }
        for index in 0..<size { memory[index] = UInt8(truncatingIfNeeded: index &* 31) }
        bench.engine.sendQuietly(near, UnsafeRawBufferPointer(rebasing: memory[..<size]))
        try bench.turn()
        #expect(bench.engine.isSending(near) == true)
        let target = UnsafeMutableRawBufferPointer(rebasing: memory[size...])
        let receiving = bench.engine.receive(far, into: target, untilFull: true)
        #expect(try bench.next(receiving).result == Int32(size))
        #expect(memcmp(memory.baseAddress!, target.baseAddress!, size) == 0)
        try bench.turn { !$0.isSending(near) }
        #expect(bench.collected.isEmpty)
    }

    @Test("An engine that ends with everything in flight reaps it all", arguments: rungs)
    func reaping(_ version: String) throws {
        let before = RingEngine.abandoned.load(ordering: .relaxed)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
        defer { memory.deallocate() }
        do {
            var bench = try RingBench(Self.configuration(version))
            for _ in 0..<20 {
                let (near, far) = try bench.pair()
                bench.engine.receive(near, into: memory, untilFull: false)
                bench.engine.receive(far, multishot: true)
                bench.engine.poll(far, for: .readable)
            }
            let address = SocketAddress(numeric: "127.0.0.1", port: 0)!
            let listener = try bench.engine.adopt(.listening(on: address))
            bench.engine.accept(listener, multishot: true)
            try bench.turn()
        }
        #expect(RingEngine.abandoned.load(ordering: .relaxed) == before)
    }

    @Test("A turn with nothing to do and nothing to submit does not enter the kernel")
    func idleTurn() throws {
        var bench = try RingBench()
        try bench.turn()
        let before = bench.engine.counters.kernelEntries
        for _ in 0..<10 { try bench.turn() }
        #expect(bench.engine.counters.kernelEntries == before)
    }
}
