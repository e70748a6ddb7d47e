import Foundation

/// The table for people.
enum Table {
    static func document(_ rows: [Row]) -> String {
        var text = "# Benchmark results\n\n"
        text += "Written by `bench`; how to read them is in [README.md](../README.md).\n\n"
        let machines = Set(rows.map(\.machine)).sorted()
        text += machines.map { "* Machine: \($0).\n" }.joined()
        if let first = rows.map(\.measured).min(), let last = rows.map(\.measured).max() {
            text += "* Measured \(first)" + (first == last ? "" : " to \(last)") + " (UTC).\n"
        }
        text += "* Medians; the ratio is the median of the rounds' own ratios, above 1 is better for us.\n"
        if rows.contains(where: \.quick) {
            text += "* Rows with *quick* come from short runs: they show that it works, not how fast it is.\n"
        }
        if rows.contains(where: \.isDisturbed) {
            text += "* Rows with *disturbed* shared the machine: others used the stated part of a core.\n"
        }
        return text + "\n" + markdown(rows)
    }

    static func markdown(_ rows: [Row]) -> String {
        var text = """
            | scenario | backend | ours | against | | unit | ratio (min..max) | must (aim) | | n | remarks |
            |---|---|--:|---|--:|---|--:|--:|---|--:|---|

            """
        for row in rows {
            let cells = [
                title(row), row.backend, figure(row.ours), row.against, figure(row.baseline), row.unit,
                ratio(row), target(row), verdict(row), String(row.rounds), remarks(row),
            ]
            text += "| " + cells.joined(separator: " | ") + " |\n"
        }
        return text + "\n" + summary(rows)
    }

    static func title(_ row: Row) -> String {
        var title = "\(row.scenario) \(row.transport)"
        if row.size > 0 { title += " " + bytes(row.size) }
        return row.variant.isEmpty ? title : title + ", " + row.variant
    }

    private static func bytes(_ size: Int) -> String {
        switch size {
        case ..<1024: "\(size) B"
        case ..<1_048_576: "\(size >> 10) KiB"
        default: "\(size >> 20) MiB"
        }
    }

    private static func ratio(_ row: Row) -> String {
        guard let ratio = row.ratio, let least = row.ratioMin, let most = row.ratioMax else { return "" }
        return String(format: "**%.2f** (%.2f..%.2f)", ratio, least, most)
    }

    private static func target(_ row: Row) -> String {
        guard let must = row.must else { return "" }
        let aim = row.aim.map { String(format: " (%g)", $0) } ?? ""
        return row.bounds == Target.Bounds.ours.rawValue
            ? String(format: "at most %g", must) + aim : String(format: "%.3g x", must) + aim
    }

    private static func verdict(_ row: Row) -> String {
        if row.failure != nil { return "**FAILED**" }
        switch row.met {
        case true?: return "met"
        case false?: return "**MISSED**"
        case nil: return ""
        }
    }

    private static func remarks(_ row: Row) -> String {
        var remarks: [String] = []
        if row.quick { remarks.append("*quick*") }
        if row.isDisturbed { remarks.append(String(format: "*disturbed* %.2f", row.foreignCpu)) }
        if let note = row.note { remarks.append(note) }
        if let failure = row.failure {
            let flat = failure.replacingOccurrences(of: "\n", with: " ")
            remarks.append(flat.replacingOccurrences(of: "|", with: "/"))
        }
        return remarks.joined(separator: "; ")
    }

    private static func summary(_ rows: [Row]) -> String {
        let bound = rows.filter { $0.must != nil }
        let missed = bound.filter { $0.met == false }
        let failed = rows.filter { $0.failure != nil }
        var text = "\(bound.filter { $0.met == true }.count) of \(bound.count) musts met"
        if !missed.isEmpty { text += "; missed: " + list(missed) }
        if !failed.isEmpty { text += "; failed: " + list(failed) }
        return text + ".\n"
    }

    private static func list(_ rows: [Row]) -> String {
        rows.map { "\(title($0)) (\($0.backend))" }.joined(separator: "; ")
    }

    /// Three significant digits, with M and k.
    static func figure(_ value: Double?) -> String {
        guard let value else { return "" }
        switch abs(value) {
        case 1e6...: return three(value / 1e6) + " M"
        case 1e4...: return three(value / 1e3) + " k"
        default: return three(value)
        }
    }

    private static func three(_ value: Double) -> String {
        switch abs(value) {
        case 100...: String(format: "%.0f", value)
        case 10...: String(format: "%.1f", value)
        default: String(format: "%.2f", value)
        }
    }
}
