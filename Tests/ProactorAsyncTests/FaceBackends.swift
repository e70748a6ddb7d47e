import Proactor
import Testing

/// The backends that run here: the arguments of the faces' tests. A case that is cancelled while it runs looks like
/// one that passed (Swift 6.3), so a backend that cannot run is none of them; `BackendTests` shows it as skipped.
let backends: [BackendChoice] = [.ioUring, .epoll].filter { whyNot($0) == nil }

/// Why a backend cannot run here; nil where it can. Want of resources is no reason: then its tests fail.
private func whyNot(_ backend: BackendChoice) -> String? {
    do throws(ProactorError) {
        _ = try BackendSelection.select(backend)
    } catch {
        if case .unavailable = error { return "\(error)" }
    }
    return nil
}

@Suite("Tests of the async face cover")
struct BackendTests {
    @Test("io_uring", .runs(.ioUring)) func ioUring() { #expect(backends.contains(.ioUring)) }

    @Test("epoll", .runs(.epoll)) func epoll() { #expect(backends.contains(.epoll)) }
}

extension Trait where Self == ConditionTrait {
    /// Skips the test, with the reason, where the backend cannot run.
    fileprivate static func runs(_ backend: BackendChoice) -> Self {
        let refusal = whyNot(backend)
        return .enabled(if: refusal == nil, Comment(rawValue: refusal ?? "it runs here"))
    }
}
