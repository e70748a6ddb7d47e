import Glibc
import Proactor

/// Names to addresses, away from the loops: getaddrinfo(3) may block for as long as it likes.
enum Resolver {
    private final class Query {
        let host: String
        let port: UInt16
        let answer: @Sendable (SocketAddress?) -> Void

        init(_ host: String, _ port: UInt16, _ answer: @escaping @Sendable (SocketAddress?) -> Void) {
            self.host = host
            self.port = port
            self.answer = answer
        }
    }

    /// Asks on a thread of its own and answers there, with nil if the name is unknown.
    static func resolve(_ host: String, port: UInt16, answer: @escaping @Sendable (SocketAddress?) -> Void) {
        let query = Unmanaged.passRetained(Query(host, port, answer))
        // Detached afterwards, not by attributes: which C module owns `pthread_attr_t`, and so its initialiser, depends
        // on the order of the build.
        var thread = pthread_t()
        let failed = pthread_create(
            &thread, nil,
            { argument in
                let query = Unmanaged<Query>.fromOpaque(argument!).takeRetainedValue()
                query.answer(Resolver.resolveNow(query.host, port: query.port))
                return nil
            }, query.toOpaque())
        guard failed == 0 else { return query.takeRetainedValue().answer(nil) }
        pthread_detach(thread)
    }

    /// Asks on the calling thread. The first IPv4 address wins, else the first IPv6 one.
    static func resolveNow(_ host: String, port: UInt16) -> SocketAddress? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return nil }
        defer { freeaddrinfo(list) }
        var found: SocketAddress?
        var entry = list
        while let current = entry {
            entry = current.pointee.ai_next
            guard let address = numeric(current.pointee, port) else { continue }
            if address.family == .ipv4 { return address }
            if found == nil { found = address }
        }
        return found
    }

    private static func numeric(_ entry: addrinfo, _ port: UInt16) -> SocketAddress? {
        var text = [CChar](repeating: 0, count: 64)
        let done = getnameinfo(
            entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard done == 0 else { return nil }
        let host = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return SocketAddress(numeric: host, port: port)
    }
}
