import CLiburing
import Glibc

/// An errno, as a value.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The positive errno.
    public let code: Int32

    /// - Parameter code: a positive errno.
    public init(code: Int32) { self.code = code }

    /// The operation was cancelled before it took effect.
    public static let canceled = SystemError(code: ECANCELED)
    /// The deadline passed.
    public static let timedOut = SystemError(code: ETIMEDOUT)
    /// No descriptor left in this process.
    public static let tooManyFiles = SystemError(code: EMFILE)
    /// Nobody listens at the address.
    public static let connectionRefused = SystemError(code: ECONNREFUSED)
    /// The peer has cut the connection.
    public static let connectionReset = SystemError(code: ECONNRESET)
    /// The peer no longer receives.
    public static let brokenPipe = SystemError(code: EPIPE)
    /// The address is taken.
    public static let addressInUse = SystemError(code: EADDRINUSE)

    /// The system's words for it, as strerror(3) gives them.
    public var description: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            // The POSIX form fills the buffer, and says "Unknown error" for what it does not know.
            strerror_r(code, buffer.baseAddress!, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
    }
}

/// Why an engine could not be made, or could not go on.
public enum ProactorError: Error, Sendable, CustomStringConvertible {
    /// The forced backend cannot run here: the stage that failed, its errno, why, and what to do about it.
    case unavailable(BackendKind, stage: String, SystemError, reason: String, cure: String)
    /// A system call failed for want of a resource or because of its arguments.
    case system(SystemError, during: String)
    /// The engine was touched by a forked child of the process that made it.
    case forked

    /// What happened, where, and what to do.
    public var description: String {
        switch self {
        case .unavailable(let kind, let stage, let error, let reason, let cure):
            "\(kind) is not available: \(stage) answered \(error) (errno \(error.code)): \(reason); \(cure)"
        case .system(let error, let during): "\(during): \(error)"
        case .forked: "this engine belongs to the parent process; a forked child must make its own"
        }
    }

    /// The errno below, 0 if there is none.
    public var errno: Int32 {
        switch self {
        case .unavailable(_, _, let error, _, _), .system(let error, _): error.code
        case .forked: 0
        }
    }
}
