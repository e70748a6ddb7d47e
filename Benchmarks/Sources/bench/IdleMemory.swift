import CSupport
import Foundation

/// What a quiet connection costs in resident memory: one PULL or one ROUTER holding many raw clients of other
/// processes, read from outside, and read again when they have left.
enum IdleMemory {
    private static let processes = 4

    static func rows(_ options: Options) -> [Row] {
        // Raw clients do not send: the size is 0.
        guard options.includes(transport: "tcp", size: 0) else { return [] }
        // The server needs a descriptor for each; where root may not raise the limit, fewer have to do.
        let limit = Int(clamping: bench_raise_descriptor_limit(1 << 16))
        let connections = min(options.idleConnections, limit - 200)
        return [("pull-idle", "PUSH"), ("router-idle", "DEALER")].flatMap { role, peer in
            rows(options, role, peer, connections)
        }
    }

    private static func rows(_ options: Options, _ role: String, _ peer: String, _ connections: Int) -> [Row] {
        let contenders = [Contender.libzmq] + options.backends.map { .ours($0) }
        var kept = contenders.map { _ in [Double]() }
        let type = role == "pull-idle" ? "PULL" : "ROUTER"
        let rotation = Rotation("idle-memory \(type)", contenders, rounds: options.rounds) {
            contender, index throws(BenchError) in
            let (held, after) = try memory(contender, role, peer, connections)
            kept[index].append(after)
            return held
        }
        return options.backends.enumerated().map { index, backend in
            var note = "\(connections) connections"
            if connections < options.idleConnections { note += " (descriptor limit)" }
            if let ours = median(kept[index + 1]), let libzmq = median(kept[0]) {
                note += String(format: "; still held after they left: %.2f KiB each, libzmq %.2f", ours, libzmq)
            }
            return Row(
                rotation, ours: index + 1, baseline: 0, scenario: Scenario.idleMemory.rawValue, transport: "tcp",
                size: 0, backend: backend, variant: type, unit: "KiB per connection", lowerIsBetter: true,
                quick: options.isQuick, note: note)
        }
    }

    /// KiB per connection while all are there, and after they have left.
    private static func memory(
        _ contender: Contender, _ role: String, _ peer: String, _ connections: Int
    ) throws(BenchError) -> (held: Double, after: Double) {
        let deadline = Date(timeIntervalSinceNow: Pair.timeout)
        let server = try ChildProcess(contender.command([role, "tcp://127.0.0.1:*"]))
        let bound = try server.decode(Bound.self, by: deadline)
        let before = try settled(server)
        let clients = try ChildProcess([
            Contender.path(of: "idle-clients"), try port(of: bound), String(connections), String(processes), peer,
        ])
        _ = try clients.line(by: deadline)
        // A server that dropped connections, or another process than the one that serves, would look frugal.
        let open = try server.openDescriptors()
        guard open >= connections else {
            throw BenchError("\(contender.name): holds \(open) descriptors for \(connections) connections")
        }
        let held = try settled(server)
        clients.closeInput()
        _ = try clients.line(by: deadline)
        try clients.finish(by: deadline)
        // It must have seen them go before what it keeps means anything.
        while try server.openDescriptors() >= connections {
            guard deadline.timeIntervalSinceNow > 0 else {
                throw BenchError("\(contender.name): still holds descriptors of connections that have gone")
            }
            usleep(10_000)
        }
        let after = try settled(server)
        server.closeInput()
        let outcome = try server.decode(Outcome.self, by: deadline)
        try contender.check(outcome, size: 0, messages: 0)
        try server.finish(by: deadline)
        // Never nothing: a ratio with zero says nothing.
        return (max(held - before, 1) / Double(connections), (after - before) / Double(connections))
    }

    /// Resident memory once it has stood still for 300 ms, or after 3 s.
    private static func settled(_ child: ChildProcess) throws(BenchError) -> Double {
        var last = try child.residentMemory()
        var still = 0
        for _ in 0..<60 where still < 6 {
            usleep(50_000)
            let now = try child.residentMemory()
            still = now == last ? still + 1 : 0
            last = now
        }
        return last
    }
}
