import Foundation

/// One side of a comparison: a program and the words that choose what it runs on.
struct Contender {
    let name: String
    let program: String
    /// The backend that its result lines must name; nil for libzmq, which has only one.
    let backend: String?
    /// Appended to every command line.
    let flags: [String]

    static let libzmq = Contender(name: "libzmq", program: "bench-libzmq", backend: nil, flags: [])
    static let liburing = Contender(name: "liburing", program: "echo-minimal", backend: "io_uring", flags: [])

    static func ours(_ backend: String, _ flags: String...) -> Contender {
        Contender(
            name: (["ours", backend] + flags.map { String($0.drop { $0 == "-" }) }).joined(separator: " "),
            program: "bench-ours", backend: backend, flags: ["--backend", backend] + flags)
    }

    /// The command line for a role.
    func command(_ arguments: [String]) -> [String] { [Self.path(of: program)] + arguments + flags }

    /// A program of this package: all are built into the same folder as the runner.
    static func path(of program: String) -> String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(program).path
    }

    /// Traps nothing but trusts nothing either: the line must come from the contender that was asked, on the backend
    /// that was asked, about as many messages of the size that was asked.
    func check(_ outcome: Outcome, size: Int, messages: Int) throws(BenchError) {
        if outcome.backend != backend {
            throw BenchError("\(name): ran on \(outcome.backend ?? "an unnamed backend")")
        }
        if outcome.size != size || outcome.messages != messages {
            throw BenchError(
                "\(name): \(outcome.messages) messages of \(outcome.size ?? -1) bytes instead of "
                    + "\(messages) of \(size)")
        }
    }
}

/// Runs two processes, the first of which binds and tells its endpoint to the second.
enum Pair {
    /// A run that takes longer is killed and has no result.
    static let timeout: TimeInterval = 30

    struct Outcomes {
        let binder: Outcome
        let connector: Outcome
    }

    /// - Parameters:
    ///   - prefix: A command that both run under, as `perf stat …`; called with 0 for the binder, 1 for the connector.
    ///   - core: The core that both share; nil leaves both free.
    static func run(
        _ contender: Contender, binder: String, connector: String, endpoint: String, _ arguments: [String],
        core: Int? = nil, prefix: (Int) -> [String] = { _ in [] }
    ) throws(BenchError) -> Outcomes {
        let deadline = Date(timeIntervalSinceNow: timeout)
        let first = try ChildProcess(
            prefix(0) + contender.command([binder, endpoint] + arguments), core: core)
        let bound = try first.decode(Bound.self, by: deadline)
        let second = try ChildProcess(
            prefix(1) + contender.command([connector, bound.endpoint] + arguments), core: core)
        let result = Outcomes(
            binder: try first.decode(Outcome.self, by: deadline),
            connector: try second.decode(Outcome.self, by: deadline))
        try first.finish(by: deadline)
        try second.finish(by: deadline)
        return result
    }
}

/// Where a binder is asked to bind: port 0, or a temporary path that is removed again.
struct TemporaryEndpoint: ~Copyable {
    let text: String
    private let path: String?

    init(transport: String) {
        if transport == "ipc" {
            let path = NSTemporaryDirectory() + "bench-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
            text = "ipc://" + path
            self.path = path
        } else {
            text = "tcp://127.0.0.1:*"
            path = nil
        }
    }

    deinit { if let path { unlink(path) } }
}

/// Runs one process that needs no other.
enum Single {
    static func run(_ contender: Contender, _ arguments: [String]) throws(BenchError) -> Outcome {
        let deadline = Date(timeIntervalSinceNow: Pair.timeout)
        let child = try ChildProcess(contender.command(arguments))
        let outcome = try child.decode(Outcome.self, by: deadline)
        try child.finish(by: deadline)
        return outcome
    }
}
