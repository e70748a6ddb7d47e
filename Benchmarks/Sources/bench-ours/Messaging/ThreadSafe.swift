import CSupport
import Dispatch
import Synchronization
import ZeroMQ

/// One socket that several callers use at once: tasks on one CLIENT, a SERVER that echoes.
enum ThreadSafe {
    /// A SERVER that sends each request back, until standard input ends.
    static func serverEcho(_ setting: Setting, endpoint: String) throws {
        let context = try setting.makeContext()
        let server = try ServerSocket(context, Setting.options(mark: 1000))
        tell(endpoint: try server.bind(endpoint))
        try Many.echo("server-echo", context) { () throws(ZeroMQError) in
            let request = try server.receive()
            try server.send(request.message, to: request.routingID)
        }
    }

    /// Tasks that each send `depth` requests and then receive as many replies, over and over. A reply may be that to
    /// another task's request: each is counted, and all are added up.
    static func clients(
        _ setting: Setting, endpoint: String, tasks: Int, depth: Int, count: UInt64
    ) throws {
        let context = try setting.makeContext()
        let client = try ClientSocket(context, Setting.options(mark: 1000))
        try client.connect(endpoint)
        let rounds = rounds(count, tasks, depth)
        let balance = Atomic<UInt64>(0)
        func work(_ rounds: UInt64) throws -> Double {
            let start = bench_now()
            try runBlocking(tasks) { task in
                var sum: UInt64 = 0
                for round in 0..<rounds {
                    for place in 0..<depth {
                        let number = bench_mixed((round * UInt64(depth) + UInt64(place)) << 8 | UInt64(task))
                        try await client.send(body(number))
                        sum &+= number
                    }
                    for _ in 0..<depth { sum &-= try number(of: await client.receive()) }
                }
                balance.wrappingAdd(sum, ordering: .relaxed)
            }
            return Double(bench_now() - start) / 1e9
        }
        _ = try work(max(rounds / 10, 1))
        let seconds = try work(rounds)
        guard balance.load(ordering: .relaxed) == 0 else { fail("the replies are not those to the requests") }
        let report = context.report
        checkBackend(report)
        client.close()
        context.closeCleanly()
        tell(
            role: "clients", report: report, size: bodySize, messages: rounds * UInt64(tasks * depth),
            seconds: seconds)
    }

    private static let bodySize = 64

    private static func rounds(_ count: UInt64, _ tasks: Int, _ depth: Int) -> UInt64 {
        max(count / UInt64(tasks * depth), 1)
    }

    /// A body with the number at its start and its end.
    private static func body(_ number: UInt64) -> Message {
        Message(Frame(count: bodySize) { bench_stamp($0.baseAddress, bodySize, number) })
    }

    private static func number(of message: Message) throws -> UInt64 {
        message[0].withUnsafeBytes { bytes in
            guard bytes.count == bodySize else { fail("a reply has \(bytes.count) bytes") }
            let number = bytes.loadUnaligned(as: UInt64.self)
            guard bench_is_stamped(bytes.baseAddress, bodySize, number) else { fail("a reply is changed") }
            return number
        }
    }

    /// Runs so many tasks on the pool and blocks this thread until all are done.
    private static func runBlocking(
        _ tasks: Int, _ work: @escaping @Sendable (Int) async throws -> Void
    ) throws {
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            await withTaskGroup(of: Void.self) { group in
                for task in 0..<tasks {
                    group.addTask {
                        do { try await work(task) } catch { fail("\(error)") }
                    }
                }
            }
            done.signal()
        }
        done.wait()
    }
}
