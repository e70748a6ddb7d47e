/// PUSH to PULL: messages per second at the receiver, from the last message of the warm-up to the last of all.
enum Throughput {
    /// libzmq's rates to start from (messages per second), by size; the first run of each contender corrects them.
    private static let guesses: [(size: Int, rate: Double)] = [
        (8, 7.2e6), (64, 3.9e6), (256, 1.6e6), (1024, 450e3), (8192, 80e3), (65536, 23e3), (1_048_576, 2200),
    ]

    static func rows(_ options: Options) -> [Row] {
        var rows: [Row] = []
        for guess in guesses where options.includes(transport: "tcp", size: guess.size) {
            rows += between(options, .throughput, "tcp", guess.size, mark: 0, guess.rate)
        }
        if options.includes(transport: "ipc", size: 64) {
            rows += between(options, .throughput, "ipc", 64, mark: 0, 3.9e6)
        }
        // One process and no backend at work: one row.
        if options.includes(transport: "inproc", size: 64) { rows += inproc(options, 64, 5.8e6) }
        return rows
    }

    static func rowsWithMark(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: 64) else { return [] }
        return between(options, .throughputWithMark, "tcp", 64, mark: 1000, 3.9e6)
    }

    /// Our asynchronous receive against our own blocking one, same sender.
    static func asyncRows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: 64) else { return [] }
        return options.backends.flatMap { backend in
            let contenders = [
                Contender.ours(backend), .ours(backend, "--async"), .ours(backend, "--async", "--pool"),
            ]
            let title = "async-throughput tcp 64 \(backend)"
            let rotation = rotate(options, title, contenders, "tcp", 64, mark: 0, 1e6)
            return ["", "on the task pool"].enumerated().map { index, variant in
                Row(
                    rotation, ours: index + 1, baseline: 0, scenario: Scenario.asyncThroughput.rawValue,
                    transport: "tcp", size: 64, backend: backend, variant: variant,
                    against: "our blocking receive", unit: "messages/s", quick: options.isQuick)
            }
        }
    }

    private static func between(
        _ options: Options, _ scenario: Scenario, _ transport: String, _ size: Int, mark: Int, _ guess: Double
    ) -> [Row] {
        let contenders = [Contender.libzmq] + options.backends.map { .ours($0) }
        let title = "\(scenario.rawValue) \(transport) \(size)"
        let rotation = rotate(options, title, contenders, transport, size, mark: mark, guess)
        return options.backends.enumerated().map { index, backend in
            Row(
                rotation, ours: index + 1, baseline: 0, scenario: scenario.rawValue, transport: transport,
                size: size, backend: backend, unit: "messages/s", quick: options.isQuick)
        }
    }

    private static func rotate(
        _ options: Options, _ title: String, _ contenders: [Contender], _ transport: String, _ size: Int, mark: Int,
        _ guess: Double
    ) -> Rotation {
        // Without a mark a fast sender may queue all: leave room for libzmq's 64-byte message objects.
        let most = Machine.memoryForRuns / Double(size + 128)
        var pace = Pace(contenders: contenders.count, guess: guess, seconds: options.secondsPerRun, most: most)
        return Rotation(title, contenders, rounds: options.rounds) { contender, index throws(BenchError) in
            let count = pace.count(index)
            let endpoint = TemporaryEndpoint(transport: transport)
            let outcomes = try Pair.run(
                contender, binder: "pull", connector: "push", endpoint: endpoint.text,
                [String(size), String(count), String(mark)])
            let rate = try rate(outcomes.binder, contender, size, count)
            try contender.check(outcomes.connector, size: size, messages: count)
            pace.learn(index, rate: rate)
            return rate
        }
    }

    private static func inproc(_ options: Options, _ size: Int, _ guess: Double) -> [Row] {
        let backend = options.backends[0]
        let contenders = [Contender.libzmq, .ours(backend)]
        let most = Machine.memoryForRuns / Double(size + 128)
        var pace = Pace(contenders: contenders.count, guess: guess, seconds: options.secondsPerRun, most: most)
        let rotation = Rotation("throughput inproc \(size)", contenders, rounds: options.rounds) {
            contender, index throws(BenchError) in
            let count = pace.count(index)
            let outcome = try Single.run(contender, ["inproc", String(size), String(count)])
            let rate = try rate(outcome, contender, size, count)
            pace.learn(index, rate: rate)
            return rate
        }
        return [
            Row(
                rotation, ours: 1, baseline: 0, scenario: Scenario.throughput.rawValue, transport: "inproc",
                size: size, backend: backend, unit: "messages/s", quick: options.isQuick)
        ]
    }

    private static func rate(
        _ outcome: Outcome, _ contender: Contender, _ size: Int, _ count: Int
    ) throws(BenchError) -> Double {
        try contender.check(outcome, size: size, messages: count)
        guard let seconds = outcome.seconds, seconds > 0 else { throw BenchError("\(contender.name): no time") }
        return Double(count) / seconds
    }
}
