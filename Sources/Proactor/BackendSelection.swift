import CLiburing
import Glibc

/// What the user asks for: the value of `--backend` and of the environment variable `PROACTOR_BACKEND`.
public enum BackendChoice: String, Sendable, CaseIterable, CustomStringConvertible {
    /// io_uring where it works, else epoll.
    case automatic = "auto"
    /// io_uring or an error.
    case ioUring = "io_uring"
    /// epoll; nothing of io_uring is touched.
    case epoll

    /// The environment variable that counts where the program states no choice.
    public static let environmentVariable = "PROACTOR_BACKEND"

    /// From what users type: `auto`, `io_uring` or `epoll`; nil for anything else.
    public init?(_ text: String) { self.init(rawValue: text) }

    /// What users type.
    public var description: String { rawValue }

    /// The program's own choice wins, then the environment's, then `automatic`.
    /// - Throws: `system(EINVAL)` if the environment names no backend.
    public static func resolve(_ explicit: BackendChoice?) throws(ProactorError) -> BackendChoice {
        try resolve(explicit, environment: getenv(environmentVariable).map { String(cString: $0) })
    }

    static func resolve(_ explicit: BackendChoice?, environment: String?) throws(ProactorError) -> BackendChoice {
        if let explicit { return explicit }
        guard let environment, !environment.isEmpty else { return .automatic }
        guard let choice = BackendChoice(environment) else {
            throw .system(
                SystemError(code: EINVAL),
                during: "\(environmentVariable)=\"\(environment)\" (use auto, io_uring or epoll)")
        }
        return choice
    }
}

/// Which engine to run, and why. The one `switch` over `kind` is the caller's; below it everything is generic.
///
/// ```swift
/// func run<Engine: Backend & ~Copyable>(on engine: Engine.Type) throws {
///     let backend = try Engine(EngineConfiguration())
///     print(backend.report)
/// }
/// switch try BackendSelection.select().kind {
/// case .ioUring: try run(on: IOUringBackend.self)
/// case .epoll: try run(on: EpollBackend.self)
/// }
/// ```
public struct BackendSelection: Sendable {
    /// The engine to run.
    public let kind: BackendKind
    /// Why, in a sentence.
    public let reason: String
    /// The errno that ruled io_uring out; 0 if none did.
    public let errno: Int32
    /// The same with the features, for people and logs.
    public let report: EngineReport

    private init(_ report: EngineReport) {
        kind = report.backend
        reason = report.reason
        errno = report.errno
        self.report = report
    }

    /// Decides, by doing: an engine is made, and a send, a receive and a cancel run through it.
    /// - Parameters:
    ///   - choice: What the program wants; nil asks the environment.
    ///   - configuration: Its features are those that the probe may use.
    /// - Throws: `unavailable` where io_uring is forced and cannot run; `system` for want of resources, which is
    ///   never taken for "not available".
    public static func select(
        _ choice: BackendChoice? = nil, configuration: EngineConfiguration = EngineConfiguration()
    ) throws(ProactorError) -> BackendSelection {
        switch try BackendChoice.resolve(choice) {
        case .epoll:
            // Before any call of io_uring: some filters kill the process that tries.
            return BackendSelection(epollReport("epoll was asked for", errno: 0, "epoll was asked for"))
        case .ioUring:
            return BackendSelection(try probe(configuration, reason: "io_uring was asked for, and works here"))
        case .automatic:
            do throws(ProactorError) {
                return BackendSelection(try probe(configuration, reason: "io_uring works here"))
            } catch {
                guard let reason = fallbackReason(error) else { throw error }
                return BackendSelection(epollReport(reason, errno: error.errno, "io_uring is not available"))
            }
        }
    }

    /// Why epoll is to be used after this error; nil if the error is to be told instead.
    static func fallbackReason(_ error: ProactorError) -> String? {
        guard case .unavailable(_, let stage, let code, let reason, _) = error,
            [ENOSYS, EPERM, EACCES, EINVAL, EOPNOTSUPP].contains(code.code)
        else { return nil }
        return "io_uring is not available: \(stage) answered errno \(code.code) (\(code)): \(reason)"
    }

    private static func probe(
        _ configuration: EngineConfiguration, reason: String
    ) throws(ProactorError) -> EngineReport {
        var report = try RingSelfTest.run(configuration.features)
        report.reason = reason
        return report
    }

    private static func epollReport(_ reason: String, errno: Int32, _ absence: String) -> EngineReport {
        let rows = EngineFeatures.table.map {
            EngineReport.Feature(name: $0.name, since: $0.since, isUsed: false, reason: absence)
        }
        return EngineReport(backend: .epoll, reason: reason, errno: errno, features: rows)
    }
}
