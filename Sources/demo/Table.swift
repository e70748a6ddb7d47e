import Glibc

/// Columns of a fixed width, so that rows can be printed one by one as they are measured.
struct Table {
    /// Name and width; a negative width is for numbers, which stand at the right.
    private let columns: [(name: String, width: Int)]

    init(_ columns: [(String, Int)]) {
        self.columns = columns.map { (name: $0.0, width: $0.1) }
    }

    func printHead() { printRow(columns.map(\.name)) }

    /// Prints cells; fewer than columns if a failure takes the place of the figures.
    func printRow(_ cells: [String]) {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let width = columns[index].width
            let isMisfit = cells.count < columns.count && index == cells.count - 1
            let padding = isMisfit ? "" : String(repeating: " ", count: max(0, abs(width) - cell.count))
            line += width < 0 ? padding + cell + "  " : cell + padding + "  "
        }
        while line.last == " " { line.removeLast() }
        show(line, indent: 2)
    }
}

/// Prints at once, also where the output is a pipe: the run takes a while, and somebody watches.
func show(_ text: String, indent: Int = 0) {
    let margin = String(repeating: " ", count: indent)
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
        print(line.isEmpty ? "" : margin + line)
    }
    fflush(nil)
}

/// As in 1,234,567.
func grouped(_ value: Double) -> String {
    var rest = String(Int(value.rounded()))[...]
    var groups: [Substring] = []
    while rest.count > 3 {
        groups.insert(rest.suffix(3), at: 0)
        rest = rest.dropLast(3)
    }
    return ([rest] + groups).joined(separator: ",")
}

/// With one place behind the point.
func decimal(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(grouped(Double(tenths / 10))).\(tenths % 10)"
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
