import Proactor
import ProactorLaws
import Testing

/// Every law on every engine. A shape that cannot run here shows as skipped, with the kernel's reason: one test per
/// shape, because cancelled cases of a single test would not show at all.
@Suite(.serialized)
struct LawTests {
    @Test("The laws hold on epoll", .where(.epoll), .timeLimit(.minutes(1)), arguments: Laws.catalogue)
    func epoll(law: LawName) { LawShape.epoll.expect(law) }

    @Test("The laws hold on io_uring", .where(.ring), .timeLimit(.minutes(1)), arguments: Laws.catalogue)
    func ring(law: LawName) { LawShape.ring.expect(law) }

    @Test(
        "The laws hold on io_uring as of 5.11", .where(.ring5_11), .timeLimit(.minutes(1)),
        arguments: Laws.catalogue)
    func ring5_11(law: LawName) { LawShape.ring5_11.expect(law) }

    @Test(
        "The laws hold on io_uring as of 5.15", .where(.ring5_15), .timeLimit(.minutes(1)),
        arguments: Laws.catalogue)
    func ring5_15(law: LawName) { LawShape.ring5_15.expect(law) }

    @Test(
        "The laws hold on io_uring as of 5.19", .where(.ring5_19), .timeLimit(.minutes(1)),
        arguments: Laws.catalogue)
    func ring5_19(law: LawName) { LawShape.ring5_19.expect(law) }

    @Test(
        "The laws hold on io_uring as of 6.0", .where(.ring6_0), .timeLimit(.minutes(1)), arguments: Laws.catalogue)
    func ring6_0(law: LawName) { LawShape.ring6_0.expect(law) }

    @Test(
        "The laws hold on io_uring as of 6.1", .where(.ring6_1), .timeLimit(.minutes(1)), arguments: Laws.catalogue)
    func ring6_1(law: LawName) { LawShape.ring6_1.expect(law) }

    @Test(
        "The laws hold on io_uring as of 6.12", .where(.ring6_12), .timeLimit(.minutes(1)),
        arguments: Laws.catalogue)
    func ring6_12(law: LawName) { LawShape.ring6_12.expect(law) }

    @Test("The names of the laws are unique, and each of the twelve has some")
    func catalogue() {
        #expect(Set(Laws.catalogue.map(\.sentence)).count == Laws.catalogue.count)
        #expect(Set(Laws.catalogue.map(\.number)) == Set(1...12))
    }

    @Test("An engine with a planted fault breaks the law that forbids it")
    func falsifiable() {
        #expect(breaks(5, FaultyBackend<ForgetsCancel>.self))
        #expect(breaks(4, FaultyBackend<SendsPartially>.self))
        #expect(breaks(4, FaultyBackend<ReceivesPartially>.self))
        #expect(breaks(7, FaultyBackend<ReturnsEarly>.self))
        #expect(breaks(6, FaultyBackend<LeaksOnClose>.self))
        #expect(breaks(1, FaultyBackend<KeepsBuffers>.self))
    }

    /// Whether any check of the law fails.
    private func breaks<Engine: Backend & SendableMetatype & ~Copyable>(_ law: Int, _ engine: Engine.Type) -> Bool {
        Laws.all(for: engine).lazy.filter { $0.name.number == law }.contains { law in
            if case .fail = law.run(EngineConfiguration(), patience: .seconds(1)) { true } else { false }
        }
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips the test, with the reason, where the shape cannot run.
    fileprivate static func `where`(_ shape: LawShape) -> Self {
        let refusal = shape.refusal
        return .enabled(if: refusal == nil, Comment(rawValue: refusal ?? "it runs here"))
    }
}

extension LawShape {
    fileprivate func expect(_ law: LawName) {
        switch outcome(of: law) {
        case .pass: break
        case .skipped(let reason):
            Issue.record("\(testDescription) cannot be judged by law \(law): \(reason)", severity: .warning)
        case .fail(let how): Issue.record("\(testDescription) breaks law \(law): \(how)")
        }
    }
}
