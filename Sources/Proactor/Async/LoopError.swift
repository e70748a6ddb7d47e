/// Why an operation of the async face did not succeed.
public struct LoopError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: Hashable, Sendable {
        /// The task was cancelled.
        case cancelled
        /// The deadline passed.
        case deadlinePassed
        /// The socket was closed on this side.
        case closed
        /// The loop was shut down.
        case shutDown
        /// The system refused; `system` tells why.
        case system
    }

    /// What kind of failure.
    public let code: Code
    /// The errno, for `.system`.
    public let system: SystemError?
    /// Bytes that a send had transferred before it was cut.
    public let transferred: Int

    init(_ code: Code, system: SystemError? = nil, transferred: Int = 0) {
        self.code = code
        self.system = system
        self.transferred = transferred
    }

    init(_ error: ProactorError) {
        self.init(.system, system: SystemError(code: error.errno))
    }

    /// What happened, in words.
    public var description: String {
        let cause =
            switch code {
            case .cancelled: "the task was cancelled"
            case .deadlinePassed: "the deadline passed"
            case .closed: "the socket was closed on this side"
            case .shutDown: "the loop was shut down"
            case .system: system?.description ?? "the system refused"
            }
        return transferred > 0 ? "\(cause) after \(transferred) bytes" : cause
    }
}
