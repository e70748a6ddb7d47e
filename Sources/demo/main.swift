import Glibc
import Proactor
import ZeroMQ

// What `make demo` runs: the backend and why, rates and round trips on every backend, and a stock libzmq peer.
//
// Rows are printed as they are measured. Exit status 0 only if everything that can run here ran and was right.

/// How long each figure is measured; fourteen of them keep the whole run below 20 s.
let span = Duration.milliseconds(600)
let transports = ["tcp", "ipc"]
var failures = 0

/// One row of a table, or the failure in its place.
func row(_ table: Table, _ names: [String], _ measure: () throws -> [String]) {
    do {
        table.printRow(names + (try measure()))
    } catch {
        failures += 1
        table.printRow(names + ["failed: \(error)"])
    }
}

let wanted: BackendChoice?
switch CommandLine.arguments.dropFirst() {
case []: wanted = nil
case let arguments where arguments.count == 2 && arguments.first == "--backend":
    guard let choice = BackendChoice(arguments.last!) else {
        show("demo: --backend is auto, io_uring or epoll, not \"\(arguments.last!)\"")
        exit(2)
    }
    wanted = choice
default:
    show("usage: demo [--backend auto|io_uring|epoll]    without it both backends are shown")
    exit(2)
}

// MARK: Which backend, and why

show("Chosen here")
do {
    show("\(try BackendSelection.select(wanted).report)", indent: 2)
} catch {
    show("\(error)", indent: 2)
    exit(1)
}

var runnable: [BackendKind] = []
for backend in BackendKind.allCases where try wanted == nil || BackendSelection.select(wanted).kind == backend {
    do throws(ProactorError) {
        _ = try BackendSelection.select(backend.choice)
        runnable.append(backend)
    } catch {
        show("\n\(backend) cannot run here: \(error)")
        // Not available is a finding; want of resources is a failure.
        if case .unavailable = error {} else { failures += 1 }
    }
}

// MARK: Rates and round trips

let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
show(
    """

    Both ends run in this process, in two contexts with one loop each: four threads on \(cores) cores. \
    Default options,
    so at most 1000 messages wait on either side. `make bench` compares with libzmq, between processes.
    """)
#if DEBUG
    show("This is a debug build: its figures say nothing. `make demo` builds with optimisation.")
#endif

show("\nPUSH to PULL")
let rates = Table([("backend", 10), ("transport", 10), ("size", 7), ("messages/s", -14), ("MB/s", -10)])
rates.printHead()
for backend in runnable {
    for transport in transports {
        for size in [64, 1024] {
            row(rates, ["\(backend)", transport, size < 1024 ? "\(size) B" : "\(size / 1024) KiB"]) {
                let flow = try Flow.measure(on: backend.choice, transport, size: size, for: span)
                return [grouped(flow.messagesPerSecond), decimal(flow.megabytesPerSecond)]
            }
        }
    }
}

show("\nREQ to REP, 64 B, one request at a time")
let trips = Table([("backend", 10), ("transport", 10), ("round trips/s", -14), ("p50", -12)])
trips.printHead()
for backend in runnable {
    for transport in transports {
        row(trips, ["\(backend)", transport]) {
            let trip = try RoundTrips.measure(on: backend.choice, transport, for: span)
            return [grouped(trip.perSecond), "\(decimal(trip.median)) us"]
        }
    }
}

// MARK: A stock libzmq peer

show("\nWith stock libzmq, in a process of its own (python3-zmq)")
let exchanges = Table([("backend", 10), ("transport", 10), ("libzmq", 8), ("exchanged", 0)])
var isHeadPrinted = false
exchange: for backend in runnable {
    for transport in transports {
        do {
            let exchange = try StockPeer.exchange(on: backend.choice, transport)
            if !isHeadPrinted { exchanges.printHead() }
            isHeadPrinted = true
            exchanges.printRow(["\(backend)", transport, exchange.version, exchange.summary])
        } catch StockPeer.Failure.notInstalled {
            show("  python3-zmq is not installed: run `make setup`, or `apt-get install python3-zmq` as root.")
            break exchange
        } catch {
            failures += 1
            exchanges.printRow(["\(backend)", transport, "failed: \(error)"])
        }
    }
}

if failures > 0 { show("\n\(failures) failed") }
exit(failures == 0 ? 0 : 1)

extension BackendKind {
    /// Forces this backend: no falling back.
    var choice: BackendChoice {
        switch self {
        case .ioUring: .ioUring
        case .epoll: .epoll
        }
    }
}
