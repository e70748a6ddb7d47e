import ChildProcesses
import Glibc

/// A kernel that refuses, made for one program by `seccomp-launch`.
struct RefusingKernel {
    /// A call that is answered by the filter.
    enum Call: String, CaseIterable, Sendable {
        case setup = "io_uring_setup"
        case enter = "io_uring_enter"
        case register = "io_uring_register"

        /// Place among the three, which have neighbouring numbers (425 to 427) on every architecture.
        var index: Int { Self.allCases.firstIndex(of: self)! }
    }

    /// What the filter answers.
    enum Verdict: String, CaseIterable, Sendable {
        case noSuchCall = "ENOSYS"
        case notPermitted = "EPERM"
        case accessDenied = "EACCES"
        case noMemory = "ENOMEM"
        case kill = "KILL"

        /// Those after which the automatic choice falls back: not available, as against out of resources.
        static let unavailable: [Verdict] = [.noSuchCall, .notPermitted, .accessDenied]
        /// Those that are an errno.
        static let errors: [Verdict] = unavailable + [.noMemory]

        var errno: Int32 {
            switch self {
            case .noSuchCall: ENOSYS
            case .notPermitted: EPERM
            case .accessDenied: EACCES
            case .noMemory: ENOMEM
            case .kill: 0
            }
        }
    }

    var answers: [(Call, Verdict)] = []
    /// RLIMIT_MEMLOCK in bytes.
    var lockedMemory: Int?
    /// RLIMIT_NOFILE.
    var files: Int?

    /// A kernel that answers one call.
    static func answering(_ call: Call, _ verdict: Verdict) -> RefusingKernel {
        RefusingKernel(answers: [(call, verdict)])
    }

    /// Runs a program under it. It is killed at the timeout, and by an alarm if this process should die first.
    func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:],
        within timeout: Duration = .seconds(60)
    ) throws -> (ending: ChildProcess.Ending, output: String, errors: String) {
        var words: [String] = answers.flatMap { ["--answer", "\($0.0.rawValue)=\($0.1.rawValue)"] }
        if let lockedMemory { words += ["--memlock", "\(lockedMemory)"] }
        if let files { words += ["--files", "\(files)"] }
        words += ["--alarm", "\(timeout.components.seconds + 10)"]
        return try ChildProcess.run(
            BuiltPrograms.path(of: "seccomp-launch"), words + [program] + arguments, environment: environment,
            within: timeout)
    }
}
