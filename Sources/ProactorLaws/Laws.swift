public import Proactor

/// The laws of `Backend` as code: each is named by the sentence it proves, and runs on any engine, anywhere: from a
/// test, or from a small program inside a container, under a filter, on another kernel.
public enum Laws {
    /// Runs laws on fresh engines, one engine each.
    /// - Parameters:
    ///   - engine: The engine's type.
    ///   - configuration: What each engine is made with; some laws change its pool.
    ///   - name: Only the law of this name; nil runs all of them.
    /// - Returns: One result per law, in the order of the catalogue.
    public static func run<Engine: Backend & SendableMetatype & ~Copyable>(
        on engine: Engine.Type, _ configuration: EngineConfiguration = EngineConfiguration(),
        only name: LawName? = nil
    ) -> [LawResult] {
        all(for: engine).filter { name == nil || $0.name == name }.map { law in
            LawResult(name: law.name, outcome: law.run(configuration))
        }
    }

    /// The names of all laws, the same for every engine.
    public static var catalogue: [LawName] { all(for: EpollBackend.self).map(\.name) }

    /// Every law for an engine.
    public static func all<Engine: Backend & SendableMetatype & ~Copyable>(for engine: Engine.Type) -> [Law<Engine>]
    {
        transfers() + streamErrors() + pool() + accepting() + cancelling() + closing() + time() + waking()
            + fairness() + errors() + hangUp() + polling() + datagrams() + fork()
    }
}

/// Which law it is: the number in `Backend`'s list, and the sentence.
public struct LawName: Hashable, Sendable, CustomStringConvertible {
    /// 1 to 12, as in the documentation of `Backend`.
    public let number: Int
    /// What the law proves.
    public let sentence: String
    /// As in "5: A cancelled receive completes once".
    public var description: String { "\(number): \(sentence)" }
}

/// What became of one law.
public enum LawOutcome: Sendable, Equatable {
    /// It holds.
    case pass
    /// It is broken: how.
    case fail(String)
    /// It cannot be judged here: why.
    case skipped(String)
}

/// A law and its outcome.
public struct LawResult: Sendable, CustomStringConvertible {
    /// The law.
    public let name: LawName
    /// What became of it.
    public let outcome: LawOutcome
    /// One line for people.
    public var description: String {
        switch outcome {
        case .pass: "pass  \(name)"
        case .fail(let how): "FAIL  \(name): \(how)"
        case .skipped(let why): "skip  \(name): \(why)"
        }
    }
}

/// One law for one kind of engine.
public struct Law<Engine: Backend & SendableMetatype & ~Copyable>: Sendable {
    /// Number and sentence.
    public let name: LawName
    let adjust: @Sendable (inout EngineConfiguration) -> Void
    let check: @Sendable (inout LawBench<Engine>) throws -> Void

    init(
        _ number: Int, _ sentence: String,
        configuration adjust: @escaping @Sendable (inout EngineConfiguration) -> Void = { _ in },
        check: @escaping @Sendable (inout LawBench<Engine>) throws -> Void
    ) {
        name = LawName(number: number, sentence: sentence)
        self.adjust = adjust
        self.check = check
    }

    /// Runs the law on an engine of its own.
    /// - Parameters:
    ///   - configuration: What the engine is made with; some laws change its pool.
    ///   - patience: When the watchdog ends the law as broken: an operation never completes.
    public func run(_ configuration: EngineConfiguration, patience: Duration = .seconds(10)) -> LawOutcome {
        var configuration = configuration
        adjust(&configuration)
        let arena = LawArena()  // outlives the engine, which may still write into its memory
        defer { withExtendedLifetime(arena) {} }
        do {
            var bench = try LawBench<Engine>(configuration, arena, patience: patience)
            try check(&bench)
            return .pass
        } catch let verdict as LawVerdict {
            return verdict.isSkip ? .skipped(verdict.message) : .fail(verdict.message)
        } catch {
            return .fail("\(error)")
        }
    }
}

/// How a check ends early.
struct LawVerdict: Error {
    let message: String
    var isSkip = false

    static func skip(_ reason: String) -> LawVerdict { LawVerdict(message: reason, isSkip: true) }
}

/// Fails the law unless the condition holds.
func require(_ condition: Bool, _ message: @autoclosure () -> String, line: UInt = #line) throws {
    guard condition else { throw LawVerdict(message: "\(message()) (line \(line))") }
}

/// Fails the law unless both are equal.
func requireEqual<Value: Equatable>(
    _ found: Value, _ wanted: Value, _ what: @autoclosure () -> String, line: UInt = #line
) throws {
    try require(found == wanted, "\(what()): \(found) instead of \(wanted)", line: line)
}
