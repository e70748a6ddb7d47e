public import Proactor

/// Why a call failed: a code to act on, words to read, and the errno below where there is one.
public struct ZeroMQError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure it is. New codes may come; compare, do not switch exhaustively.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case timedOut, cancelled, contextClosed, socketClosed, noRoute, wrongState, invalidEndpoint
            case unsupportedTransport, invalidOption, addressInUse, bindFailed, connectFailed, endpointUnknown
            case wrongThread, messageTooLarge, engineFailed, wouldBlock, invalidMessage
        }
        private let kind: Kind

        /// The deadline passed.
        public static let timedOut = Code(kind: .timedOut)
        /// The task was cancelled.
        public static let cancelled = Code(kind: .cancelled)
        /// The context was closed (the C API's ETERM).
        public static let contextClosed = Code(kind: .contextClosed)
        /// The socket was closed.
        public static let socketClosed = Code(kind: .socketClosed)
        /// No peer has the address (the C API's EHOSTUNREACH).
        public static let noRoute = Code(kind: .noRoute)
        /// The pattern does not allow this call now (the C API's EFSM).
        public static let wrongState = Code(kind: .wrongState)
        /// The endpoint's text cannot be understood.
        public static let invalidEndpoint = Code(kind: .invalidEndpoint)
        /// The endpoint names a transport that this library does not have (EPROTONOSUPPORT).
        public static let unsupportedTransport = Code(kind: .unsupportedTransport)
        /// An option is out of its range.
        public static let invalidOption = Code(kind: .invalidOption)
        /// The address is taken (EADDRINUSE).
        public static let addressInUse = Code(kind: .addressInUse)
        /// Binding failed for another reason.
        public static let bindFailed = Code(kind: .bindFailed)
        /// Connecting cannot even be tried.
        public static let connectFailed = Code(kind: .connectFailed)
        /// The socket has no such endpoint (ENOENT).
        public static let endpointUnknown = Code(kind: .endpointUnknown)
        /// A caller-driven context was used from another thread than its own.
        public static let wrongThread = Code(kind: .wrongThread)
        /// The message breaks a limit of the pattern.
        public static let messageTooLarge = Code(kind: .messageTooLarge)
        /// The message has not the shape that the pattern demands (the C API's EINVAL).
        public static let invalidMessage = Code(kind: .invalidMessage)
        /// The engine below could not be made or could not go on.
        public static let engineFailed = Code(kind: .engineFailed)
        /// Nothing can be done at once (a try form would have answered so).
        public static let wouldBlock = Code(kind: .wouldBlock)

        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// The kind of failure.
    public let code: Code
    /// What happened, where, and what to do.
    public let message: String
    /// The errno below, if a system call was the cause.
    public let underlying: SystemError?

    /// An error.
    public init(_ code: Code, _ message: String, underlying: SystemError? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// The message.
    public var description: String { message }
}
