import Foundation

/// Echo servers under the same load: requests per CPU-second of the server, ours against a minimal one in C.
///
/// The server has core 0 and the load core 1, where there are two.
enum Echo {
    private static let size = 64

    static func rows(_ options: Options) -> [Row] {
        guard options.includes(transport: "tcp", size: size) else { return [] }
        return [1, 100, 1000].flatMap { rows(options, connections: $0) }
    }

    private static func rows(_ options: Options, connections: Int) -> [Row] {
        let contenders = [Contender.liburing] + options.backends.map { .ours($0) }
        let variant = connections == 1 ? "1 connection" : "\(connections) connections"
        let rotation = Rotation("echo \(variant)", contenders, rounds: options.rounds) {
            contender, _ throws(BenchError) in
            try requestsPerCPUSecond(contender, connections, options.secondsPerRun)
        }
        return options.backends.enumerated().map { index, backend in
            Row(
                rotation, ours: index + 1, baseline: 0, scenario: Scenario.echo.rawValue, transport: "tcp",
                size: size, backend: backend, variant: variant, against: "minimal C liburing server",
                unit: "requests per server CPU-second", quick: options.isQuick)
        }
    }

    private static func requestsPerCPUSecond(
        _ contender: Contender, _ connections: Int, _ seconds: Double
    ) throws(BenchError) -> Double {
        let deadline = Date(timeIntervalSinceNow: Pair.timeout)
        let separate = Machine.cores > 1
        let arguments = contender.program == "bench-ours" ? ["echo-server"] : []
        let server = try ChildProcess(contender.command(arguments), core: separate ? 0 : nil)
        let bound = try server.decode(Bound.self, by: deadline)
        let load = try ChildProcess(
            [
                Contender.path(of: "echo-load"), try port(of: bound), String(connections), String(seconds),
                String(server.pid),
            ], core: separate ? 1 : nil)
        let outcome = try load.decode(Outcome.self, by: deadline)
        try load.finish(by: deadline)
        server.closeInput()
        let served = try server.decode(Outcome.self, by: deadline)
        try server.finish(by: deadline)
        guard served.backend == contender.backend else {
            throw BenchError("\(contender.name): ran on \(served.backend ?? "an unnamed backend")")
        }
        // The load counts only its measured window, the server everything.
        guard served.messages >= outcome.messages else {
            throw BenchError("\(contender.name): served \(served.messages) of \(outcome.messages)")
        }
        guard let cpu = outcome.serverCpuSeconds, cpu > 0 else {
            throw BenchError("\(contender.name): no CPU time")
        }
        return Double(outcome.messages) / cpu
    }
}

/// The port of a tcp endpoint.
func port(of bound: Bound) throws(BenchError) -> String {
    guard let port = bound.endpoint.split(separator: ":").last.flatMap({ UInt16($0) }), port > 0 else {
        throw BenchError("no port in \(bound.endpoint)")
    }
    return String(port)
}
