import CSupport
import ZeroMQ

/// A server that only holds its connections, so that their memory can be read from outside.
enum Idle {
    static func pull(_ setting: Setting, endpoint: String) throws {
        let context = try setting.makeContext()
        try serve("pull-idle", context, PullSocket(context, options), endpoint)
    }

    static func router(_ setting: Setting, endpoint: String) throws {
        let context = try setting.makeContext()
        try serve("router-idle", context, RouterSocket(context, options), endpoint)
    }

    private static var options: SocketOptions {
        var options = Setting.options(mark: 1000)
        options.backlog = 4096  // many clients come at once, as in bench-libzmq
        return options
    }

    private static func serve(_ role: String, _ context: Context, _ socket: Socket, _ endpoint: String) throws {
        bench_raise_descriptor_limit(1 << 16)
        tell(endpoint: try socket.bind(endpoint))
        bench_wait_for_end_of_input()
        let report = context.report
        checkBackend(report)
        socket.close()
        context.closeCleanly()
        tell(role: role, report: report, size: 0, messages: 0, seconds: 0)
    }
}
