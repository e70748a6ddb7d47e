/// Many pushers, one PULL: messages of 8 bytes per second at the receiver.
enum FanIn {
    private static let size = 8

    static func rows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: size) else { return [] }
        let writes = [(100, 10_000), (1000, 10_000), (100, 1000), (1000, 1000)]
        // Without a mark as throughput is, and what the default mark costs.
        return writes.flatMap { rows(options, $0, $1, mark: "0") }
            + writes[..<2].flatMap { rows(options, $0, $1, mark: Loaded.mark) }
    }

    private static func rows(_ options: Options, _ pushers: Int, _ write: Int, mark: String) -> [Row] {
        let contenders = [Contender.libzmq] + options.backends.map { .ours($0) }
        let variant = "\(pushers) pushers, \(write / 1000) KB writes" + (mark == "0" ? "" : ", mark \(mark)")
        var pace = Pace(contenders: contenders.count, guess: 8e6, seconds: options.secondsPerRun)
        let rotations = Rotation.measuring(
            2, "fan-in \(variant)", contenders, rounds: options.roundsOfMany
        ) { contender, index throws(BenchError) in
            let count = pace.count(index)
            let outcomes = try Loaded.run(
                contender, role: ["collect", String(count), mark],
                mode: ["push", String(pushers), String(write), String(count)], tellsPid: false, leavesFirst: false)
            try contender.check(outcomes.server, size: size, messages: count)
            guard outcomes.server.sum == outcomes.load.sum, outcomes.load.sum != nil else {
                throw BenchError("\(contender.name): received other bodies than were sent")
            }
            guard let seconds = outcomes.server.seconds, let cpu = outcomes.server.cpuSeconds, seconds > 0 else {
                throw BenchError("\(contender.name): no time")
            }
            let rate = Double(count) / seconds
            pace.learn(index, rate: rate)
            return [rate, cpu / (Double(count) * 1.1) * 1e9]
        }
        return options.backends.enumerated().map { index, backend in
            Row(
                rotations[0], ours: index + 1, baseline: 0, scenario: Scenario.fanIn.rawValue, transport: "tcp",
                size: size, backend: backend, variant: variant, unit: "messages/s", quick: options.isQuick,
                note: rotations[1].note(index + 1, "receiver CPU with set-up", "ns each"))
        }
    }
}
