import Proactor

/// A place to bind or connect, as users write it: `tcp://host:port`, `ipc://path`, `ipc://@name`, `inproc://name`.
enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host (numeric, a name, or `*` for any) and a port (`*` or 0 for any free one, written as 0 here).
    case tcp(host: String, port: UInt16)
    /// A path, or with `@` a name in the abstract namespace; `*` picks a free abstract name.
    case ipc(path: String)
    /// A name within the context.
    case inproc(name: String)

    init(_ text: String) throws(ZeroMQError) {
        func invalid(_ why: String) -> ZeroMQError {
            ZeroMQError(.invalidEndpoint, "cannot use endpoint \"\(text)\": \(why)")
        }
        guard let separator = text.firstRange(ofText: "://") else {
            throw invalid("it has no transport; write tcp://host:port, ipc://path or inproc://name")
        }
        let transport = text[..<separator.lowerBound]
        let rest = String(text[separator.upperBound...])
        switch transport {
        case "tcp":
            guard let colon = rest.lastIndex(of: ":") else { throw invalid("it has no port") }
            let portText = rest[rest.index(after: colon)...]
            guard let port = portText == "*" ? 0 : UInt16(portText) else {
                throw invalid("\"\(portText)\" is not a port")
            }
            var host = String(rest[..<colon])
            if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
            guard !host.isEmpty else { throw invalid("it has no host; * binds all addresses") }
            guard !host.contains(";") else { throw invalid("source addresses are not supported") }
            self = .tcp(host: host, port: port)
        case "ipc":
            guard rest == "*" || SocketAddress(unix: rest) != nil else {
                throw invalid("a path has 1 to 107 bytes and no zero byte")
            }
            self = .ipc(path: rest)
        case "inproc":
            guard !rest.isEmpty, rest.utf8.count <= 256 else { throw invalid("a name has 1 to 256 bytes") }
            self = .inproc(name: rest)
        default:
            throw ZeroMQError(
                .unsupportedTransport,
                "cannot use endpoint \"\(text)\": transport \"\(transport)\" is not supported, only tcp, ipc, inproc"
            )
        }
    }

    /// As users write it.
    var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
        case .ipc(let path): "ipc://\(path)"
        case .inproc(let name): "inproc://\(name)"
        }
    }

    /// The endpoint that an address of the kernel stands for.
    init(_ address: SocketAddress) {
        if let host = address.host, let port = address.port {
            self = .tcp(host: host, port: port)
        } else {
            self = .ipc(path: address.path ?? "")
        }
    }
}

extension String {
    /// Where a text first occurs.
    fileprivate func firstRange(ofText text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
