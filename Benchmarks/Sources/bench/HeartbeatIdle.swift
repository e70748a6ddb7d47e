/// What quiet connections with heartbeats cost: CPU time of one ROUTER whose peers answer its PINGs.
enum HeartbeatIdle {
    private static let connections = 1000
    /// Milliseconds from PING to PING.
    private static let interval = 200

    static func rows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: 0) else { return [] }
        let contenders = [Contender.libzmq] + options.backends.map { .ours($0) }
        let rotation = Rotation("heartbeat-idle", contenders, rounds: options.roundsOfMany) {
            contender, _ throws(BenchError) in
            let outcomes = try Loaded.run(
                contender, role: ["heartbeat", String(interval)],
                mode: ["hold", String(connections), String(options.secondsPerRun * 2)])
            let (seconds, cpu) = try outcomes.load.measured()
            // Who sends fewer would look frugal.
            let due = Double(connections) * seconds * 1000 / Double(interval)
            guard abs(Double(outcomes.load.messages) / due - 1) < 0.15 else {
                throw BenchError(
                    "\(contender.name): sent \(outcomes.load.messages) PINGs where \(Int(due)) were due")
            }
            return cpu / seconds * 1000
        }
        return options.backends.enumerated().map { index, backend in
            Row(
                rotation, ours: index + 1, baseline: 0, scenario: Scenario.heartbeatIdle.rawValue, transport: "tcp",
                size: 0, backend: backend, variant: "\(connections) connections, \(interval) ms",
                unit: "CPU ms per second", lowerIsBetter: true, quick: options.isQuick)
        }
    }
}
