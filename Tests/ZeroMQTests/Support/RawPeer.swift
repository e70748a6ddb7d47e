import Glibc
import Testing

/// A TCP client that speaks whatever a test wants, byte by byte. Every wait ends after ten seconds.
///
/// Sendable: its one field is a number that never changes.
final class RawPeer: Sendable {
    /// What went wrong with it.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let number: Int32

    /// ZMTP 3.1, NULL (37/ZMTP, Greeting).
    static let greeting: [UInt8] =
        [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1] + Array("NULL".utf8) + Array(repeating: 0, count: 48)

    /// Connects to `tcp://127.0.0.1:port`.
    init(_ endpoint: String) throws {
        let port = UInt16(endpoint.split(separator: ":").last ?? "") ?? 0
        number = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        configure()
        var result = Self.withLoopback(port) { connect(number, $0, $1) }
        if result != 0, errno == EINTR {
            // With a time-out set a signal ends the call; the attempt goes on (connect(2)).
            var attempt = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            while poll(&attempt, 1, 10_000) < 0, errno == EINTR {}
            result = Self.withLoopback(port) { connect(number, $0, $1) }
            if result != 0, errno == EISCONN { result = 0 }
        }
        guard result == 0 else { throw Failure(description: "connect: \(String(cString: strerror(errno)))") }
    }

    /// A connection that a listener accepted.
    init(adopting accepted: Int32) {
        number = accepted
        configure()
    }

    private func configure() {
        var wait = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        var one: Int32 = 1
        setsockopt(number, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    deinit { close(number) }

    static func withLoopback<R>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
    ) -> R {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// A port that was free a moment ago.
    static func freePort() throws -> UInt16 {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(probe) }
        guard withLoopback(0, { bind(probe, $0, $1) }) == 0 else { throw Failure(description: "no free port") }
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(probe, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Sends all bytes.
    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            // A ring that this thread made may interrupt its calls.
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Failure(description: "send: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends what the other side is willing to take; a hang-up is no failure.
    func pour(_ bytes: [UInt8]) { try? send(bytes) }

    /// Receives exactly that many bytes.
    func receive(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            let more = bytes.withUnsafeMutableBytes { recv(number, $0.baseAddress! + have, count - have, 0) }
            if more < 0, errno == EINTR { continue }
            guard more > 0 else { throw Failure(description: "receive: \(more), errno \(errno)") }
            have += more
        }
        return bytes
    }

    /// Whether the other side hangs up within ten seconds; what it says before is passed over.
    func isHungUpOn() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(number, &bytes, bytes.count, 0)
            if count == 0 { return true }
            if count < 0, errno == EINTR { continue }
            if count < 0 { return errno == ECONNRESET || errno == EPIPE }
        }
    }

    /// One frame of ZMTP 2 and 3.
    static func frame(_ body: [UInt8], flags: UInt8 = 0) -> [UInt8] {
        guard body.count > 255 else { return [flags, UInt8(body.count)] + body }
        return [flags | 2] + (0..<8).map { UInt8(truncatingIfNeeded: body.count >> ((7 - $0) * 8)) } + body
    }

    /// READY with a socket type (37/ZMTP, The NULL Security Mechanism).
    static func ready(_ type: String, identity: String? = nil) -> [UInt8] {
        func property(_ name: String, _ value: String) -> [UInt8] {
            [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.utf8.count)] + Array(value.utf8)
        }
        let body =
            [5] + Array("READY".utf8) + property("Socket-Type", type)
            + (identity.map { property("Identity", $0) } ?? [])
        return frame(body, flags: 4)
    }

    /// PING with time-to-live 0 and a context.
    static func ping(_ context: [UInt8] = []) -> [UInt8] {
        frame([4] + Array("PING".utf8) + [0, 0] + context, flags: 4)
    }

    /// Receives one frame.
    func receiveFrame() throws -> (flags: UInt8, body: [UInt8]) {
        let flags = try receive(1)[0]
        return (flags, try receive(try receiveSize(flags)))
    }

    /// Receives the head of one frame.
    /// - Returns: how many bytes its body has.
    func receiveFrameHeader() throws -> Int { try receiveSize(try receive(1)[0]) }

    private func receiveSize(_ flags: UInt8) throws -> Int {
        flags & 2 == 0 ? Int(try receive(1)[0]) : try receive(8).reduce(0) { $0 << 8 | Int($1) }
    }

    /// The whole handshake.
    func shakeHands(as type: String, identity: String? = nil) throws {
        try send(Self.greeting)
        _ = try receive(64)
        try send(Self.ready(type, identity: identity))
        let (flags, body) = try receiveFrame()
        guard flags == 4, body.starts(with: [5] + Array("READY".utf8)) else {
            throw Failure(description: "no READY but \(flags) \(body)")
        }
    }
}

/// A TCP listener of a test, for the other direction.
///
/// Sendable: its one field is a number that never changes.
final class RawServer: Sendable {
    private let number: Int32

    /// - Parameter backlog: 0 keeps one connection waiting, and drops who comes then (listen(2)).
    init(port: UInt16, backlog: Int32 = 16) throws {
        number = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var wait = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        // Small, so that a peer can be stopped in the middle of a message.
        var size: Int32 = 8192
        setsockopt(number, SOL_SOCKET, SO_RCVBUF, &size, 4)
        guard RawPeer.withLoopback(port, { bind(number, $0, $1) }) == 0, listen(number, backlog) == 0 else {
            throw RawPeer.Failure(description: "listen: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(number) }

    func accept() throws -> RawPeer {
        var accepted = Glibc.accept(number, nil, nil)
        while accepted < 0, errno == EINTR { accepted = Glibc.accept(number, nil, nil) }
        guard accepted >= 0 else {
            throw RawPeer.Failure(description: "accept: \(String(cString: strerror(errno)))")
        }
        return RawPeer(adopting: accepted)
    }
}
