import Foundation

/// The results on disk: rows of several invocations, one per key, the newest wins.
struct Store {
    let folder: URL

    /// Beside the package's manifest, wherever the runner was started from.
    static func standard() -> Store {
        var folder = URL(fileURLWithPath: Contender.path(of: "bench")).deletingLastPathComponent()
        while folder.path != "/",
            !FileManager.default.fileExists(atPath: folder.appendingPathComponent("Package.swift").path)
        {
            folder.deleteLastPathComponent()
        }
        if folder.path == "/" { folder = URL(fileURLWithPath: FileManager.default.currentDirectoryPath) }
        return Store(folder: folder.appendingPathComponent("results"))
    }

    private var json: URL { folder.appendingPathComponent("latest.json") }

    /// Adds the rows to those of earlier runs and writes table, list and chart anew.
    /// - Returns: All rows, in the order of the scenarios.
    func merge(_ rows: [Row]) throws -> [Row] {
        var all: [String: Row] = [:]
        if let data = try? Data(contentsOf: json) {
            do {
                for row in try JSONDecoder().decode([Row].self, from: data) { all[row.key] = row }
            } catch {
                progress("\(json.path) is of another form and is replaced", ends: true)
            }
        }
        for row in rows { all[row.key] = row }
        let sorted = all.values.sorted { $0.order < $1.order }

        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(sorted.map(Complete.init)).write(to: json, options: .atomic)
        try Data(Table.document(sorted).utf8)
            .write(to: folder.appendingPathComponent("latest.md"), options: .atomic)
        try Data(Chart.document(sorted).utf8)
            .write(to: folder.appendingPathComponent("latest.svg"), options: .atomic)
        return sorted
    }

    /// Writes every key of a row, null where there is no value: readers need not ask what may be missing.
    private struct Complete: Encodable {
        let row: Row
        private struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }
        private enum Value: Encodable {
            case text(String)
            case number(Double)
            case whole(Int)
            case truth(Bool)
            case none

            init(_ value: Any) {
                switch value {
                case let text as String: self = .text(text)
                case let whole as Int: self = .whole(whole)
                case let number as Double: self = .number(number)
                case let truth as Bool: self = .truth(truth)
                default: self = .none
                }
            }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                switch self {
                case .text(let text): try container.encode(text)
                case .number(let number): try container.encode(number)
                case .whole(let whole): try container.encode(whole)
                case .truth(let truth): try container.encode(truth)
                case .none: try container.encodeNil()
                }
            }
        }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            for field in Mirror(reflecting: row).children {
                guard let label = field.label else { continue }
                try container.encode(Value(field.value), forKey: Key(stringValue: label))
            }
        }
    }
}

extension Row {
    /// Scenarios as listed, transports as listed, small bodies first, our backends in order.
    fileprivate var order: Order {
        Order(
            ranks: [
                Scenario.allCases.firstIndex { $0.rawValue == scenario } ?? 99,
                ["tcp", "ipc", "inproc"].firstIndex(of: transport) ?? 99, size,
                ["pinned", "unpinned", "system calls"].firstIndex(of: variant) ?? 99,
                // "1000 clients, …" behind "100 clients": what counts connections begins with their number.
                Int(variant.prefix { $0.isNumber }) ?? 0,
            ], variant: variant, backend: ["io_uring", "epoll"].firstIndex(of: backend) ?? 99)
    }

    fileprivate struct Order: Comparable {
        let ranks: [Int]
        let variant: String
        let backend: Int
        static func < (left: Order, right: Order) -> Bool {
            if left.ranks != right.ranks { return left.ranks.lexicographicallyPrecedes(right.ranks) }
            return (left.variant, left.backend) < (right.variant, right.backend)
        }
    }
}
