import ChildProcesses
import Glibc
import Proactor
import Testing

@Suite(
    "zmqcat", .serialized, .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"),
    .timeLimit(.minutes(5)))
struct ZmqcatTests {
    private static let program = BuiltPrograms.path(of: "zmqcat")

    private static func start(_ backend: BackendKind, _ arguments: String...) throws -> ChildProcess {
        try ChildProcess(program, arguments + ["--backend", "\(backend)", "--timeout", "20"])
    }

    private static func temporaryPath() -> String {
        "/tmp/zmqcat-test-\(getpid())-\(UInt32.random(in: 0...(.max)))"
    }

    @Test("sends the lines of its standard input, all of them before it ends", arguments: Ours.backends)
    func push(backend: BackendKind) throws {
        let peer = try PythonPeer()
        try peer.socket("pull", "PULL")
        let cat = try Self.start(backend, "push", "--connect", try peer.bind("pull", "tcp://127.0.0.1:*"))
        for number in 0..<500 { try cat.send(line: "line \(number)") }
        try cat.send(line: "")
        #expect(try cat.finish(within: .seconds(30)).ending == .exited(0))
        for number in 0..<500 {
            #expect(try peer.receive("pull").map(\.bytes) == [Array("line \(number)".utf8)])
        }
        #expect(try peer.receive("pull").map(\.bytes) == [[]])
    }

    @Test("writes what it receives, as many as asked", arguments: Ours.backends)
    func pull(backend: BackendKind) throws {
        let endpoint = "ipc://\(Self.temporaryPath())"
        let cat = try Self.start(backend, "pull", "--bind", endpoint, "--count", "3")
        let peer = try PythonPeer()
        try peer.socket("push", "PUSH")
        try peer.connect("push", endpoint)
        try peer.send("push", [.text("one")])
        try peer.send("push", [.text("two"), .text("parts")])
        try peer.send("push", [.text("three")])
        let (ending, output) = try cat.finish(within: .seconds(30))
        #expect(ending == .exited(0) && output == "one\ntwo\nparts\nthree\n")
    }

    @Test("asks with each line and writes the answers; answers with an echo", arguments: Ours.backends)
    func requests(backend: BackendKind) throws {
        let peer = try PythonPeer()
        try peer.socket("rep", "REP")
        let asking = try Self.start(backend, "req", "-c", try peer.bind("rep", "tcp://127.0.0.1:*"))
        try peer.begin(.init(do: "echo", on: "rep", count: 2))
        try asking.send(line: "first")
        #expect(try asking.receiveLine(within: .seconds(30)) == "first")
        try asking.send(line: "second")
        let (ending, output) = try asking.finish(within: .seconds(30))
        #expect(ending == .exited(0) && output == "second\n")
        #expect(try peer.answer().echoed == 2)

        let endpoint = "ipc://\(Self.temporaryPath())"
        let answering = try Self.start(backend, "rep", "-b", endpoint, "--echo", "--count", "2")
        try peer.socket("req", "REQ")
        try peer.connect("req", endpoint)
        for text in ["a", "b"] {
            try peer.send("req", [.text(text)])
            #expect(try peer.receive("req").map(\.bytes) == [Array(text.utf8)])
        }
        #expect(try answering.finish(within: .seconds(30)).ending == .exited(0))
    }

    @Test("answers with the lines of its input", arguments: Ours.backends)
    func answers(backend: BackendKind) throws {
        let endpoint = "ipc://\(Self.temporaryPath())"
        let answering = try Self.start(backend, "rep", "-b", endpoint)
        let peer = try PythonPeer()
        try peer.socket("req", "REQ")
        try peer.connect("req", endpoint)
        for text in ["one", "two"] {
            try peer.send("req", [.text("question \(text)")])
            #expect(try answering.receiveLine(within: .seconds(30)) == "question \(text)")
            try answering.send(line: text)
            #expect(try peer.receive("req").map(\.bytes) == [Array(text.utf8)])
        }
        #expect(try answering.finish(within: .seconds(30)).ending == .exited(0))
    }

    @Test(
        "carries any bytes in any number of frames, in the formats that can", arguments: Ours.backends,
        [("multipart", "a\\x00\\t\\\\\t\tü\\n\n"), ("hex", "6100095c  c3bc0a\n")])
    func formats(backend: BackendKind, form: (name: String, text: String)) throws {
        let peer = try PythonPeer()
        try peer.socket("router", "ROUTER")
        let endpoint = try peer.bind("router", "tcp://127.0.0.1:*")
        let cat = try Self.start(
            backend, "dealer", "-c", endpoint, "-f", form.name, "-n", "1", "--routing-id", "cat")
        try cat.send(line: String(form.text.dropLast()))
        let frames = try peer.receive("router").map { $0.bytes ?? [] }
        #expect(frames == [Array("cat".utf8), [97, 0, 9, 92], [], Array("ü\n".utf8)])
        try peer.send("router", frames.map { .bytes($0) })
        let (ending, output) = try cat.finish(within: .seconds(30))
        #expect(ending == .exited(0) && output == form.text)
    }

    @Test("carries files whole, and frames with their lengths", arguments: Ours.backends)
    func files(backend: BackendKind) throws {
        let (source, target) = (Self.temporaryPath(), Self.temporaryPath())
        defer { for path in [source, target] { unlink(path) } }
        let body = GeneratedBody.bytes(seed: 99, size: 3_000_000)
        try Self.put(body, into: source)
        let peer = try PythonPeer()
        try peer.socket("pull", "PULL")
        let endpoint = try peer.bind("pull", "tcp://127.0.0.1:*")
        let cat = try Self.start(backend, "push", "-c", endpoint, "-f", "raw", "-i", source)
        #expect(try peer.receive("pull").map(\.seed) == [99])
        #expect(try cat.finish(within: .seconds(30)).ending == .exited(0))

        try peer.socket("push", "PUSH")
        let from = try peer.bind("push", "tcp://127.0.0.1:*")
        let taking = try Self.start(backend, "pull", "-c", from, "-f", "length", "-o", target, "-n", "2")
        try peer.send("push", [.text("ab"), .generated(seed: 5, size: 100_000)])
        try peer.send("push", [.bytes([])])
        #expect(try taking.finish(within: .seconds(30)).ending == .exited(0))
        let (ending, _, _) = try ChildProcess.run(
            Self.program, ["push", "-c", endpoint, "-f", "length", "-i", target], within: .seconds(30))
        #expect(ending == .exited(0))
        let first = try peer.receive("pull")
        #expect(first.map(\.size) == [2, 100_000] && first.last?.seed == 5)
        #expect(try peer.receive("pull").map(\.size) == [0])
    }

    @Test("publishes to who is subscribed, and takes what it is subscribed to", arguments: Ours.backends)
    func publishing(backend: BackendKind) throws {
        let peer = try PythonPeer()
        try peer.socket("sub", "SUB", ["SUBSCRIBE": ""])
        let cat = try Self.start(backend, "pub", "-c", try peer.bind("sub", "tcp://127.0.0.1:*"), "--peers", "1")
        // libzmq tells a new peer of its subscriptions when it is called next.
        try peer.begin(.init(do: "receive", on: "sub", timeout: 20_000))
        try cat.send(line: "news")
        #expect(try cat.finish(within: .seconds(30)).ending == .exited(0))
        #expect(try peer.answer().frames?.map(\.bytes) == [Array("news".utf8)])

        try peer.socket("xpub", "XPUB")
        let from = try peer.bind("xpub", "tcp://127.0.0.1:*")
        let taking = try Self.start(backend, "sub", "-c", from, "-s", "a", "-n", "2")
        #expect(try peer.receive("xpub").map(\.bytes) == [[1] + Array("a".utf8)])
        for text in ["a1", "b", "a2"] { try peer.send("xpub", [.text(text)]) }
        let (ending, output) = try taking.finish(within: .seconds(30))
        #expect(ending == .exited(0) && output == "a1\na2\n")
    }

    @Test("sends no faster than its rate", arguments: Ours.backends)
    func rate(backend: BackendKind) throws {
        let peer = try PythonPeer()
        try peer.socket("pull", "PULL")
        let endpoint = try peer.bind("pull", "tcp://127.0.0.1:*")
        let start = ContinuousClock.now
        let cat = try Self.start(backend, "push", "-c", endpoint, "-r", "10", "-n", "6", "--peers", "1")
        for number in 0..<10 { try cat.send(line: "\(number)") }
        #expect(try cat.finish(within: .seconds(30)).ending == .exited(0))
        // Five pauses of 100 ms between six messages.
        #expect(start.duration(to: .now) >= .milliseconds(500))
        for number in 0..<6 { #expect(try peer.receive("pull").map(\.bytes) == [Array("\(number)".utf8)]) }
    }

    @Test("says what went wrong, and ends with a status that tells it")
    func failures() throws {
        func run(
            _ arguments: String..., input: String? = nil
        ) throws -> (status: ChildProcess.Ending, errors: String) {
            let child = try ChildProcess(Self.program, arguments)
            if let input { try child.send(line: input) }
            let ending = try child.finish(within: .seconds(30)).ending
            return (ending, String(decoding: child.errors, as: UTF8.self))
        }
        let peer = try PythonPeer()
        try peer.socket("pull", "PULL")
        let taken = try peer.bind("pull", "tcp://127.0.0.1:*")
        var result = try run("pull", "-b", taken)
        #expect(
            result.status == .exited(1) && result.errors.contains("cannot bind \(taken): Address already in use"))
        result = try run("push", "-c", "nonsense")
        #expect(result.status == .exited(1) && result.errors.contains("nonsense"))
        result = try run("push", "-c", taken, "-i", "/nonexistent")
        #expect(result.status == .exited(1) && result.errors.contains("cannot open /nonexistent: No such file"))
        result = try run("push", "-c", taken, "-f", "hex", input: "0g")
        #expect(
            result.status == .exited(1) && result.errors.contains("standard input is not in the format hex: g is"))
        result = try run("nothing", "-c", taken)
        #expect(result.status == .exited(64) && result.errors.contains("there is no type nothing"))
        result = try run("push")
        #expect(result.status == .exited(64) && result.errors.contains("nothing to --bind or --connect"))
        result = try run("push", "-c", "ipc:///tmp/zmqcat-nobody-\(getpid())", "--linger", "0.05", input: "x")
        #expect(result.status == .exited(3) && result.errors.contains("1 message was left unsent"))
        result = try run("pull", "-b", "ipc://\(Self.temporaryPath())", "-t", "0.05")
        #expect(result.status == .exited(4) && result.errors.contains("nothing came or went for 0.05 s"))
    }

    @Test("ends in order when it is told to", arguments: [SIGTERM, SIGINT])
    func interruption(signal: Int32) throws {
        let peer = try PythonPeer()
        try peer.socket("push", "PUSH")
        let endpoint = try peer.bind("push", "tcp://127.0.0.1:*")
        let cat = try ChildProcess(Self.program, ["pull", "-c", endpoint])
        try peer.send("push", [.text("seen")])
        #expect(try cat.receiveLine(within: .seconds(30)) == "seen")
        kill(cat.pid, signal)
        #expect(try cat.finish(within: .seconds(30)).ending == .exited(128 + signal))
    }

    @Test("tells every type and option in its help and in its manual page")
    func manual() throws {
        let (ending, help, _) = try ChildProcess.run(Self.program, ["--help"], within: .seconds(30))
        #expect(ending == .exited(0))
        let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let page = try Self.take("/\(folder)/Documentation/zmqcat.1")
        let options = help.split(separator: "\n").flatMap { line in
            line.split { $0 == " " || $0 == "," || $0 == "/" }.filter {
                line.hasPrefix("  -") && $0.hasPrefix("--")
            }
        }
        #expect(options.count > 15)
        for option in options { #expect(page.contains("Fl Fl \(option.dropFirst(2))"), "\(option)") }
        let lines = help.split(separator: "\n", omittingEmptySubsequences: false).drop { $0 != "Types:" }
        let names = lines.dropFirst().prefix { !$0.isEmpty }.compactMap { $0.split(separator: " ").first }
        #expect(names.count >= 7)
        for name in names { #expect(page.contains(".It Cm \(name)\n"), "\(name)") }
    }

    private static func put(_ bytes: [UInt8], into path: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }

    private static func take(_ path: String) throws -> String {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        return String(decoding: bytes[..<fread(&bytes, 1, bytes.count, file)], as: UTF8.self)
    }
}
