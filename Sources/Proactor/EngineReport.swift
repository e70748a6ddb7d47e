import CLiburing
import Glibc

/// Which engine runs, with what, and why: for people (`description`), for logs and for tests.
public struct EngineReport: Sendable, CustomStringConvertible {
    /// A feature and what became of it.
    public struct Feature: Sendable {
        /// Its name, as in `EngineFeatures.table`.
        public let name: String
        /// First kernel that has it, as "5.19".
        public let since: String
        /// Whether it is used.
        public let isUsed: Bool
        /// Why not; empty where it is used.
        public let reason: String

        /// A row of the report.
        public init(name: String, since: String, isUsed: Bool, reason: String) {
            self.name = name
            self.since = since
            self.isUsed = isUsed
            self.reason = reason
        }
    }

    /// The engine that runs.
    public var backend: BackendKind
    /// Why it was chosen, in a sentence.
    public var reason: String
    /// The errno that ruled the other engine out; 0 if none did.
    public var errno: Int32
    /// The running kernel, as uname(2) tells it.
    public var kernel: String
    /// Feature by feature, oldest first.
    public var features: [Feature]

    /// A report.
    public init(backend: BackendKind, reason: String, errno: Int32 = 0, features: [Feature]) {
        self.backend = backend
        self.reason = reason
        self.errno = errno
        self.kernel = EngineReport.runningKernel
        self.features = features
    }

    /// The running kernel's release, as uname(2) tells it.
    public static var runningKernel: String {
        var name = utsname()
        guard uname(&name) == 0 else { return "unknown" }
        return withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// Several lines for people.
    public var description: String {
        var text = "backend \(backend) on kernel \(kernel): \(reason)"
        for feature in features {
            let name = feature.name + String(repeating: " ", count: max(0, 22 - feature.name.count))
            text += "\n  \(name) \(feature.since)  \(feature.isUsed ? "used" : "not used: \(feature.reason)")"
        }
        return text
    }
}
