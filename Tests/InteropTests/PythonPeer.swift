import ChildProcesses
import FoundationEssentials
import Glibc

/// A stock libzmq peer in a process of its own, scripted line by line (`peer.py` lists the requests).
///
/// `ask` waits for the answer; `begin` and `answer` are its halves, for a peer that is to receive while the test sends.
final class PythonPeer {
    /// Debian's interpreter: python3-zmq belongs to it, and not to one from a version manager.
    private static let interpreter = "/usr/bin/python3"
    private static let script: String = {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        return "/\(folder)/peer.py"
    }()

    /// Why interop tests cannot run here; nil where they can. For `.disabled(if:)` and the like, which show it.
    static let missing: String? = {
        do {
            let (ending, _, errors) = try ChildProcess.run(interpreter, ["-c", "import zmq"], within: .seconds(60))
            guard ending != .exited(0) else { return nil }
            return "python3-zmq is missing (make setup installs it): \(errors.suffix(200))"
        } catch {
            return "python3 is missing (make setup installs it): \(error)"
        }
    }()

    /// Version of the peer's libzmq, as "4.3.4".
    let version: String
    private let child: ChildProcess
    private var unanswered = 0

    /// Starts a peer.
    init() throws {
        child = try ChildProcess(Self.interpreter, [Self.script], environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        let greeting = try JSONDecoder().decode(
            Answer.self, from: Data(child.receiveLine(within: .seconds(60)).utf8))
        version = greeting.libzmq ?? "unknown"
    }

    /// Sends a request and waits for its answer; throws the peer's error.
    @discardableResult
    func ask(_ request: Request, within timeout: Duration = .seconds(30)) throws -> Answer {
        try begin(request)
        return try answer(within: timeout)
    }

    /// Sends a request whose answer is taken later; several may be under way, and are done in turn.
    func begin(_ request: Request) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        try child.send(line: String(decoding: encoder.encode(request), as: UTF8.self))
        unanswered += 1
    }

    /// The oldest answer that was not taken yet.
    func answer(within timeout: Duration = .seconds(30)) throws -> Answer {
        precondition(unanswered > 0, "no request is under way")
        let line = try child.receiveLine(within: timeout)
        unanswered -= 1
        let answer = try JSONDecoder().decode(Answer.self, from: Data(line.utf8))
        if let name = answer.error { throw Refusal(name: name, text: answer.text ?? "", answer: answer) }
        return answer
    }

    /// Lets it close its sockets and end.
    func finish(within timeout: Duration = .seconds(30)) throws -> ChildProcess.Ending {
        try child.finish(within: timeout).ending
    }

    /// Stops the process in its tracks (SIGSTOP); its kernel goes on acknowledging what comes.
    func freeze() { kill(child.pid, SIGSTOP) }

    /// Lets it go on.
    func thaw() { kill(child.pid, SIGCONT) }

    /// Ends it at once, as a crash would.
    func crash(status: Int32 = 1) throws -> ChildProcess.Ending {
        try begin(Request(do: "exit", status: status))
        return try finish()
    }

    /// What the peer could not do: `name` is the errno's ("EAGAIN" for a timeout).
    struct Refusal: Error, CustomStringConvertible {
        let name: String
        let text: String
        let answer: Answer

        var description: String { "the peer says \(name): \(text)" }
    }
}

extension PythonPeer {
    /// One line to the peer. Only `do` is always there; what a request needs is listed in `peer.py`.
    struct Request: Encodable {
        var `do`: String
        var on: String?
        var type: String?
        var options: [String: Option]?
        var endpoint: String?
        var frames: [Frame]?
        var count: Int?
        var seed: UInt64?
        var size: Int?
        var parts: Int?
        var skip: Int?
        var limit: Int?
        var whole: Int?
        /// Milliseconds.
        var timeout: Int?
        var linger: Int?
        var name: String?
        var status: Int32?
        var from: String?
        var text: String?
    }

    /// Value of a socket option.
    enum Option: Encodable, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral {
        case number(Int)
        case text(String)
        case bytes([UInt8])
        case several([Option])

        private enum Key: String, CodingKey { case data }

        init(integerLiteral value: Int) { self = .number(value) }
        init(stringLiteral value: String) { self = .text(value) }
        init(arrayLiteral elements: Option...) { self = .several(elements) }

        func encode(to encoder: any Encoder) throws {
            if case .bytes(let bytes) = self {
                var container = encoder.container(keyedBy: Key.self)
                return try container.encode(Data(bytes).base64EncodedString(), forKey: .data)
            }
            var container = encoder.singleValueContainer()
            switch self {
            case .bytes: break
            case .number(let value): try container.encode(value)
            case .text(let value): try container.encode(value)
            case .several(let values): try container.encode(values)
            }
        }
    }

    /// A frame to send: given bytes, or a generated body.
    enum Frame: Encodable {
        case bytes([UInt8])
        case text(String)
        case generated(seed: UInt64, size: Int)

        private enum Key: String, CodingKey { case data, text, seed, size }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            switch self {
            case .bytes(let bytes): try container.encode(Data(bytes).base64EncodedString(), forKey: .data)
            case .text(let text): try container.encode(text, forKey: .text)
            case .generated(let seed, let size):
                try container.encode(seed, forKey: .seed)
                try container.encode(size, forKey: .size)
            }
        }
    }

    /// One line from the peer.
    struct Answer: Decodable {
        /// A received frame. Large ones come as size and checksum, and with the seed if they were generated.
        struct Received: Decodable {
            var size: Int
            var data: String?
            var crc32: UInt32?
            var seed: UInt64?

            /// Its bytes, where they came along.
            var bytes: [UInt8]? { data.flatMap { Data(base64Encoded: $0) }.map(Array.init) }
        }

        var ok: Bool
        var error: String?
        var text: String?
        var libzmq: String?
        var event: String?
        var endpoint: String?
        var frames: [Received]?
        var sent: Int?
        var received: Int?
        var echoed: Int?
        var sent_bytes: Int?
        var received_bytes: Int?
        var wrong: String?
        var readable: Bool?
        var writable: Bool?
        var value: Int?
        var skipped: [String]?
    }
}

// MARK: The requests by name

extension PythonPeer {
    /// Makes a socket, known as `name` from here on.
    func socket(_ name: String, _ type: String, _ options: [String: Option] = [:]) throws {
        try ask(Request(do: "socket", on: name, type: type, options: options))
    }

    /// Binds, and tells the endpoint with wildcards resolved.
    func bind(_ name: String, _ endpoint: String) throws -> String {
        try ask(Request(do: "bind", on: name, endpoint: endpoint)).endpoint ?? ""
    }

    /// Connects.
    func connect(_ name: String, _ endpoint: String) throws {
        try ask(Request(do: "connect", on: name, endpoint: endpoint))
    }

    /// Sends a message `count` times; seeds of generated frames go on from message to message.
    func send(_ name: String, _ frames: [Frame], count: Int = 1, timeout: Int = 10_000) throws {
        try ask(Request(do: "send", on: name, frames: frames, count: count, timeout: timeout), within: .seconds(60))
    }

    /// The next message.
    func receive(_ name: String, timeout: Int = 10_000) throws -> [Answer.Received] {
        try ask(Request(do: "receive", on: name, timeout: timeout), within: .seconds(60)).frames ?? []
    }

    /// Sends without waiting until the socket refuses, and tells how many it took.
    func fill(_ name: String, _ frames: [Frame], limit: Int = 1_000_000) throws -> Int {
        try ask(Request(do: "fill", on: name, frames: frames, limit: limit), within: .seconds(60)).sent ?? 0
    }

    /// Waits for an event of the socket's monitor (`monitor` first), as "HANDSHAKE_SUCCEEDED", or for the first of
    /// several with `|` between them.
    @discardableResult
    func await(_ event: String, on name: String, timeout: Int = 10_000) throws -> Answer {
        try ask(Request(do: "event", on: name, timeout: timeout, name: event))
    }

    /// Starts watching a socket's events.
    func monitor(_ name: String) throws {
        try ask(Request(do: "monitor", on: name))
    }

    /// Closes a socket; with a linger time (milliseconds) what was sent may still leave.
    func close(_ name: String, linger: Int = 0) throws {
        try ask(Request(do: "close", on: name, linger: linger))
    }
}

// MARK: Plain TCP, for old versions and for cuts

extension PythonPeer {
    /// Listens with a plain socket, and tells the endpoint.
    func listenRaw(_ name: String, _ endpoint: String = "tcp://127.0.0.1:0", buffer: Int? = nil) throws -> String {
        try ask(Request(do: "raw-listen", on: name, endpoint: endpoint, size: buffer)).endpoint ?? ""
    }

    /// Takes a connection of a plain listener.
    func acceptRaw(_ name: String, from listener: String) throws {
        try ask(Request(do: "raw-accept", on: name, from: listener))
    }

    /// Connects a plain socket.
    func connectRaw(_ name: String, _ endpoint: String) throws {
        try ask(Request(do: "raw-connect", on: name, endpoint: endpoint))
    }

    /// Puts bytes on the wire.
    func sendRaw(_ name: String, _ frames: Frame...) throws {
        try ask(Request(do: "raw-send", on: name, frames: frames))
    }

    /// Takes exactly this many bytes off the wire.
    func receiveRaw(_ name: String, _ count: Int) throws -> [UInt8] {
        let request = Request(do: "raw-receive", on: name, size: count, whole: count)
        return try ask(request, within: .seconds(60)).frames?.first?.bytes ?? []
    }

    /// Takes all bytes until the stream ends.
    func receiveRawRest(_ name: String) throws -> [UInt8] {
        try ask(Request(do: "raw-rest", on: name, whole: 1 << 20)).frames?.first?.bytes ?? []
    }

    /// Ends a plain socket.
    func closeRaw(_ name: String) throws {
        try ask(Request(do: "raw-close", on: name))
    }
}
