import CLiburing
import Testing

@testable import Proactor

/// Whether this machine lets tests have a ring; where not, the suite shows as skipped with this reason.
enum RingAvailability {
    static let refusal: String? = {
        do throws(ProactorError) {
            _ = try IOUringBackend(EngineConfiguration())
            return nil
        } catch {
            return "\(error)"
        }
    }()
}

/// An engine with what tests need around it.
struct RingBench: ~Copyable {
    var engine: IOUringBackend
    var batch = CompletionBatch(capacity: 64)
    /// Completions that were collected and not asked for yet.
    var collected: [Completion] = []

    init(_ configuration: EngineConfiguration = EngineConfiguration()) throws {
        engine = try IOUringBackend(configuration)
    }

    mutating func pair() throws -> (Handle, Handle) {
        let (near, far) = try Descriptor.pair().release()
        return (try engine.adopt(Descriptor(owning: near)), try engine.adopt(Descriptor(owning: far)))
    }

    /// Turns until a completion fits, at most 5 s.
    mutating func next(where fits: (Completion) -> Bool) throws -> Completion {
        let deadline = Deadline.after(.seconds(5))
        while true {
            if let index = collected.firstIndex(where: fits) { return collected.remove(at: index) }
            guard .now < deadline else { throw Overdue(collected: "\(collected)") }
            try turn(until: deadline)
        }
    }

    mutating func next(_ token: Token) throws -> Completion { try next { $0.token == token } }

    mutating func turn(until deadline: Deadline = .distantPast) throws {
        try engine.wait(until: deadline, into: &batch)
        for index in 0..<batch.count { collected.append(batch[index]) }
    }

    /// Turns until the engine is as wanted, at most 5 s.
    mutating func turn(until isSo: (borrowing IOUringBackend) -> Bool) throws {
        let deadline = Deadline.after(.seconds(5))
        while !isSo(engine) {
            guard .now < deadline else { throw Overdue(collected: "\(collected)") }
            try turn(until: .after(.milliseconds(1)))
        }
    }

    mutating func send(_ text: StaticString, on socket: Handle) throws {
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        let token = engine.send(socket, bytes, toCompletion: true)
        #expect(try next(token).result == Int32(bytes.count))
    }

    struct Overdue: Error { let collected: String }
}
