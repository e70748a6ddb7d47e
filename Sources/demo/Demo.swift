import Glibc
import Proactor
import ZeroMQ

/// What `make demo` runs: the backend and why, rates and round trips on every backend, and a stock libzmq peer.
///
/// Rows are printed as they are measured. Exit status 0 only if everything that can run here ran and was right.
@main
struct Demo {
    /// How long each figure is measured; twelve of them keep the whole run well below 20 s.
    private static let span = Duration.milliseconds(600)
    private static let transports = ["tcp", "ipc"]

    private var runnable: [BackendKind] = []
    private var failures = 0

    static func main() {
        var demo = Demo()
        demo.choose(wanted())
        show(
            """

            Both ends run in this process, in two contexts with one loop each: four threads on \(cores) cores.
            Default options, so at most 1000 messages wait on either side. `make bench` compares with libzmq, in
            processes of their own.
            """)
        #if DEBUG
        show("This is a debug build: its figures say nothing. `make demo` builds with optimisation.")
        #endif
        demo.showRates()
        demo.showRoundTrips()
        demo.showStockPeer()
        if demo.failures > 0 { show("\n\(demo.failures) failed") }
        exit(demo.failures == 0 ? 0 : 1)
    }

    private static var cores: Int { sysconf(Int32(_SC_NPROCESSORS_ONLN)) }

    /// `--backend`, the same flag as on every tool; nil shows every backend.
    private static func wanted() -> BackendChoice? {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.isEmpty { return nil }
        guard arguments.count == 2, arguments[0] == "--backend", let choice = BackendChoice(arguments[1]) else {
            show("usage: demo [--backend auto|io_uring|epoll]    (without it: every backend)")
            exit(2)
        }
        return choice
    }

    // MARK: Which backend, and why

    private mutating func choose(_ wanted: BackendChoice?) {
        show("Chosen here")
        let chosen: BackendSelection
        do throws(ProactorError) {
            chosen = try BackendSelection.select(wanted)
            show("\(chosen.report)", indent: 2)
        } catch {
            show("\(error)", indent: 2)
            exit(1)
        }
        for backend in BackendKind.allCases where wanted == nil || backend == chosen.kind {
            do throws(ProactorError) {
                _ = try BackendSelection.select(backend.choice)
                runnable.append(backend)
            } catch {
                show("\n\(backend) has no rows below: \(error)")
                // Not available is a finding; want of resources is a failure.
                if case .unavailable = error {} else { failures += 1 }
            }
        }
    }

    // MARK: Rates and round trips

    private mutating func showRates() {
        show("\nPUSH to PULL")
        let table = Table([("backend", 10), ("transport", 10), ("size", 7), ("messages/s", -14), ("MB/s", -10)])
        table.printHead()
        for (backend, transport) in combinations {
            for (size, name) in [(64, "64 B"), (1024, "1 KiB")] {
                row(table, ["\(backend)", transport, name]) {
                    let flow = try Flow.measure(on: backend.choice, transport, size: size, for: Self.span)
                    return [grouped(flow.messagesPerSecond), decimal(flow.megabytesPerSecond)]
                }
            }
        }
    }

    private mutating func showRoundTrips() {
        show("\nREQ to REP, 64 B, one request at a time")
        let table = Table([("backend", 10), ("transport", 10), ("round trips/s", -14), ("p50", -12)])
        table.printHead()
        for (backend, transport) in combinations {
            row(table, ["\(backend)", transport]) {
                let trips = try RoundTrips.measure(on: backend.choice, transport, for: Self.span)
                return [grouped(trips.perSecond), "\(decimal(trips.median)) us"]
            }
        }
    }

    // MARK: A stock libzmq peer

    private mutating func showStockPeer() {
        show("\nWith a stock libzmq peer in a process of its own (python3-zmq)")
        guard StockPeer.isInstalled() else {
            return show(
                "python3-zmq is not there: `make setup` installs it, or `apt-get install python3-zmq`", indent: 2)
        }
        let table = Table([
            ("backend", 10), ("transport", 10), ("libzmq", 8), ("PUSH to its PULL", -16), ("its PUSH to PULL", -16),
            ("REQ to its REP", -14),
        ])
        table.printHead()
        let (flow, requests) = (grouped(Double(StockPeer.count)), grouped(Double(StockPeer.requests)))
        for (backend, transport) in combinations {
            row(table, ["\(backend)", transport]) {
                [try StockPeer.exchange(on: backend.choice, transport), flow, flow, requests]
            }
        }
        if runnable.isEmpty { return }
        show("Messages, each checked for order and content where it arrived. A request has two frames.", indent: 2)
    }

    private var combinations: [(BackendKind, String)] {
        runnable.flatMap { backend in Self.transports.map { (backend, $0) } }
    }

    /// One row of a table, or the failure in its place.
    private mutating func row(_ table: Table, _ names: [String], _ measure: () throws -> [String]) {
        do {
            table.printRow(names + (try measure()))
        } catch {
            failures += 1
            table.printRow(names + ["failed: \(error)"])
        }
    }
}

extension BackendKind {
    /// Forces this backend: no falling back.
    fileprivate var choice: BackendChoice {
        switch self {
        case .ioUring: .ioUring
        case .epoll: .epoll
        }
    }
}
