import Foundation

/// One contender's server under zmtp-load, the raw ZMTP clients that are the same for all.
enum Loaded {
    /// The default of both.
    static let mark = "1000"

    struct Outcomes {
        let server: Outcome
        let load: Outcome
    }

    /// - Parameters:
    ///   - role: The server's role, and what follows the endpoint.
    ///   - mode: The load's mode, and what follows the port.
    ///   - tellsPid: The load's last argument is the server's process.
    ///   - leavesFirst: The load goes before the server ends; else the server ends by itself, with all peers there.
    static func run(
        _ contender: Contender, role: [String], mode: [String], tellsPid: Bool = true, leavesFirst: Bool = true
    ) throws(BenchError) -> Outcomes {
        let deadline = Date(timeIntervalSinceNow: Pair.timeout)
        let server = try ChildProcess(
            contender.command([role[0], "tcp://127.0.0.1:*"] + role.dropFirst()))
        let bound = try server.decode(Bound.self, by: deadline)
        let load = try ChildProcess(
            [Contender.path(of: "zmtp-load"), mode[0], try port(of: bound)] + mode.dropFirst()
                + (tellsPid ? [String(server.pid)] : []))
        let loaded = try load.decode(Outcome.self, by: deadline)
        if leavesFirst { try load.finish(by: deadline) }
        server.closeInput()
        let served = try server.decode(Outcome.self, by: deadline)
        if !leavesFirst { try load.finish(by: deadline) }
        try server.finish(by: deadline)
        guard served.backend == contender.backend else {
            throw BenchError("\(contender.name): ran on \(served.backend ?? "an unnamed backend")")
        }
        return Outcomes(server: served, load: loaded)
    }
}

extension Outcome {
    /// The span that the load measured, and the server's CPU time within it.
    func measured() throws(BenchError) -> (seconds: Double, cpu: Double) {
        guard let seconds, let serverCpuSeconds, seconds > 0, serverCpuSeconds > 0 else {
            throw BenchError("the load measured no time")
        }
        return (seconds, serverCpuSeconds)
    }
}
