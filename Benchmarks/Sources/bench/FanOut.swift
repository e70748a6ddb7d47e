/// One publisher, many subscribers: deliveries per second at the load, and what a paced publisher burns.
enum FanOut {
    private static let size = 64

    /// Who subscribes to what.
    private struct Shape {
        let subscribers: Int
        /// 0: all to everything.
        let topics: Int
        var variant: String { "\(subscribers) subscribers" + (topics > 0 ? ", \(topics) topics" : "") }
    }

    private static let shapes = [(10, 0), (100, 0), (1000, 0), (1000, 10)].map {
        Shape(subscribers: $0, topics: $1)
    }

    static func rows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: size) else { return [] }
        return shapes.flatMap { rows(options, $0) }
    }

    private static func rows(_ options: Options, _ shape: Shape) -> [Row] {
        let contenders = [Contender.libzmq] + options.backends.map { .ours($0) }
        // Deliveries for each message.
        let fan = Double(shape.subscribers) / Double(max(shape.topics, 1))
        var pace = Pace(contenders: contenders.count, guess: 7e6 / fan, seconds: options.secondsPerRun)
        let rotations = Rotation.measuring(
            2, "fan-out \(shape.variant)", contenders, rounds: options.roundsOfMany
        ) { contender, index throws(BenchError) in
            let count = pace.count(index)
            let load = try publish(contender, shape, count)
            let (seconds, cpu) = try load.measured()
            guard let deliveries = load.deliveries, deliveries > 0 else {
                throw BenchError("the load counted no deliveries")
            }
            pace.learn(index, rate: deliveries / fan / seconds)
            return [deliveries / seconds, cpu / deliveries * 1e9]
        }
        return options.backends.enumerated().map { index, backend in
            Row(
                rotations[0], ours: index + 1, baseline: 0, scenario: Scenario.fanOut.rawValue, transport: "tcp",
                size: size, backend: backend, variant: shape.variant, unit: "deliveries/s", quick: options.isQuick,
                note: rotations[1].note(index + 1, "publisher CPU", "ns each"))
        }
    }

    private static func publish(
        _ contender: Contender, _ shape: Shape, _ count: Int, rate: Int = 0
    ) throws(BenchError) -> Outcome {
        let subscribers = String(shape.subscribers)
        let topics = String(shape.topics)
        let outcomes = try Loaded.run(
            contender,
            role: ["publish", subscribers, topics, String(size), String(count), String(rate), Loaded.mark],
            mode: ["subscribe", subscribers, topics, String(size), String(count)])
        try contender.check(outcomes.server, size: size, messages: count)
        return outcomes.load
    }

    /// A publisher that is told how fast: what its process burns.
    static func pacedRows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: size) else { return [] }
        let shape = Shape(subscribers: 100, topics: 0)
        let rate = 10_000
        let contenders = [Contender.libzmq] + options.backends.map { .ours($0) }
        let variant = "\(rate) messages/s to \(shape.variant)"
        let rotation = Rotation("paced", contenders, rounds: options.roundsOfMany) {
            contender, _ throws(BenchError) in
            let count = Int(Double(rate) * options.secondsPerRun * 1.5)
            let load = try publish(contender, shape, count, rate: rate)
            let (seconds, cpu) = try load.measured()
            // Who falls behind does not do the same work.
            guard abs(seconds * Double(rate) / Double(count) - 1) < 0.05 else {
                throw BenchError("\(contender.name): \(count) messages took \(seconds) s, not at \(rate) a second")
            }
            return cpu / Double(count * shape.subscribers) * 1e9
        }
        return options.backends.enumerated().map { index, backend in
            Row(
                rotation, ours: index + 1, baseline: 0, scenario: Scenario.paced.rawValue, transport: "tcp",
                size: size, backend: backend, variant: variant, unit: "publisher CPU ns per delivery",
                lowerIsBetter: true, quick: options.isQuick)
        }
    }
}
