import Proactor
import ZeroMQ

/// What a role runs on, from the command line.
struct Setting {
    var backend = BackendKind.ioUring
    /// No loop thread: the calling thread turns the loop.
    var isCallerDriven = false
    /// Receives by `for try await` instead of blocking, in a task on the loop's own thread.
    var isAsync = false
    /// That task runs on the pool of the concurrency runtime instead.
    var isOnPool = false

    func makeContext() throws(ZeroMQError) -> Context {
        try Context(
            backend: backend == .ioUring ? .ioUring : .epoll,
            mode: isCallerDriven ? .callerDriven : .background(loops: 1))
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

extension Context {
    /// Closes, and fails the run if anything was left undelivered.
    func closeCleanly() {
        let report = close()
        guard report.isComplete, report.undelivered.isEmpty else { fail("\(report)") }
    }
}
