import Proactor
import Testing

/// The same script has the same outcome on both engines: results, bytes and errors.
struct DifferentialTests {
    @Test(
        "Random scripts have equal outcomes on both engines",
        .enabled(if: LawShape.ring.refusal == nil, "io_uring cannot run here"), arguments: 0..<60)
    func equalOutcomes(round: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        let script = Script(seed: seed, length: 150)
        let epoll = try ScriptRunner<EpollBackend>(LawShape.epoll.configuration).play(script)
        for shape in [LawShape.ring, .ring5_11, .ring5_19] {
            let ring = try ScriptRunner<IOUringBackend>(shape.configuration).play(script)
            let step = zip(epoll, ring).enumerated().first { $0.element.0 != $0.element.1 }
            let isEqual = epoll == ring  // a Bool, so that a failure does not print both journals
            #expect(
                isEqual,
                """
                seed \(seed), \(shape.testDescription): step \(step?.offset ?? min(epoll.count, ring.count)), \
                epoll \(step?.element.0 ?? "-"), io_uring \(step?.element.1 ?? "-")
                """)
        }
        #expect(epoll.count > 20, "seed \(seed): the script does next to nothing")
    }

    @Test("A seed gives the same script each time, and another seed another one")
    func reproducible() {
        func text(_ seed: UInt64) -> String { "\(Script(seed: seed, length: 50).steps)" }
        #expect(text(1) == text(1))
        #expect(text(1) != text(2))
    }
}
