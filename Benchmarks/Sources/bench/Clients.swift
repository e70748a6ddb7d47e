import CSupport

/// Many clients of one ROUTER that echoes, one request outstanding each: how often they are answered, what that costs
/// the server, and what it holds for each of them.
enum Clients {
    private static let size = 64

    static func rows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: size) else { return [] }
        // Both processes need a descriptor for each; where root may not raise the limit, fewer have to do.
        let limit = Int(clamping: bench_raise_descriptor_limit(1 << 16))
        return [1000, 10_000].flatMap { rows(options, clients: $0, connections: min($0, limit - 200)) }
    }

    private static func rows(_ options: Options, clients: Int, connections: Int) -> [Row] {
        let contenders = [Contender.libzmq] + options.backends.map { .ours($0) }
        let variant = "\(clients) clients"
        let rotations = Rotation.measuring(4, "clients \(variant)", contenders, rounds: options.roundsOfMany) {
            contender, _ throws(BenchError) in
            let outcomes = try Loaded.run(
                contender, role: ["router-echo"],
                mode: ["echo", String(connections), String(options.secondsPerRun)])
            let load = outcomes.load
            let (seconds, cpu) = try load.measured()
            guard let memory = load.serverRssKib, let own = load.cpuSeconds, load.messages > 0 else {
                throw BenchError("\(contender.name): the load told no memory, no CPU time or no messages")
            }
            // Never nothing: a ratio with zero says nothing.
            return [
                Double(load.messages) / seconds, cpu / Double(load.messages) * 1e6,
                max(memory, 1) / Double(connections), own / seconds * 100,
            ]
        }
        let scale = connections < clients ? "\(connections) clients (descriptor limit)" : nil
        let figures = [
            ("", "echoes/s"), (", server CPU", "µs per echo"), (", server memory", "KiB per client"),
        ]
        return figures.enumerated().flatMap { figure, name in
            options.backends.enumerated().map { index, backend in
                // One thread is all the clients; where it has no time left, it is what limits the rate.
                let busy = figure == 0 ? rotations[3].note(index + 1, "load thread busy", "%") : nil
                let remarks = [scale, busy].compactMap(\.self)
                return Row(
                    rotations[figure], ours: index + 1, baseline: 0, scenario: Scenario.clients.rawValue,
                    transport: "tcp", size: size, backend: backend, variant: variant + name.0, unit: name.1,
                    lowerIsBetter: figure > 0, quick: options.isQuick,
                    note: remarks.isEmpty ? nil : remarks.joined(separator: "; "))
            }
        }
    }
}
