import Glibc

/// Programs of this package that were built with the tests: they lie in the same folder.
public enum BuiltPrograms {
    /// The path of a product.
    public static func path(of name: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        precondition(count > 0, "no /proc/self/exe")
        let own = String(decoding: buffer[..<count], as: UTF8.self)
        let folder = own.split(separator: "/").dropLast().joined(separator: "/")
        return "/\(folder)/\(name)"
    }

    /// Whether it is there.
    public static func isBuilt(_ name: String) -> Bool { access(path(of: name), X_OK) == 0 }
}
