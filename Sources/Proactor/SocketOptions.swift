import CLiburing
import Glibc

/// Sockets made ready for an engine, and their options: the synchronous calls around the asynchronous ones.
extension Descriptor {
    /// A stream socket of the address's family.
    public static func stream(for address: SocketAddress) throws(ProactorError) -> Descriptor {
        try make(address.family.domain, Int32(SOCK_STREAM.rawValue))
    }

    /// A datagram socket of the address's family, bound to it.
    public static func datagram(boundTo address: SocketAddress) throws(ProactorError) -> Descriptor {
        let descriptor = try make(address.family.domain, Int32(SOCK_DGRAM.rawValue))
        try bind(descriptor.number, address)
        return descriptor
    }

    /// A listening stream socket.
    /// - Parameters:
    ///   - address: Where to listen; port 0 lets the kernel choose (`localAddress(of:)` tells).
    ///   - backlog: Connections that may wait for an accept; the kernel caps it (listen(2)). Default 100.
    ///   - reusePort: Lets several sockets share the address (SO_REUSEPORT). SO_REUSEADDR is always set on tcp.
    public static func listening(
        on address: SocketAddress, backlog: Int32 = 100, reusePort: Bool = false
    ) throws(ProactorError) -> Descriptor {
        let descriptor = try stream(for: address)
        if address.family != .unix {
            try setOption(descriptor.number, .reuseAddress, 1)
            if reusePort { try setOption(descriptor.number, .reusePort, 1) }
        }
        try bind(descriptor.number, address)
        guard Glibc.listen(descriptor.number, backlog) == 0 else { throw .last("listen on \(address)") }
        return descriptor
    }

    /// Two connected Unix-domain stream sockets.
    public static func pair() throws(ProactorError) -> DescriptorPair {
        var numbers: (Int32, Int32) = (-1, -1)
        let done = withUnsafeMutablePointer(to: &numbers) { pointer in
            pointer.withMemoryRebound(to: Int32.self, capacity: 2) {
                socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, $0)
            }
        }
        guard done == 0 else { throw .last("socketpair") }
        return DescriptorPair(first: Descriptor(owning: numbers.0), second: Descriptor(owning: numbers.1))
    }

    private static func make(_ domain: Int32, _ type: Int32) throws(ProactorError) -> Descriptor {
        let number = Glibc.socket(domain, type | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw .last("socket") }
        return Descriptor(owning: number)
    }

    private static func bind(_ number: Int32, _ address: SocketAddress) throws(ProactorError) {
        let done = address.withSockaddr { Glibc.bind(number, $0, $1) }
        guard done == 0 else { throw .last("bind to \(address)") }
    }
}

/// Two descriptors that belong together.
public struct DescriptorPair: ~Copyable, Sendable {
    /// One end.
    public let first: Descriptor
    /// The other end.
    public let second: Descriptor

    /// Gives both numbers away; the caller closes them.
    public consuming func release() -> (Int32, Int32) { (first.release(), second.release()) }
}

/// An option of a socket: level and name of setsockopt(2), for a value of C `int`.
public struct SocketOption: Sendable, Hashable {
    /// The protocol level, as SOL_SOCKET.
    public let level: Int32
    /// The option's number at that level.
    public let name: Int32

    /// Any option by its numbers.
    public init(level: Int32, name: Int32) {
        self.level = level
        self.name = name
    }

    /// Send small segments at once (TCP_NODELAY).
    public static let noDelay = SocketOption(level: Int32(IPPROTO_TCP), name: TCP_NODELAY)
    /// Bind although old connections linger (SO_REUSEADDR).
    public static let reuseAddress = SocketOption(level: SOL_SOCKET, name: SO_REUSEADDR)
    /// Share an address among sockets (SO_REUSEPORT).
    public static let reusePort = SocketOption(level: SOL_SOCKET, name: SO_REUSEPORT)
    /// IPv6 only, no mapped IPv4 (IPV6_V6ONLY); 0 makes a listener dual-stack.
    public static let ipv6Only = SocketOption(level: Int32(IPPROTO_IPV6), name: IPV6_V6ONLY)
    /// The kernel's receive buffer in bytes (SO_RCVBUF; it doubles what is set).
    public static let receiveBuffer = SocketOption(level: SOL_SOCKET, name: SO_RCVBUF)
    /// The kernel's send buffer in bytes (SO_SNDBUF; it doubles what is set).
    public static let sendBuffer = SocketOption(level: SOL_SOCKET, name: SO_SNDBUF)
    /// Probe idle connections (SO_KEEPALIVE).
    public static let keepAlive = SocketOption(level: SOL_SOCKET, name: SO_KEEPALIVE)
    /// Seconds of silence before the first probe (TCP_KEEPIDLE).
    public static let keepAliveIdle = SocketOption(level: Int32(IPPROTO_TCP), name: TCP_KEEPIDLE)
    /// Seconds between probes (TCP_KEEPINTVL).
    public static let keepAliveInterval = SocketOption(level: Int32(IPPROTO_TCP), name: TCP_KEEPINTVL)
    /// Probes without answer before the connection is dead (TCP_KEEPCNT).
    public static let keepAliveCount = SocketOption(level: Int32(IPPROTO_TCP), name: TCP_KEEPCNT)
    /// Milliseconds that sent data may stay unacknowledged (TCP_USER_TIMEOUT).
    public static let userTimeout = SocketOption(level: Int32(IPPROTO_TCP), name: TCP_USER_TIMEOUT)
    /// May send to broadcast addresses (SO_BROADCAST).
    public static let broadcast = SocketOption(level: SOL_SOCKET, name: SO_BROADCAST)
    /// Own multicast datagrams come back (IP_MULTICAST_LOOP).
    public static let multicastLoopback = SocketOption(level: Int32(IPPROTO_IP), name: IP_MULTICAST_LOOP)
    /// Hops of outgoing datagrams (IP_TTL), 1 to 255.
    public static let timeToLive = SocketOption(level: Int32(IPPROTO_IP), name: IP_TTL)
    /// Type of service (IP_TOS).
    public static let typeOfService = SocketOption(level: Int32(IPPROTO_IP), name: IP_TOS)
}

extension Descriptor {
    /// Sets an integer option of any open socket.
    public static func setOption(_ number: Int32, _ option: SocketOption, _ value: Int32) throws(ProactorError) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard setsockopt(number, option.level, option.name, &value, size) == 0 else {
            throw .last("setsockopt level \(option.level) name \(option.name)")
        }
    }

    /// Reads an integer option of any open socket.
    public static func option(_ number: Int32, _ option: SocketOption) throws(ProactorError) -> Int32 {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(number, option.level, option.name, &value, &size) == 0 else {
            throw .last("getsockopt level \(option.level) name \(option.name)")
        }
        return value
    }

    /// Sets an option of any shape: the escape hatch (setsockopt(2)).
    public static func setRawOption(
        _ number: Int32, _ option: SocketOption, _ bytes: UnsafeRawBufferPointer
    ) throws(ProactorError) {
        guard setsockopt(number, option.level, option.name, bytes.baseAddress, socklen_t(bytes.count)) == 0 else {
            throw .last("setsockopt level \(option.level) name \(option.name)")
        }
    }

    /// Reads an option of any shape into the buffer; the count of bytes that the kernel wrote.
    public static func rawOption(
        _ number: Int32, _ option: SocketOption, into bytes: UnsafeMutableRawBufferPointer
    ) throws(ProactorError) -> Int {
        var size = socklen_t(bytes.count)
        guard getsockopt(number, option.level, option.name, bytes.baseAddress, &size) == 0 else {
            throw .last("getsockopt level \(option.level) name \(option.name)")
        }
        return Int(size)
    }

    /// What close does with unsent bytes (SO_LINGER): nil leaves it to the kernel, zero resets the connection.
    public static func setLinger(_ number: Int32, seconds: Int32?) throws(ProactorError) {
        var value = linger(l_onoff: seconds == nil ? 0 : 1, l_linger: seconds ?? 0)
        let size = socklen_t(MemoryLayout<linger>.size)
        guard setsockopt(number, SOL_SOCKET, SO_LINGER, &value, size) == 0 else { throw .last("SO_LINGER") }
    }

    /// The address the socket is bound to.
    public static func localAddress(of number: Int32) -> SocketAddress? { address(number, getsockname) }

    /// The address the socket is connected to.
    public static func peerAddress(of number: Int32) -> SocketAddress? { address(number, getpeername) }

    private static func address(
        _ number: Int32,
        _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let done = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(number, $0, &length) }
        }
        return done == 0 ? SocketAddress(storage, length: length) : nil
    }
}

extension SocketAddress.Family {
    var domain: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }
}

extension ProactorError {
    /// The calling thread's errno, with what was being done.
    static func last(_ during: String) -> ProactorError { .system(SystemError(code: Glibc.errno), during: during) }
}
