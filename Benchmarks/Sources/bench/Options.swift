import Foundation

/// What to run, from the command line.
struct Options {
    var scenarios: [Scenario] = Scenario.allCases
    var backends = ["io_uring", "epoll"]
    var transport: String?
    var size: Int?
    var rounds = 5
    /// For the scenarios with many connections, where setting up takes as long as measuring: three unless told.
    var roundsOfMany = 3
    var isQuick = false
    /// Span that a measured run aims at; 0.5 to 1.5 s are good enough to count (see `Pace`).
    var secondsPerRun: Double { isQuick ? 0.5 : 0.8 }
    var idleConnections: Int { isQuick ? 2000 : 10_000 }

    static let usage = """
        usage: bench [options]
          --scenario NAME      \(Scenario.allCases.map(\.rawValue).joined(separator: ", ")); may be repeated (all)
          --backend NAME       io_uring or epoll (both)
          --transport NAME     tcp, ipc or inproc (all)
          --size BYTES         rows of this body size only (all)
          --rounds N           measured rounds, contenders alternating (5, with many connections 3; quick 2, 1)
          --quick              short runs, few rounds: to see that everything works, not to quote
        """

    init(_ arguments: [String]) throws(BenchError) {
        var rest = arguments[...]
        var chosen: [Scenario] = []
        var rounds: Int?
        while let option = rest.popFirst() {
            func value() throws(BenchError) -> String {
                guard let value = rest.popFirst() else {
                    throw BenchError("\(option) needs a value\n\(Self.usage)")
                }
                return value
            }
            func number() throws(BenchError) -> Int {
                let text = try value()
                guard let number = Int(text), number > 0 else {
                    throw BenchError("\(option): not a number: \(text)")
                }
                return number
            }
            switch option {
            case "--scenario":
                let name = try value()
                guard let scenario = Scenario(rawValue: name) else {
                    throw BenchError("no scenario \(name)\n\(Self.usage)")
                }
                chosen.append(scenario)
            case "--backend":
                let name = try value()
                guard backends.contains(name) else { throw BenchError("no backend \(name)\n\(Self.usage)") }
                backends = [name]
            case "--transport":
                let name = try value()
                guard ["tcp", "ipc", "inproc"].contains(name) else {
                    throw BenchError("no transport \(name)\n\(Self.usage)")
                }
                transport = name
            case "--size": size = try number()
            case "--rounds": rounds = try number()
            case "--quick": isQuick = true
            default: throw BenchError("\(option)?\n\(Self.usage)")
            }
        }
        if !chosen.isEmpty { scenarios = chosen }
        self.rounds = rounds ?? (isQuick ? 2 : 5)
        roundsOfMany = rounds ?? (isQuick ? 1 : 3)
    }

    /// Whether the options ask for this row.
    func includes(transport: String, size: Int) -> Bool {
        (self.transport ?? transport) == transport && (self.size ?? size) == size
    }
}

/// The families of rows.
enum Scenario: String, CaseIterable {
    case throughput
    case throughputWithMark = "throughput-hwm"
    case latency
    case latencyCallerDriven = "latency-caller-driven"
    case asyncThroughput = "async-throughput"
    case echo
    case idleMemory = "idle-memory"
    case fanOut = "fan-out"
    case paced
    case fanIn = "fan-in"
    case clients
    case threadSafe = "thread-safe"
    case heartbeatIdle = "heartbeat-idle"
}

/// Something went wrong; the message says what and where.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
