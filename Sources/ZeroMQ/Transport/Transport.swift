import Glibc
import Proactor

/// Kernel sockets for endpoints: how they are made, set up and cleaned up behind.
enum Transport {
    /// Opens a listening descriptor for a tcp or ipc endpoint.
    /// - Returns: the descriptor, and the endpoint as it really is (wildcards filled in).
    static func listen(
        _ endpoint: Endpoint, _ options: SocketOptions
    ) throws(ZeroMQError) -> (descriptor: Int32, endpoint: Endpoint) {
        let address = try listeningAddress(endpoint)
        if case .ipc(let path) = endpoint, !path.hasPrefix("@") { removeStale(path, address) }
        do throws(ProactorError) {
            let descriptor = try Descriptor.listening(on: address, backlog: Int32(options.backlog))
            if let actual = Descriptor.localAddress(of: descriptor.number),
                address.family != .unix || actual.path != nil
            {
                return (descriptor.release(), Endpoint(actual))
            }
            return (descriptor.release(), endpoint)
        } catch {
            let system = SystemError(code: error.errno)
            throw ZeroMQError(
                system == .addressInUse ? .addressInUse : .bindFailed, "cannot bind \(endpoint): \(system)",
                underlying: system)
        }
    }

    private static func listeningAddress(_ endpoint: Endpoint) throws(ZeroMQError) -> SocketAddress {
        switch endpoint {
        case .tcp(let host, let port):
            let host = host == "*" ? "0.0.0.0" : host
            if let address = SocketAddress(numeric: host, port: port) { return address }
            if let address = Resolver.resolveNow(host, port: port) { return address }
            throw ZeroMQError(.bindFailed, "cannot bind \(endpoint): there is no host or interface \"\(host)\"")
        case .ipc(let path):
            // A free name in the abstract namespace: nothing is left behind, and peers can use it as it stands.
            let name = path == "*" ? "@zeromq-\(getpid())-\(UInt64.random(in: 0...(.max)))" : path
            if let address = SocketAddress(unix: name) { return address }
            throw ZeroMQError(
                .invalidEndpoint, "cannot bind \(endpoint): the path is empty or longer than 107 bytes")
        case .inproc: preconditionFailure("inproc has no address")
        }
    }

    /// A path left by a process that died would make binding fail for ever. It goes only if nobody listens there.
    private static func removeStale(_ path: String, _ address: SocketAddress) {
        guard address.isSocketInFileSystem else { return }
        guard let probe = try? Descriptor.stream(for: address) else { return }
        let result = address.withSockaddr { Glibc.connect(probe.number, $0, $1) }
        if result != 0, errno == ECONNREFUSED { unlink(path) }
    }

    /// Removes what binding left in the file system.
    static func cleanUp(_ text: String) {
        guard text.hasPrefix("ipc://"), !text.hasPrefix("ipc://@") else { return }
        unlink(String(text.dropFirst("ipc://".count)))
    }

    /// Options of a connected or connecting descriptor. They are advice: a kernel that refuses one changes nothing
    /// about the connection.
    static func configure(_ descriptor: Int32, _ address: SocketAddress?, _ options: SocketOptions) {
        func set(_ option: SocketOption, _ value: Int) {
            try? Descriptor.setOption(descriptor, option, Int32(clamping: value))
        }
        if let size = options.kernelSendBuffer { set(.sendBuffer, size) }
        if let size = options.kernelReceiveBuffer { set(.receiveBuffer, size) }
        guard let address, address.family != .unix else { return }
        set(.noDelay, 1)
        if let keepAlive = options.keepAlive {
            set(.keepAlive, 1)
            set(.keepAliveIdle, keepAlive.idle)
            set(.keepAliveInterval, keepAlive.interval)
            set(.keepAliveCount, keepAlive.count)
        }
    }
}
