import Foundation

/// Counts the system calls of processes and all their threads from outside: with perf, else with strace.
enum SystemCalls: String {
    case perf
    case strace

    var name: String { self == .perf ? "perf stat -e raw_syscalls:sys_enter" : "strace -f -c" }

    private var path: String? {
        ["/usr/bin/", "/usr/local/bin/", "/bin/"].map { $0 + rawValue }
            .first { access($0, X_OK) == 0 }
    }

    /// What works here, tried out on a process that does nothing.
    static func available() -> SystemCalls? {
        for counter in [SystemCalls.perf, .strace] where counter.path != nil {
            guard let session = try? counter.session(),
                let child = try? ChildProcess(session.prefix(0) + ["/bin/true"]),
                (try? child.finish(by: Date(timeIntervalSinceNow: 5))) != nil,
                let total = try? session.total(processes: 1), total > 0
            else { continue }
            return counter
        }
        return nil
    }

    func session() throws(BenchError) -> Session {
        guard let path else { throw BenchError("\(rawValue) is not installed") }
        return Session(counter: self, program: path)
    }

    /// One measurement: a file per process, removed at the end.
    final class Session {
        private let counter: SystemCalls
        private let program: String
        private let stem = NSTemporaryDirectory() + "bench-\(getpid())-\(UInt32.random(in: 0 ... .max))."

        init(counter: SystemCalls, program: String) {
            self.counter = counter
            self.program = program
        }

        deinit { for process in 0..<2 { unlink(file(process)) } }

        private func file(_ process: Int) -> String { stem + String(process) }

        /// The words before a command line.
        func prefix(_ process: Int) -> [String] {
            switch counter {
            case .perf: [program, "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-o", file(process), "--"]
            case .strace: [program, "-f", "-c", "-o", file(process), "--"]
            }
        }

        /// All calls of the processes, once they have ended.
        func total(processes: Int) throws(BenchError) -> Double {
            var sum = 0.0
            for process in 0..<processes {
                let text = (try? String(contentsOfFile: file(process), encoding: .utf8)) ?? ""
                guard let count = count(in: text) else { throw BenchError("\(counter.name) told nothing") }
                sum += count
            }
            return sum
        }

        private func count(in text: String) -> Double? {
            for line in text.split(separator: "\n") {
                switch counter {
                case .perf where line.contains("raw_syscalls"):
                    return line.split(separator: ",").first.flatMap { Double($0) }
                // "100.00    0.000123           1        46         3 total"
                case .strace where line.hasSuffix("total"):
                    let fields = line.split(separator: " ")
                    return fields.count > 3 ? Double(fields[3]) : nil
                default: continue
                }
            }
            return nil
        }
    }
}
