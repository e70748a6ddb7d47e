import CSupport
import Synchronization
import ZeroMQ

/// One socket with many peers, all of them the raw clients of zmtp-load; as in bench-libzmq.
enum Many {
    /// The mark, and room for many that come at once.
    private static func options(mark: Int = 1000) -> SocketOptions {
        var options = Setting.options(mark: mark)
        options.backlog = 4096
        return options
    }

    /// A PUB whose sends wait for the slowest subscriber.
    static func publish(
        _ setting: Setting, endpoint: String, subscribers: Int, topics: Int, size: Int, count: UInt64, rate: UInt64,
        mark: Int
    ) throws {
        bench_raise_descriptor_limit(1 << 16)
        let context = try setting.makeContext()
        var options = options(mark: mark)
        options.slowSubscribers = .wait
        let publisher = try PublishSocket(context, options)
        tell(endpoint: try publisher.bind(endpoint))
        let body = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { body.deallocate() }
        body.initializeMemory(as: UInt8.self, repeating: 0)
        let bytes = UnsafeRawBufferPointer(body)
        for topic in 0..<max(topics, 1) {
            bench_put_topic(body.baseAddress, UInt32(topic))
            // Those of a topic take turns, so the first topics have one more where it does not come out even.
            let share = topics > 0 ? (subscribers - topic + topics - 1) / topics : subscribers
            let name = String(decoding: bytes[..<bench_topic_size], as: UTF8.self)
            try publisher.subscribers(atLeast: share, to: topics > 0 ? name : "")
        }
        let start = bench_now()
        for sequence in 0..<(bench_warm_up(count) + count) {
            bench_put_topic(body.baseAddress, topics > 0 ? UInt32(sequence % UInt64(topics)) : 0)
            body.storeBytes(of: sequence, toByteOffset: size - 8, as: UInt64.self)
            if rate > 0 { bench_sleep_until(start + sequence * 1_000_000_000 / rate) }
            try publisher.send(bytes)
        }
        bench_wait_for_end_of_input()  // the load has all, and has read our CPU clock
        let report = context.report
        checkBackend(report)
        publisher.close()
        context.closeCleanly()
        tell(role: "publish", report: report, size: size, messages: count, seconds: 0)
    }

    /// A PULL that adds up the bodies of 8 bytes; borrowed, so nothing is copied out.
    static func collect(_ setting: Setting, endpoint: String, count: UInt64, mark: Int) throws {
        bench_raise_descriptor_limit(1 << 16)
        let context = try setting.makeContext()
        let pull = try PullSocket(context, options(mark: mark))
        tell(endpoint: try pull.bind(endpoint))
        let warmUp = bench_warm_up(count)
        let total = warmUp + count
        var received: UInt64 = 0
        var sum: UInt64 = 0
        var start: UInt64 = 0
        while received < total {
            try pull.receive { bytes, hasMore in
                guard !hasMore, bytes.count == 8 else {
                    fail("a message has \(bytes.count) bytes or several parts")
                }
                sum &+= bytes.loadUnaligned(as: UInt64.self)
            }
            received += 1
            if received == warmUp { start = bench_now() }
        }
        let seconds = Double(bench_now() - start) / 1e9
        let report = context.report
        checkBackend(report)
        pull.close()
        context.closeCleanly()
        tell(role: "collect", report: report, size: 8, messages: count, seconds: seconds, extra: ",\"sum\":\(sum)")
    }

    /// A ROUTER that sends each request back.
    static func routerEcho(_ setting: Setting, endpoint: String) throws {
        bench_raise_descriptor_limit(1 << 16)
        let context = try setting.makeContext()
        let router = try RouterSocket(context, options())
        tell(endpoint: try router.bind(endpoint))
        try echo("router-echo", context) { () throws(ZeroMQError) in try router.send(try router.receive()) }
    }

    /// Turns `step` on a thread of its own until standard input ends.
    static func echo(
        _ role: String, _ context: Context, _ step: @escaping @Sendable () throws(ZeroMQError) -> Void
    )
        throws
    {
        let thread = try SenderThread {
            do throws(ZeroMQError) {
                while true { try step() }
            } catch {
                guard error.code == .contextClosed else { fail("\(error)") }
            }
        }
        bench_wait_for_end_of_input()
        let report = context.report
        checkBackend(report)
        _ = context.close()  // the clients have gone: what was on its way to them is of no use
        thread.join()
        tell(role: role, report: report, size: 0, messages: 0, seconds: 0)
    }

    /// A ROUTER with quiet peers and heartbeats.
    static func heartbeat(_ setting: Setting, endpoint: String, milliseconds: Int) throws {
        bench_raise_descriptor_limit(1 << 16)
        let context = try setting.makeContext()
        var options = options()
        options.heartbeatInterval = .milliseconds(milliseconds)
        options.heartbeatTimeout = .seconds(5)
        let router = try RouterSocket(context, options)
        tell(endpoint: try router.bind(endpoint))
        bench_wait_for_end_of_input()
        let report = context.report
        checkBackend(report)
        router.close()
        context.closeCleanly()
        tell(role: "heartbeat", report: report, size: 0, messages: 0, seconds: 0)
    }
}
