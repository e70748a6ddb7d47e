import Glibc

/// A program that a test runs and talks to through its standard streams. Every wait has a timeout, and the child does
/// not outlive this object.
///
/// Its standard input is a socket, not a pipe: sending to a child that died is then an error and no signal.
public final class ChildProcess {
    /// How a process ended.
    public enum Ending: Equatable, Sendable, CustomStringConvertible {
        /// By itself, with this status.
        case exited(Int32)
        /// By this signal.
        case signalled(Int32)

        /// As a shell would say it.
        public var description: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .signalled(let number): "signal \(number)"
            }
        }
    }

    /// What went wrong with a child.
    public struct Failure: Error, CustomStringConvertible {
        /// In a sentence, with what the child had said so far.
        public let description: String
    }

    /// The process, while it lives or waits to be reaped.
    public let pid: Int32
    /// Everything it put on standard error so far.
    public private(set) var errors: [UInt8] = []

    private let program: String
    private var input: Int32
    private let output: Int32
    private let error: Int32
    /// Output that no `receiveLine` has taken yet.
    private var pending: [UInt8] = []
    /// How much of `pending` is known to hold no line end.
    private var scanned = 0
    private var outputEnded = false
    private var errorEnded = false
    private var ending: Ending?

    /// Starts a program.
    /// - Parameters:
    ///   - program: its path; nothing is looked up.
    ///   - environment: laid over this process's own.
    public init(_ program: String, _ arguments: [String] = [], environment: [String: String] = [:]) throws {
        self.program = program
        var streams: [Int32] = []
        func give(_ pair: [Int32], _ result: Int32, _ call: String) throws {
            guard result == 0 else {
                streams.forEach { _ = close($0) }
                throw Failure(description: "\(call): \(String(cString: strerror(errno)))")
            }
            streams += pair
        }
        for _ in 0..<3 {
            var pair: [Int32] = [-1, -1]
            let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
            let result = socketpair(AF_UNIX, kind, 0, &pair)
            try give(pair, result, "socketpair")
        }
        input = streams[0]
        output = streams[2]
        error = streams[4]
        defer { [1, 3, 5].forEach { _ = close(streams[$0]) } }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (standard, stream) in [(0, 1), (1, 3), (2, 5)] {
            posix_spawn_file_actions_adddup2(&actions, streams[stream], Int32(standard))
        }
        let words = ([program] + arguments).map { strdup($0) }
        let variables = ChildProcess.variables(with: environment).map { strdup($0) }
        defer { (words + variables).forEach { free($0) } }

        var child: pid_t = 0
        let result = posix_spawn(&child, program, &actions, nil, words + [nil], variables + [nil])
        guard result == 0 else {
            [0, 2, 4].forEach { _ = close(streams[$0]) }
            throw Failure(description: "cannot start \(program): \(String(cString: strerror(result)))")
        }
        pid = child
    }

    deinit {
        if ending == nil {
            kill(pid, SIGKILL)
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        }
        closeInput()
        close(output)
        close(error)
    }

    /// Hands the child a line.
    public func send(line: String) throws {
        try Array("\(line)\n".utf8).withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: rest)
                let count = Glibc.send(input, part.baseAddress, part.count, Int32(MSG_NOSIGNAL))
                if count < 0 && errno == EINTR { continue }
                guard count >= 0 else { throw failure("does not listen any more") }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// The next line of its standard output, without the line end.
    public func receiveLine(within timeout: Duration) throws -> String {
        let deadline = ContinuousClock.now + timeout
        while true {
            if let end = pending[scanned...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeSubrange(...end)
                scanned = 0
                return line
            }
            scanned = pending.count
            guard !outputEnded else { throw failure("ended its output") }
            guard collect(before: deadline) else { throw failure("said nothing for \(timeout)") }
        }
    }

    /// Closes its standard input and waits until it has ended and all it said is collected.
    /// - Returns: how it ended, and what `receiveLine` had not taken of its standard output.
    public func finish(within timeout: Duration) throws -> (ending: Ending, output: String) {
        let deadline = ContinuousClock.now + timeout
        closeInput()
        while !(outputEnded && errorEnded) {
            guard collect(before: deadline) else {
                kill(pid, SIGKILL)
                _ = reap()
                throw failure("did not end within \(timeout)")
            }
        }
        defer { pending = [] }
        return (reap(), String(decoding: pending, as: UTF8.self))
    }

    /// Runs a program to its end.
    public static func run(
        _ program: String, _ arguments: [String] = [], environment: [String: String] = [:],
        within timeout: Duration
    ) throws -> (ending: Ending, output: String, errors: String) {
        let child = try ChildProcess(program, arguments, environment: environment)
        let (ending, output) = try child.finish(within: timeout)
        return (ending, output, String(decoding: child.errors, as: UTF8.self))
    }

    /// Waits for one event of its streams. False once the deadline has passed.
    private func collect(before deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { return false }
            // In whole milliseconds, rounded up; a long wait is taken in pieces.
            let milliseconds = Int32(min(left, .seconds(60)) / .milliseconds(1)) + 1
            var waits = [
                pollfd(fd: outputEnded ? -1 : output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errorEnded ? -1 : error, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waits, 2, milliseconds) > 0 else { continue }
            if waits[0].revents != 0 { outputEnded = !ChildProcess.append(from: output, to: &pending) }
            if waits[1].revents != 0 { errorEnded = !ChildProcess.append(from: error, to: &errors) }
            return true
        }
    }

    /// Appends what is there; false at the stream's end (a reset is an end too).
    private static func append(from stream: Int32, to bytes: inout [UInt8]) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 16) { buffer in
            let count = read(stream, buffer.baseAddress, buffer.count)
            guard count > 0 else { return count < 0 && errno == EINTR }
            bytes.append(contentsOf: buffer[..<count])
            return true
        }
    }

    /// Only after its streams ended or it was killed, so this does not wait for long.
    private func reap() -> Ending {
        if let ending { return ending }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7f
        let ending: Ending = signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
        self.ending = ending
        return ending
    }

    private func closeInput() {
        guard input >= 0 else { return }
        close(input)
        input = -1
    }

    private func failure(_ what: String) -> Failure {
        let said = String(decoding: errors.suffix(2000), as: UTF8.self)
        let addition = said.isEmpty ? "" : "; on standard error: \(said)"
        return Failure(description: "\(program) (\(pid)) \(what)\(addition)")
    }

    /// This process's environment as the kernel holds it (`environ` is a global variable that anybody may change).
    private static func variables(with overlay: [String: String]) -> [String] {
        var own: [UInt8] = []
        let file = open("/proc/self/environ", O_RDONLY | O_CLOEXEC)
        if file >= 0 {
            while append(from: file, to: &own) {}
            close(file)
        }
        let inherited = own.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.filter { row in
            overlay[String(row.prefix { $0 != "=" })] == nil
        }
        return inherited + overlay.map { "\($0.key)=\($0.value)" }
    }
}
