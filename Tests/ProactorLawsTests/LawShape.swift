import Proactor
import ProactorLaws
import Testing

/// The engines that the laws are checked on: each backend, and io_uring with the features of older kernels.
enum LawShape: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case epoll
    case ring
    case ring5_11, ring5_15, ring5_19, ring6_0, ring6_1, ring6_12

    var testDescription: String {
        guard let version else { return rawValue == "ring" ? "io_uring" : rawValue }
        return "io_uring as of \(version)"
    }

    /// The kernel that is stood for.
    var version: KernelVersion? {
        switch self {
        case .epoll, .ring: nil
        case .ring5_11: KernelVersion("5.11")
        case .ring5_15: KernelVersion("5.15")
        case .ring5_19: KernelVersion("5.19")
        case .ring6_0: KernelVersion("6.0")
        case .ring6_1: KernelVersion("6.1")
        case .ring6_12: KernelVersion("6.12")
        }
    }

    var configuration: EngineConfiguration {
        var configuration = EngineConfiguration()
        if let version { configuration.features = .kernel(version) }
        return configuration
    }

    /// Why the shape cannot run here; nil where it can.
    var refusal: String? {
        do throws(ProactorError) {
            if self == .epoll { _ = try EpollBackend(configuration) } else { _ = try IOUringBackend(configuration) }
            return nil
        } catch {
            return "\(error)"
        }
    }

    func outcome(of name: LawName) -> LawOutcome {
        let results =
            self == .epoll
            ? Laws.run(on: EpollBackend.self, configuration, only: name)
            : Laws.run(on: IOUringBackend.self, configuration, only: name)
        return results.count == 1 ? results[0].outcome : .fail("\(results.count) laws have this name")
    }
}
