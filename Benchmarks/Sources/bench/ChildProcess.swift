import CSupport
import Foundation

/// A contender's process: its output is read line by line against a deadline, and it never outlives its owner.
///
/// Only processes started here are ever killed, by their pid. Should the runner itself die, the kernel ends them
/// (PR_SET_PDEATHSIG).
final class ChildProcess {
    let name: String
    let pid: Int32
    private var input: Int32
    private let output: Int32
    private var pending: [UInt8] = []
    private var isReaped = false

    /// - Parameter core: The one core it may run on; nil leaves it free.
    init(_ arguments: [String], core: Int? = nil) throws(BenchError) {
        let program = arguments[0].split(separator: "/").last.map(String.init) ?? ""
        name = ([program] + arguments.dropFirst()).joined(separator: " ")
        var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        strings.append(nil)
        defer { for string in strings { free(string) } }
        var child = bench_child()
        let error = bench_spawn(strings, Int32(core ?? -1), &child)
        guard error == 0 else {
            throw BenchError("cannot start \(arguments[0]): \(String(cString: strerror(error)))")
        }
        pid = child.pid
        input = child.input
        output = child.output
    }

    deinit {
        if !isReaped {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        closeInput()
        close(output)
    }

    /// Tells the child to leave, where it waits for the end of its input.
    func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// The next line of its output.
    func line(by deadline: Date) throws(BenchError) -> String {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeSubrange(...end)
                return line
            }
            let left = deadline.timeIntervalSinceNow
            guard left > 0 else { throw BenchError("\(name): no answer in time") }
            guard bench_wait_readable(output, Int32(left * 1000) + 1) != 0 else { continue }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = read(output, &bytes, bytes.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw BenchError("\(name): ended without a result") }
            pending += bytes[..<count]
        }
    }

    /// The next line, decoded from JSON.
    func decode<Value: Decodable>(_ type: Value.Type, by deadline: Date) throws(BenchError) -> Value {
        let text = try line(by: deadline)
        do {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode(type, from: Data(text.utf8))
        } catch {
            throw BenchError("\(name): not a result: \(text)")
        }
    }

    /// Waits for a clean end.
    func finish(by deadline: Date) throws(BenchError) {
        closeInput()
        var usage = bench_usage()
        while !bench_reap(pid, &usage) {
            guard deadline.timeIntervalSinceNow > 0 else { throw BenchError("\(name): did not end in time") }
            usleep(1000)
        }
        isReaped = true
        guard usage.status == 0 else { throw BenchError("\(name): ended with wait status \(usage.status)") }
    }

    /// Resident memory in KiB, as the kernel tells it to anybody.
    func residentMemory() throws(BenchError) -> Double {
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        for line in status.split(separator: "\n") where line.hasPrefix("VmRSS:") {
            if let value = line.split(separator: " ").dropFirst().first.flatMap({ Double($0) }) { return value }
        }
        throw BenchError("\(name): its memory cannot be read")
    }

    /// How many descriptors it holds.
    func openDescriptors() throws(BenchError) -> Int {
        guard let entries = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd") else {
            throw BenchError("\(name): its descriptors cannot be counted")
        }
        return entries.count
    }
}

/// The first line of a side that binds.
struct Bound: Decodable {
    let endpoint: String
}

/// A contender's result line. What a role does not measure is missing.
struct Outcome: Decodable {
    let contender: String?
    let version: String?
    let backend: String?
    let size: Int?
    let messages: Int
    let seconds: Double?
    let cpuSeconds: Double?
    let serverCpuSeconds: Double?
    let serverRssKib: Double?
    let deliveries: Double?
    let sum: UInt64?
    let p50Us: Double?
    let p99Us: Double?
    let meanUs: Double?
}
