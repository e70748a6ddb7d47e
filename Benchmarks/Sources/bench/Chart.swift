import Foundation

/// The chart: one bar per row and backend, as long as the logarithm of its ratio, from the line at 1.
enum Chart {
    private static let left = 330.0
    private static let width = 560.0
    private static let bar = 13.0
    private static let gap = 9.0
    private static let top = 64.0
    private static let colours = ["io_uring": "#1f6fb4", "epoll": "#e08a1e"]
    private static let ticks = [0.25, 0.5, 1, 2, 4, 8, 16, 32]

    static func document(_ rows: [Row]) -> String {
        let drawn = rows.filter { $0.ratio != nil }
        var groups: [(title: String, rows: [Row])] = []
        for row in drawn {
            let title = Table.title(row)
            if groups.last?.title == title {
                groups[groups.count - 1].rows.append(row)
            } else {
                groups.append((title, [row]))
            }
        }
        let shown = ticks.filter { tick in
            let ratios = drawn.compactMap(\.ratio) + drawn.compactMap { $0.bounds == "ratio" ? $0.must : nil }
            return tick >= min(0.5, (ratios.min() ?? 1) / 2) && tick <= max(2, (ratios.max() ?? 1) * 2)
        }
        let scale = Scale(least: shown.first ?? 0.5, most: shown.last ?? 2)
        let height = top + groups.reduce(0) { $0 + Double($1.rows.count) * bar + gap } + 30

        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(px(left + width + 90))" height="\(px(height))" \
            font-family="system-ui, sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            <text x="12" y="22" font-size="15" font-weight="bold">Ratio to libzmq, or to what the row names \
            (logarithmic; right of 1 is better for us)</text>

            """
        var x = left
        for (backend, colour) in colours.sorted(by: { $0.key > $1.key }) {
            svg += rect(x, 34, 12, 10, colour) + text(x + 17, 43, backend)
            x += 90
        }
        svg += "<line x1=\"\(px(x))\" y1=\"32\" x2=\"\(px(x))\" y2=\"46\" stroke=\"#b00020\" stroke-width=\"2\"/>\n"
        svg += text(x + 7, 43, "must")
        for tick in shown {
            let x = scale.x(tick)
            svg += """
                <line x1="\(px(x))" y1="\(px(top - 6))" x2="\(px(x))" y2="\(px(height - 22))" \
                stroke="\(tick == 1 ? "#333" : "#ddd")"/>
                <text x="\(px(x))" y="\(px(height - 8))" text-anchor="middle">\(String(format: "%g", tick))</text>

                """
        }
        var y = top
        for group in groups {
            let middle = y + Double(group.rows.count) * bar / 2 + 4
            svg += text(left - 10, middle, group.title, anchor: "end")
            for row in group.rows {
                svg += draw(row, y, scale)
                y += bar
            }
            y += gap
        }
        return svg + "</svg>\n"
    }

    private static func draw(_ row: Row, _ y: Double, _ scale: Scale) -> String {
        let ratio = row.ratio ?? 1
        let start = scale.x(1)
        let end = scale.x(ratio)
        var svg = rect(min(start, end), y, max(abs(end - start), 1), bar - 2, colours[row.backend] ?? "#777")
        let label = String(format: "%.2f", ratio) + (row.met == false ? "  missed" : "")
        var labelStart = max(start, end)
        if row.bounds == Target.Bounds.ratio.rawValue, let must = row.must {
            let x = scale.x(must)
            labelStart = max(labelStart, x)
            svg += """
                <line x1="\(px(x))" y1="\(px(y - 1))" x2="\(px(x))" y2="\(px(y + bar - 1))" \
                stroke="#b00020" stroke-width="2"/>

                """
        }
        return svg + text(labelStart + 6, y + bar - 3, label)
    }

    private struct Scale {
        let least: Double
        let most: Double
        func x(_ ratio: Double) -> Double {
            let share = (log(ratio) - log(least)) / (log(most) - log(least))
            return Chart.left + Chart.width * min(max(share, 0), 1)
        }
    }

    private static func rect(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, _ fill: String
    ) -> String {
        "<rect x=\"\(px(x))\" y=\"\(px(y))\" width=\"\(px(width))\" height=\"\(px(height))\" fill=\"\(fill)\"/>\n"
    }

    private static func text(_ x: Double, _ y: Double, _ text: String, anchor: String = "start") -> String {
        "<text x=\"\(px(x))\" y=\"\(px(y))\" text-anchor=\"\(anchor)\">\(escape(text))</text>\n"
    }

    private static func px(_ value: Double) -> String { String(format: "%.1f", value) }

    private static func escape(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
    }
}
