import ArgumentParser
import Glibc
import Proactor
import ZeroMQ

/// Messages between files or standard streams and a socket.
@main
struct Zmqcat: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zmqcat",
        abstract: "Sends messages from a file or standard input, and writes those that it receives.",
        discussion: """
            Types:
            \(SocketKind.table)

            Formats: lines (a frame a line), raw (the whole input is one message), hex (a message a line, frames in \
            hexadecimal digits), length (binary: four bytes of length before each frame, the top bit says that another \
            follows), multipart (a message a line, tabs between frames, \\\\ \\t \\n \\r \\xHH for what is not printable).

            Exit status: 0 all was done, 1 a failure, 3 messages were left unsent, 4 --timeout passed in silence, \
            64 a mistake on the command line, 130 or 143 interrupted.
            """)

    @Argument(help: "The socket's type: \(SocketKind.names).", transform: Zmqcat.kind)
    var type: SocketKind

    @Option(name: .shortAndLong, help: "An endpoint to bind, as tcp://*:5555 or ipc:///path. May be repeated.")
    var bind: [String] = []

    @Option(name: .shortAndLong, help: "An endpoint to connect. May be repeated.")
    var connect: [String] = []

    @Option(name: .shortAndLong, help: "Where messages to send come from; - is standard input.")
    var input = "-"

    @Option(name: .shortAndLong, help: "Where received messages go; - is standard output.")
    var output = "-"

    @Option(name: .shortAndLong, help: "lines, raw, hex, length or multipart, for input and output.")
    var format = Format.lines

    @Option(help: "Another format for the input.")
    var inputFormat: Format?

    @Option(help: "Another format for the output.")
    var outputFormat: Format?

    @Option(
        name: [.customShort("n"), .long],
        help: "End after so many messages received, or sent by a type that only sends.")
    var count: Int?

    @Option(name: .shortAndLong, help: "Send at most so many messages a second.")
    var rate: Double?

    @Option(
        name: .shortAndLong,
        help: "A prefix to subscribe to, or a group to join. May be repeated; without any prefix, everything.")
    var subscribe: [String] = []

    @Option(help: "Wait for so many peers before the first message.")
    var peers = 0

    @Option(name: [.customShort("t"), .long], help: "End if nothing went or came for so many seconds.")
    var timeout: Double?

    @Option(help: "Seconds that unsent messages have at the end.")
    var linger = 5.0

    @Option(help: "High-water mark of both directions, in messages; 0 is none.")
    var mark = 1000

    @Option(help: "The routing id that peers see.")
    var routingID: String?

    @Flag(help: "End with the input, although more may be received.")
    var eof = false

    @Flag(help: "REP: answer each message with itself.")
    var echo = false

    @Option(help: "auto, io_uring or epoll.", transform: Zmqcat.choice)
    var backend: BackendChoice?

    @Flag(name: .shortAndLong, help: "Tell on standard error what happens to connections, and what was done.")
    var verbose = false

    func validate() throws {
        guard !(bind + connect).isEmpty else { throw ValidationError("nothing to --bind or --connect") }
        guard count ?? 1 > 0 else { throw ValidationError("--count is at least 1") }
        guard rate ?? 1 > 0 else { throw ValidationError("--rate is more than 0") }
        guard timeout ?? 0 >= 0, linger >= 0 else { throw ValidationError("a time is not negative") }
        guard mark >= 0, peers >= 0 else { throw ValidationError("--mark and --peers are not negative") }
        guard !echo || type.course == .answers else { throw ValidationError("--echo is for rep") }
    }

    func run() throws {
        var status: Int32
        do {
            let interruption = try Interruption()
            let exchange = try Exchange(self, interruption)
            status = try exchange.run()
        } catch let failure as Failure {
            Zmqcat.tell("\(failure)")
            status = failure.status
        } catch let error as ZeroMQError {
            Zmqcat.tell("\(error)")
            status = 1
        }
        throw ExitCode(status)
    }

    /// A line for people, on standard error.
    static func tell(_ text: String) {
        let line = Array("zmqcat: \(text)\n".utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }

    private static func kind(_ text: String) throws -> SocketKind {
        guard let kind = SocketKind.all.first(where: { $0.name == text.lowercased() }) else {
            throw ValidationError("there is no type \(text); use one of \(SocketKind.names)")
        }
        return kind
    }

    private static func choice(_ text: String) throws -> BackendChoice {
        guard let choice = BackendChoice(text) else { throw ValidationError("use auto, io_uring or epoll") }
        return choice
    }
}
