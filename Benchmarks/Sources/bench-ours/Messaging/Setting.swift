import Proactor
import ZeroMQ

/// What a role runs on, from the command line.
struct Setting {
    var backend = BackendKind.ioUring
    /// No loop thread: the calling thread turns the loop.
    var isCallerDriven = false
    /// Receives by `for try await` instead of blocking.
    var isAsync = false

    func makeContext() throws -> Context {
        var configuration = Context.Configuration()
        configuration.backend = backend == .ioUring ? .ioUring : .epoll
        configuration.mode = isCallerDriven ? .callerDriven : .background
        return try Context(configuration)
    }

    /// The options for both sides with the mark in messages; 0 is none.
    static func options(mark: Int) -> SocketOptions {
        var options = SocketOptions()
        options.sendHighWaterMark = mark
        options.receiveHighWaterMark = mark
        options.linger = nil  // a sender leaves when all is sent, as libzmq does by default
        return options
    }
}
