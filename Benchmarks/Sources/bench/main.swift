// Compares swift-proactor with libzmq (and its echo server with a minimal one in C) in the same run.
//
// Contenders are programs beside this one; they alternate, each run is checked, and all figures are medians of rounds
// with ratios paired by round. `Benchmarks/README.md` tells the method.
import CSupport
import Foundation

func run() throws -> Bool {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.contains("--help") || arguments.contains("-h") {
        print(Options.usage)
        return true
    }
    let options = try Options(arguments)
    for program in ["bench-libzmq", "bench-ours", "echo-minimal", "echo-load", "idle-clients", "zmtp-load"]
    where access(Contender.path(of: program), X_OK) != 0 {
        throw BenchError("\(program) is not built: swift build -c release --package-path Benchmarks")
    }
    #if DEBUG
    progress("this is a debug build: its figures mean nothing", ends: true)
    #endif

    let start = Date()
    let store = Store.standard()
    var rows: [Row] = []
    for scenario in options.scenarios {
        let new = measure(scenario, options)
        rows += new
        _ = try store.merge(new)  // at once: an interrupted run keeps what it has
    }
    guard !rows.isEmpty else { throw BenchError("no row fits these options") }
    print(Machine.description)
    print(String(format: "%.0f s in all; written to \(store.folder.path)\n", -start.timeIntervalSinceNow))
    print(Table.markdown(rows), terminator: "")
    return !rows.contains { $0.failure != nil }
}

func measure(_ scenario: Scenario, _ options: Options) -> [Row] {
    switch scenario {
    case .throughput: Throughput.rows(options)
    case .throughputWithMark: Throughput.rowsWithMark(options)
    case .latency, .latencyCallerDriven: Latency.rows(options, scenario)
    case .asyncThroughput: Throughput.asyncRows(options)
    case .echo: Echo.rows(options)
    case .idleMemory: IdleMemory.rows(options)
    case .fanOut: FanOut.rows(options)
    case .paced: FanOut.pacedRows(options)
    case .fanIn: FanIn.rows(options)
    case .clients: Clients.rows(options)
    case .threadSafe: ThreadSafe.rows(options)
    case .heartbeatIdle: HeartbeatIdle.rows(options)
    }
}

do {
    // A run that failed has no number; a missed goal is a number, and no failure of the benchmark.
    exit(try run() ? 0 : 1)
} catch {
    progress("bench: \(error)", ends: true)
    exit(2)
}
