import Foundation

/// The machine that a figure belongs to.
enum Machine {
    static let description: String = {
        let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = info.split(separator: "\n").first { $0.hasPrefix("model name") }
            .flatMap { $0.split(separator: ":").last }?.trimmingCharacters(in: .whitespaces)
        return "\(cores) cores, \(model ?? "unknown processor"), Linux \(kernel)"
    }()

    static var cores: Int { ProcessInfo.processInfo.activeProcessorCount }

    static var kernel: String {
        (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8))?
            .trimmingCharacters(in: .whitespacesAndNewlines) ?? "unknown"
    }

    /// Bytes that a run without marks may pile up in one process: a quarter of what is free.
    static var memoryForRuns: Double {
        let info = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        let line = info.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 4e6
        return kibibytes * 1024 / 4
    }
}
