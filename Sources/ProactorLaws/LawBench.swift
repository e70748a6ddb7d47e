import CLiburing
import Glibc
import Proactor

/// An engine under test with the few verbs that laws are written in. Every wait ends at the watchdog's deadline.
struct LawBench<Engine: Backend & SendableMetatype & ~Copyable>: ~Copyable {
    var engine: Engine
    let configuration: EngineConfiguration
    let arena: LawArena
    private var batch = CompletionBatch(capacity: 64)
    /// Collected, and not yet asked for.
    private(set) var backlog: [Completion] = []
    /// A law that takes longer has found an operation that never completes.
    let patience: Duration
    private let watchdog: Deadline

    init(_ configuration: EngineConfiguration, _ arena: LawArena, patience: Duration) throws(ProactorError) {
        engine = try Engine(configuration)
        self.configuration = configuration
        self.arena = arena
        self.patience = patience
        watchdog = .after(patience)
    }

    // MARK: Turning

    /// One wait, at most until the deadline; what came goes to the backlog.
    /// - Returns: how many completions came.
    @discardableResult
    mutating func turn(until deadline: Deadline? = nil) throws -> Int {
        guard Deadline.now < watchdog else {
            throw LawVerdict(message: "the watchdog ended the law after \(patience)")
        }
        try engine.wait(until: min(deadline ?? watchdog, watchdog), into: &batch)
        for index in 0..<batch.count { backlog.append(batch[index]) }
        return batch.count
    }

    /// Turns for a span, whatever comes.
    mutating func turn(for span: Duration) throws {
        let end = Deadline.after(span)
        while Deadline.now < end { try turn(until: end) }
    }

    /// The next completion of the operation.
    mutating func next(_ token: Token, line: UInt = #line) throws -> Completion {
        while true {
            if let index = backlog.firstIndex(where: { $0.token == token }) { return backlog.remove(at: index) }
            do {
                try turn()
            } catch let verdict as LawVerdict {
                throw LawVerdict(message: "\(verdict.message), waiting for a \(token.purpose) (line \(line))")
            }
        }
    }

    /// The next completion of any operation with the purpose.
    mutating func next(_ purpose: Purpose) throws -> Completion {
        while true {
            if let index = backlog.firstIndex(where: { $0.token.purpose == purpose }) {
                return backlog.remove(at: index)
            }
            try turn()
        }
    }

    /// The next completion of the operation, which must be its last, with the result.
    mutating func expect(_ token: Token, _ result: Int32, line: UInt = #line) throws {
        let completion = try next(token, line: line)
        try requireEqual(completion.result, result, "result of the \(token.purpose)", line: line)
        try require(!completion.hasMore, "the completion promises more", line: line)
    }

    /// Nothing (more) of the operation has come, nor comes within a few milliseconds.
    mutating func expectNothing(of token: Token, line: UInt = #line) throws {
        try turn(for: .milliseconds(5))
        if let extra = backlog.first(where: { $0.token == token }) {
            throw LawVerdict(
                message: "a \(token.purpose) completed unexpectedly with \(extra.result) (line \(line))")
        }
    }

    // MARK: Things to work on

    /// A connection: the engine's end.
    mutating func connection(_ transport: LawTransport) throws -> LawConnection {
        let (ours, theirs) = try transport.connectedNumbers()
        arena.own(theirs)
        return LawConnection(handle: try engine.adopt(Descriptor(owning: ours)), peer: LawPeer(number: theirs))
    }

    /// A listener and where it listens.
    mutating func listener(_ transport: LawTransport) throws -> (handle: Handle, address: SocketAddress) {
        let descriptor = try Descriptor.listening(on: transport.anyAddress())
        guard let address = Descriptor.localAddress(of: descriptor.number) else {
            throw LawVerdict(message: "the listener has no address")
        }
        return (try engine.adopt(descriptor), address)
    }

    /// A peer connected to the address, by blocking calls.
    func peer(connectedTo address: SocketAddress) throws -> LawPeer {
        let number = try Descriptor.stream(for: address).release()
        arena.own(number)
        let peer = LawPeer(number: number)
        peer.limitBlocking()
        try peer.connect(to: address)
        return peer
    }

    /// Memory that outlives the engine, filled with a byte.
    func memory(_ count: Int, filledWith byte: UInt8 = 0) -> UnsafeMutableRawBufferPointer {
        arena.memory(count, filledWith: byte)
    }

    /// A block with a pattern that shows displacement.
    func pattern(_ count: Int) -> UnsafeRawBufferPointer {
        let memory = arena.memory(count, filledWith: 0)
        let period = LawPattern.bytes(0..<min(count, LawPattern.period))
        for start in stride(from: 0, to: count, by: LawPattern.period) {
            let part = UnsafeMutableRawBufferPointer(rebasing: memory[start...])
            part.copyBytes(from: period.prefix(part.count))
        }
        return UnsafeRawBufferPointer(memory)
    }
}

/// One connection: a handle of the engine, and its peer that is driven by plain system calls.
struct LawConnection {
    let handle: Handle
    let peer: LawPeer
}

/// Bytes that tell their position.
enum LawPattern {
    /// A prime: no buffer size is a multiple of it.
    static let period = 65_521

    static func byte(_ index: Int) -> UInt8 {
        let phase = index % period
        return UInt8(truncatingIfNeeded: phase &* 31 &+ phase >> 8)
    }

    /// By memcmp: some laws move megabytes, in debug builds as well.
    static func isSame(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count && memcmp(left, right.baseAddress!, left.count) == 0
    }

    static func bytes(_ range: Range<Int>) -> [UInt8] { range.map(byte) }
}

/// Memory and descriptors of one law, given back when the engine is gone.
final class LawArena {
    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var numbers: [Int32] = []
    private var paths: [String] = []

    func memory(_ count: Int, filledWith byte: UInt8) -> UnsafeMutableRawBufferPointer {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 64)
        block.initializeMemory(as: UInt8.self, repeating: byte)
        blocks.append(block)
        return UnsafeMutableRawBufferPointer(rebasing: block[0..<count])
    }

    func own(_ number: Int32) { numbers.append(number) }

    func closeNow(_ number: Int32) {
        guard let index = numbers.firstIndex(of: number) else { return }
        numbers.remove(at: index)
        _ = Glibc.close(number)
    }

    deinit {
        for number in numbers { _ = Glibc.close(number) }
        for block in blocks { block.deallocate() }
    }
}
