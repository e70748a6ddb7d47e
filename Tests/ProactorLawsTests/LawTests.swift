import Proactor
import ProactorLaws
import Testing

/// Every law on every engine. A shape that cannot run here shows as cancelled with the kernel's reason.
@Suite(.serialized)
struct LawTests {
    @Test("The law holds", .timeLimit(.minutes(1)), arguments: LawShape.allCases, Laws.catalogue)
    func holds(shape: LawShape, law: LawName) throws {
        if let refusal = shape.refusal { try Test.cancel("\(shape.testDescription) cannot run here: \(refusal)") }
        switch shape.outcome(of: law) {
        case .pass: break
        case .skipped(let reason): try Test.cancel("\(law): \(reason)")
        case .fail(let how): Issue.record("\(shape.testDescription) breaks law \(law): \(how)")
        }
    }

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
