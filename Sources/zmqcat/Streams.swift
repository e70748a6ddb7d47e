import Glibc
import ZeroMQ

/// What went wrong, for people, and the exit status that tells it to programs.
struct Failure: Error, CustomStringConvertible {
    let description: String
    var status: Int32 = 1

    init(_ description: String, status: Int32 = 1) {
        self.description = description
        self.status = status
    }

    /// With what the system says about the last call.
    static func last(_ what: String) -> Failure { Failure("\(what): \(String(cString: strerror(errno)))") }
}

/// Messages out of a file or standard input, as far as it has them.
struct MessageInput: ~Copyable {
    let descriptor: Int32
    private let name: String
    private let format: Format
    private var bytes: [UInt8] = []
    private var start = 0
    /// How much behind `start` is known to hold no whole message.
    private var isStale = false
    private(set) var hasEnded = false

    /// - Parameter path: `-` is standard input.
    init(_ path: String, _ format: Format) throws(Failure) {
        name = path == "-" ? "standard input" : path
        self.format = format
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("cannot open \(path)") }
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// Whether nothing more is to come out.
    var isOver: Bool { hasEnded && start == bytes.count }

    /// Whether `next` may have one without more bytes.
    var mayHaveMore: Bool { !isStale && start < bytes.count }

    /// Takes what the descriptor has: once, so that it does not wait where poll(2) said that there is something.
    mutating func fill() throws(Failure) {
        if start > 0 {
            bytes.removeSubrange(..<start)
            start = 0
        }
        guard bytes.count <= Format.longest + 8 else {
            throw Failure("\(name) has a message of more than \(Format.longest) bytes")
        }
        let count = withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer -> Int in
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count > 0 { bytes.append(contentsOf: buffer[..<count]) }
            return count
        }
        isStale = false
        if count < 0, errno != EINTR, errno != EAGAIN { throw .last("cannot read \(name)") }
        hasEnded = count == 0
    }

    /// The next message, nil if there is none yet, or no more.
    mutating func next() throws(Failure) -> Message? {
        guard !isStale else { return nil }
        do throws(Format.Mistake) {
            guard let (message, taken) = try format.message(in: bytes[start...], isEnd: hasEnded) else {
                isStale = true
                return nil
            }
            start += taken
            return message
        } catch {
            throw Failure("\(name) is not in the format \(format): \(error)")
        }
    }
}

/// Messages into a file or standard output.
struct MessageOutput: ~Copyable {
    private let descriptor: Int32
    private let name: String
    private let format: Format
    private var bytes: [UInt8] = []
    /// So much is gathered before it is written.
    private static var bound: Int { 64 << 10 }

    /// - Parameter path: `-` is standard output; a file is made, or emptied.
    init(_ path: String, _ format: Format) throws(Failure) {
        name = path == "-" ? "standard output" : path
        self.format = format
        descriptor =
            path == "-" ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw .last("cannot open \(path)") }
    }

    deinit {
        if descriptor != STDOUT_FILENO { close(descriptor) }
    }

    mutating func put(_ message: Message) throws(Failure) {
        bytes += format.text(of: message)
        if bytes.count >= Self.bound { try flush() }
    }

    mutating func flush() throws(Failure) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, $0.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .last("cannot write \(name)") }
            done += count
        }
        bytes.removeAll(keepingCapacity: true)
    }
}
