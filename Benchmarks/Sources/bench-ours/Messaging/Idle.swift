import CSupport
import ZeroMQ

/// A server that only holds its connections, so that their memory can be read from outside.
enum Idle {
    static func pull(_ setting: Setting, endpoint: String) throws {
        bench_raise_descriptor_limit(1 << 16)
        let context = try setting.makeContext()
        let pull = try PullSocket(context, options)
        try pull.bind(endpoint)
        tell(endpoint: pull.lastEndpoint)
        bench_wait_for_end_of_input()
        try leave(context, "pull-idle") { pull.close() }
    }

    static func router(_ setting: Setting, endpoint: String) throws {
        bench_raise_descriptor_limit(1 << 16)
        let context = try setting.makeContext()
        let router = try RouterSocket(context, options)
        try router.bind(endpoint)
        tell(endpoint: router.lastEndpoint)
        bench_wait_for_end_of_input()
        try leave(context, "router-idle") { router.close() }
    }

    private static var options: SocketOptions {
        var options = Setting.options(mark: 1000)
        options.backlog = 4096  // many clients come at once, as in bench-libzmq
        return options
    }

    private static func leave(_ context: Context, _ role: String, closing: () -> Void) throws {
        let report = context.report
        closing()
        try context.close()
        tell(role: role, report: report, size: 0, messages: 0, seconds: 0)
    }
}
