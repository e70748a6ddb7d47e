import Foundation

/// REQ to REP over tcp, 1 byte: the median round trip, all on one core and free; and system calls per round trip.
enum Latency {
    static func rows(_ options: Options, _ scenario: Scenario) -> [Row] {
        guard options.includes(transport: "tcp", size: 1) else { return [] }
        let contenders = [Contender.libzmq] + options.backends.map { contender($0, scenario) }
        return times(options, scenario, contenders, pinned: true)
            + times(options, scenario, contenders, pinned: false)
            + calls(options, scenario, contenders)
    }

    private static func contender(_ backend: String, _ scenario: Scenario) -> Contender {
        scenario == .latencyCallerDriven ? .ours(backend, "--caller-driven") : .ours(backend)
    }

    private static func times(
        _ options: Options, _ scenario: Scenario, _ contenders: [Contender], pinned: Bool
    ) -> [Row] {
        let variant = pinned ? "pinned" : "unpinned"
        var pace = Pace(contenders: contenders.count, guess: 14e3, seconds: options.secondsPerRun)
        let rotation = Rotation("\(scenario.rawValue) \(variant)", contenders, rounds: options.rounds) {
            contender, index throws(BenchError) in
            let count = pace.count(index)
            let outcome = try roundTrips(contender, count, core: pinned ? 0 : nil)
            guard let p50 = outcome.p50Us, let seconds = outcome.seconds else {
                throw BenchError("\(contender.name): no latency")
            }
            pace.learn(index, rate: Double(count) / seconds)
            return p50
        }
        return options.backends.enumerated().map { index, backend in
            Row(
                rotation, ours: index + 1, baseline: 0, scenario: scenario.rawValue, transport: "tcp", size: 1,
                backend: backend, variant: variant, unit: "µs p50", lowerIsBetter: true, pinned: pinned,
                quick: options.isQuick)
        }
    }

    /// Counted from outside, so the same way for both: all calls of both processes, a long run less a short one.
    private static func calls(_ options: Options, _ scenario: Scenario, _ contenders: [Contender]) -> [Row] {
        let counter = SystemCalls.available()
        let rotation = Rotation("\(scenario.rawValue) system calls", contenders, rounds: options.rounds) {
            contender, _ throws(BenchError) in
            guard let counter else { throw BenchError("neither perf nor strace can count system calls here") }
            let short = 500
            let long = 3000
            func total(_ count: Int) throws(BenchError) -> Double {
                let session = try counter.session()
                _ = try roundTrips(contender, count, core: nil, prefix: session.prefix)
                return try session.total(processes: 2)
            }
            let extra = try total(long) - total(short)
            // The warm-up makes round trips too.
            return extra / (Double(long - short) * 1.1)
        }
        return options.backends.enumerated().map { index, backend in
            Row(
                rotation, ours: index + 1, baseline: 0, scenario: scenario.rawValue, transport: "tcp", size: 1,
                backend: backend, variant: "system calls", unit: "system calls per round trip",
                lowerIsBetter: true, pinned: false, quick: options.isQuick,
                note: counter.map { "counted by \($0.name)" })
        }
    }

    private static func roundTrips(
        _ contender: Contender, _ count: Int, core: Int?, prefix: (Int) -> [String] = { _ in [] }
    ) throws(BenchError) -> Outcome {
        let endpoint = TemporaryEndpoint(transport: "tcp")
        let outcomes = try Pair.run(
            contender, binder: "rep", connector: "req", endpoint: endpoint.text, ["1", String(count)], core: core,
            prefix: prefix)
        try contender.check(outcomes.binder, size: 1, messages: count)
        try contender.check(outcomes.connector, size: 1, messages: count)
        return outcomes.connector
    }
}
