import Foundation

/// Four callers of one socket: tasks on one CLIENT towards an echoing SERVER of another process.
///
/// Stock libzmq has no socket for that (its CLIENT is a draft, which packages leave out). It is compared with what its
/// users do instead: a thread and a DEALER for each, or threads that share one DEALER under a mutex, towards an echoing
/// ROUTER.
enum ThreadSafe {
    private static let size = 64
    private static let tasks = 4
    /// In the order of the contenders.
    private static let baselines = ["a thread and a DEALER each", "threads on one DEALER under a mutex"]

    static func rows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: size) else { return [] }
        return [1, 100].flatMap { rows(options, depth: $0) }
    }

    /// - Parameter depth: Requests that each caller has outstanding.
    private static func rows(_ options: Options, depth: Int) -> [Row] {
        let contenders = [Contender.libzmq, .libzmqShared] + options.backends.map { .ours($0) }
        let variant = "\(tasks) tasks, \(depth) outstanding each"
        var pace = Pace(
            contenders: contenders.count, guess: depth == 1 ? 50e3 : 500e3, seconds: options.secondsPerRun)
        let rotation = Rotation("thread-safe \(variant)", contenders, rounds: options.roundsOfMany) {
            contender, index throws(BenchError) in
            // Whole rounds of all callers.
            let round = tasks * depth
            let count = max(pace.count(index) / round, 1) * round
            let rate = try roundTrips(contender, depth, count)
            pace.learn(index, rate: rate)
            return rate
        }
        return options.backends.enumerated().flatMap { index, backend in
            baselines.enumerated().map { baseline, name in
                Row(
                    rotation, ours: index + baselines.count, baseline: baseline,
                    scenario: Scenario.threadSafe.rawValue, transport: "tcp", size: size, backend: backend,
                    variant: variant + (baseline > 0 ? ", against one DEALER" : ""), against: "libzmq, " + name,
                    unit: "round trips/s", quick: options.isQuick)
            }
        }
    }

    /// - Returns: round trips per second.
    private static func roundTrips(_ contender: Contender, _ depth: Int, _ count: Int) throws(BenchError) -> Double
    {
        let deadline = Date(timeIntervalSinceNow: Pair.timeout)
        let role = contender.backend == nil ? "router-echo" : "server-echo"
        let server = try ChildProcess(contender.command([role, "tcp://127.0.0.1:*"]))
        let bound = try server.decode(Bound.self, by: deadline)
        let clients = try ChildProcess(
            contender.command(["clients", bound.endpoint, String(tasks), String(depth), String(count)])
                + (contender.name == Contender.libzmqShared.name ? ["--shared"] : []))
        let outcome = try clients.decode(Outcome.self, by: deadline)
        try clients.finish(by: deadline)
        server.closeInput()
        let served = try server.decode(Outcome.self, by: deadline)
        try server.finish(by: deadline)
        try contender.check(served, size: 0, messages: 0)
        try contender.check(outcome, size: size, messages: count)
        guard let seconds = outcome.seconds, seconds > 0 else { throw BenchError("\(contender.name): no time") }
        return Double(count) / seconds
    }
}

extension Contender {
    /// libzmq's threads with one socket for all of them.
    fileprivate static let libzmqShared = Contender(
        name: "libzmq, one DEALER", program: "bench-libzmq", backend: nil, flags: [])
}
