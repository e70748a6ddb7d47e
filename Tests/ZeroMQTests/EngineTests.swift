import Proactor
import Testing
import ZeroMQ

extension Sockets {
    /// Which engines the tests of sockets cover on this machine: one that cannot run shows here as skipped, with its
    /// reason.
    @Suite("Tests of sockets cover") struct EngineTests {
        @Test("io_uring", .runs(.ioUring)) func ioUring() throws { try isCovered(.ioUring, .ioUring) }

        @Test("epoll", .runs(.epoll)) func epoll() throws { try isCovered(.epoll, .epoll) }

        private func isCovered(_ engine: Engine, _ kind: BackendKind) throws {
            for setup in Setup.all where setup.engine == engine {
                let context = try setup.context()
                #expect(context.report.backend == kind)
                context.close()
            }
            #expect(Setup.all.count { $0.engine == engine } == Drive.allCases.count * Wire.allCases.count)
        }
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips the test, with the reason, where the engine cannot run.
    fileprivate static func runs(_ engine: Engine) -> Self {
        let refusal = engine.refusal
        return .enabled(if: refusal == nil, Comment(rawValue: refusal ?? "it runs here"))
    }
}
