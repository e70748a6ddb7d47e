import Proactor
import Testing

/// Plays a script on one engine and writes down what it saw.
struct ScriptRunner<Engine: Backend & ~Copyable>: ~Copyable {
    private var engine: Engine
    private var batch = CompletionBatch()
    private var collected: [Completion] = []
    private var ends: [Handle?] = []
    /// Bytes under way towards each end; what is sent stays below the room of a fresh pair.
    private var waiting = [0, 0]
    /// The end can be received: the other side sends no more.
    private var isOver = [false, false]
    private var sequence: UInt8 = 0
    private(set) var journal: [String] = []

    init(_ configuration: EngineConfiguration) throws {
        var engine = try Engine(configuration)
        let (first, second) = try Descriptor.pair().release()
        ends = [try engine.adopt(Descriptor(owning: first)), try engine.adopt(Descriptor(owning: second))]
        self.engine = engine
    }

    consuming func play(_ script: Script) throws -> [String] {
        for step in script.steps { try play(step) }
        return journal
    }

    private mutating func play(_ step: Script.Step) throws {
        switch step {
        case .send(let end, let count, let toCompletion):
            try send(end, count) { engine, handle, bytes in engine.send(handle, bytes, toCompletion: toCompletion) }
        case .gather(let end, let parts):
            try gather(end, parts)
        case .quiet(let end, let count):
            try quiet(end, count)
        case .receive(let end, let room, let untilFull):
            try receive(end, room, untilFull)
        case .lend(let end):
            guard let handle = ends[end], waiting[end] > 0 || isOver[end] else { return }
            let completion = try finish(engine.receive(handle, multishot: false))
            guard completion.flags.contains(.buffer) else { return note("lend \(completion.result)") }
            let bytes = engine.buffer(completion.buffer).prefix(Int(completion.result))
            note("lend \(completion.result) \(checksum(bytes))")
            engine.recycle(completion.buffer)
            waiting[end] -= Int(completion.result)
        case .cancelIdleReceive(let end, let isLent):
            try cancelIdle(end, isLent)
        case .poll(let end, let events):
            guard let handle = ends[end] else { return }
            let isReady = events == .writable || waiting[end] > 0 || isOver[end]
            let token = engine.poll(handle, for: events)
            if !isReady { engine.cancel(token) }
            note("poll \(try finish(token).result)")
        case .shutdown(let end):
            guard let handle = ends[end] else { return }
            note("shutdown \(engine.shutdown(handle, .send).map { "\($0.code)" } ?? "done")")
            isOver[1 - end] = true
        case .drop(let end):
            guard let handle = ends[end] else { return }
            ends[end] = nil
            note("close \(try finish(engine.close(handle)).result)")
            isOver[1 - end] = true
        }
    }

    private mutating func send(
        _ end: Int, _ count: Int, _ start: (inout Engine, Handle, UnsafeRawBufferPointer) -> Token
    ) throws {
        guard let handle = ends[end], waiting[1 - end] + count < 60_000 else { return }
        let memory = fill(count)
        defer { memory.deallocate() }
        let result = try finish(start(&engine, handle, UnsafeRawBufferPointer(memory))).result
        note("send \(result)")
        waiting[1 - end] += Int(max(result, 0))
    }

    private mutating func gather(_ end: Int, _ parts: [Int]) throws {
        let count = parts.reduce(0, +)
        guard let handle = ends[end], waiting[1 - end] + count < 60_000 else { return }
        let memory = fill(count)
        defer { memory.deallocate() }
        let list = UnsafeMutableBufferPointer<SendPart>.allocate(capacity: parts.count)
        defer { list.deallocate() }
        var offset = 0
        for (index, part) in parts.enumerated() {
            list.initializeElement(at: index, to: SendPart(start: memory.baseAddress! + offset, count: part))
            offset += part
        }
        let result = try finish(engine.send(handle, gather: list, toCompletion: true)).result
        note("gather \(result)")
        waiting[1 - end] += Int(max(result, 0))
    }

    private mutating func quiet(_ end: Int, _ count: Int) throws {
        // Only where it can be proved: an error would come with an operation that the script need not have.
        guard let handle = ends[end], ends[1 - end] != nil, !isOver[1 - end], waiting[1 - end] + count < 60_000
        else { return }
        let memory = fill(count)
        defer { memory.deallocate() }
        engine.sendQuietly(handle, UnsafeRawBufferPointer(memory))
        let deadline = Deadline.after(.seconds(5))
        while engine.isSending(handle) {
            try #require(Deadline.now < deadline, "a quiet send never ends")
            try turn(until: .after(.milliseconds(1)))
        }
        note("quiet")
        waiting[1 - end] += count
    }

    private mutating func receive(_ end: Int, _ room: Int, _ untilFull: Bool) throws {
        guard let handle = ends[end], isOver[end] || waiting[end] >= (untilFull ? room : 1) else { return }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        defer { memory.deallocate() }
        let result = try finish(engine.receive(handle, into: memory, untilFull: untilFull)).result
        note("receive \(result) \(checksum(memory.prefix(Int(max(result, 0)))))")
        waiting[end] -= Int(max(result, 0))
    }

    private mutating func cancelIdle(_ end: Int, _ isLent: Bool) throws {
        guard let handle = ends[end], waiting[end] == 0, !isOver[end] else { return }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
        defer { memory.deallocate() }
        let token =
            isLent
            ? engine.receive(handle, multishot: true) : engine.receive(handle, into: memory, untilFull: false)
        try turn(until: .distantPast)
        engine.cancel(token)
        note("cancel \(try finish(token).result)")
    }

    private mutating func finish(_ token: Token) throws -> Completion {
        let deadline = Deadline.after(.seconds(50))
        while true {
            if let index = collected.firstIndex(where: { $0.token == token }) { return collected.remove(at: index) }
            try #require(Deadline.now < deadline, "a \(token.purpose) never completes; so far \(journal)")
            try turn(until: deadline)
        }
    }

    private mutating func turn(until deadline: Deadline) throws {
        try engine.wait(until: deadline, into: &batch)
        for index in 0..<batch.count { collected.append(batch[index]) }
    }

    private mutating func fill(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        for index in 0..<count {
            sequence &+= 7
            memory[index] = sequence
        }
        return memory
    }

    private func checksum(_ bytes: Slice<UnsafeMutableRawBufferPointer>) -> UInt32 {
        bytes.reduce(1) { $0 &* 31 &+ UInt32($1) }
    }

    private mutating func note(_ line: String) { journal.append(line) }
}
