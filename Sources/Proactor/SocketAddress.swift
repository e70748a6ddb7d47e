public import CLiburing
import Glibc

/// An IPv4, IPv6 or Unix-domain address as one value, in the kernel's form.
public struct SocketAddress: Sendable, Equatable, CustomStringConvertible {
    /// The families that engines serve.
    public enum Family: Sendable {
        /// Internet, version 4.
        case ipv4
        /// Internet, version 6.
        case ipv6
        /// A path, or a name in the abstract namespace.
        case unix
    }

    private var storage = sockaddr_storage()
    private(set) var length: socklen_t

    /// An IPv4 or IPv6 address in numeric form (`127.0.0.1`, `::1`, `fe80::1%2` with a numeric scope).
    /// - Returns: nil if the text is not such an address.
    public init?(numeric host: String, port: UInt16) {
        var four = sockaddr_in()
        if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            self.init(copying: four)
            return
        }
        var six = sockaddr_in6()
        let parts = host.split(separator: "%", maxSplits: 1)
        guard let address = parts.first, inet_pton(AF_INET6, String(address), &six.sin6_addr) == 1
        else { return nil }
        if parts.count == 2 {
            guard let scope = UInt32(parts[1]) ?? Self.interfaceIndex(String(parts[1])) else { return nil }
            six.sin6_scope_id = scope
        }
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = port.bigEndian
        self.init(copying: six)
    }

    /// A Unix-domain address: a path, or with a leading `@` a name in the abstract namespace (unix(7)).
    /// - Returns: nil if it is empty or longer than sun_path (107 bytes).
    public init?(unix path: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path), !bytes.contains(0)
        else { return nil }
        let isAbstract = bytes[0] == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        self.init(copying: address)
        // A path ends with its NUL; an abstract name is exactly as long as it is.
        let prefix = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
        length = socklen_t(prefix + bytes.count + (isAbstract ? 0 : 1))
    }

    /// From the kernel's form.
    /// - Returns: nil for a family that engines do not serve.
    public init?(_ address: sockaddr_storage, length: socklen_t) {
        switch Int32(address.ss_family) {
        case AF_INET, AF_INET6, AF_UNIX: break
        default: return nil
        }
        storage = address
        self.length = min(length, socklen_t(MemoryLayout<sockaddr_storage>.size))
    }

    private init<Form>(copying form: Form) {
        length = socklen_t(MemoryLayout<Form>.size)
        withUnsafeMutableBytes(of: &storage) { target in
            withUnsafeBytes(of: form) { target.copyMemory(from: $0) }
        }
    }

    private static func interfaceIndex(_ name: String) -> UInt32? {
        let index = if_nametoindex(name)
        return index == 0 ? nil : index
    }

    /// The family.
    public var family: Family {
        switch Int32(storage.ss_family) {
        case AF_INET: .ipv4
        case AF_INET6: .ipv6
        default: .unix
        }
    }

    /// The port of an Internet address, nil for others.
    public var port: UInt16? {
        switch family {
        case .ipv4: withForm(sockaddr_in.self) { UInt16(bigEndian: $0.sin_port) }
        case .ipv6: withForm(sockaddr_in6.self) { UInt16(bigEndian: $0.sin6_port) }
        case .unix: nil
        }
    }

    /// The host of an Internet address in numeric form, nil for others.
    public var host: String? {
        guard family != .unix else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            let done = withSockaddr { address, length in
                getnameinfo(address, length, text.baseAddress!, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            }
            return done == 0 ? String(cString: text.baseAddress!) : nil
        }
    }

    /// The path of a Unix-domain address, with a leading `@` for abstract names; nil for others and for unnamed ones.
    public var path: String? {
        guard family == .unix else { return nil }
        let prefix = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
        guard Int(length) > prefix else { return nil }
        return withForm(sockaddr_un.self) { form in
            withUnsafeBytes(of: form.sun_path) { bytes in
                let name = bytes.prefix(Int(length) - prefix)
                if name.first == 0 { return "@" + String(decoding: name.dropFirst(), as: UTF8.self) }
                return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            }
        }
    }

    /// `127.0.0.1:5555`, `[::1]:5555`, or the path.
    public var description: String {
        switch family {
        case .ipv4: "\(host ?? "?"):\(port ?? 0)"
        case .ipv6: "[\(host ?? "?")]:\(port ?? 0)"
        case .unix: path ?? "unnamed"
        }
    }

    /// Calls with the kernel's form.
    public func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// Equal family, port, host and path.
    public static func == (left: SocketAddress, right: SocketAddress) -> Bool {
        guard left.length == right.length else { return false }
        return withUnsafeBytes(of: left.storage) { a in
            withUnsafeBytes(of: right.storage) { b in
                a.prefix(Int(left.length)).elementsEqual(b.prefix(Int(right.length)))
            }
        }
    }

    private func withForm<Form, Result>(_ form: Form.Type, _ body: (Form) -> Result) -> Result {
        withUnsafeBytes(of: storage) { body($0.loadUnaligned(as: Form.self)) }
    }
}

extension SocketAddress {
    /// Whether the path is there and names a socket.
    package var isSocketInFileSystem: Bool {
        guard let path, !path.hasPrefix("@") else { return false }
        return proactor_is_socket(path) != 0
    }
}
