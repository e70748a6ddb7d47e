import CSupport
import Foundation

/// Alternates contenders, A B C then C B A, and keeps what each measured in each round.
struct Rotation {
    /// By contender, then by round.
    private(set) var values: [[Double]]
    /// By contender: why it has no result.
    private(set) var failures: [String?]
    /// CPU that others used during the rounds, in cores: the median. Above 0.15 a row is called disturbed.
    private(set) var foreignCPU = 0.0
    let rounds: Int

    /// - Parameter run: Measures one contender once. Called once more per contender before the first round: that run
    ///   sets the pace and does not count.
    init(
        _ title: String, _ contenders: [Contender], rounds: Int,
        run: (_ contender: Contender, _ index: Int) throws(BenchError) -> Double
    ) {
        self =
            Self.measuring(1, title, contenders, rounds: rounds) { contender, index throws(BenchError) in
                [try run(contender, index)]
            }[0]
    }

    /// The same for runs that measure several figures at once.
    /// - Parameter run: As many figures as `figures` says, always in one order.
    /// - Returns: One rotation for each figure.
    static func measuring(
        _ figures: Int, _ title: String, _ contenders: [Contender], rounds: Int,
        run: (_ contender: Contender, _ index: Int) throws(BenchError) -> [Double]
    ) -> [Rotation] {
        var rotations = Array(repeating: Rotation(contenders.count, rounds: rounds), count: figures)
        var failures: [String?] = contenders.map { _ in nil }
        var foreign: [Double] = []
        for round in -1..<rounds {
            progress("\(title): " + (round < 0 ? "warming up" : "round \(round + 1) of \(rounds)"))
            let order = round % 2 == 0 ? Array(contenders.indices) : contenders.indices.reversed()
            let meter = ForeignMeter()
            for index in order where failures[index] == nil {
                do throws(BenchError) {
                    let values = try run(contenders[index], index)
                    guard round >= 0 else { continue }
                    for (figure, value) in values.enumerated() { rotations[figure].values[index].append(value) }
                } catch {
                    failures[index] = error.description
                    progress("\(title): \(error)", ends: true)
                }
            }
            if round >= 0, let share = meter.share { foreign.append(share) }
        }
        for figure in rotations.indices {
            rotations[figure].failures = failures
            rotations[figure].foreignCPU = median(foreign) ?? 0
        }
        progress("")
        return rotations
    }

    private init(_ contenders: Int, rounds: Int) {
        values = Array(repeating: [], count: contenders)
        failures = Array(repeating: nil, count: contenders)
        self.rounds = rounds
    }

    /// A remark on a figure that has no row of its own, against the first contender; nil where there is none.
    func note(_ ours: Int, _ name: String, _ unit: String) -> String? {
        guard let ours = median(values[ours]), let libzmq = median(values[0]) else { return nil }
        return "\(name) \(Table.figure(ours)) \(unit), libzmq \(Table.figure(libzmq))"
    }
}

/// How many messages make a run of the wanted length: learned from each run for the next, per contender.
struct Pace {
    private var rates: [Double]
    private let seconds: Double
    private let most: Double

    /// - Parameters:
    ///   - guess: Messages per second to start with; the first run, which does not count, is a quarter as long.
    ///   - most: More than these are never sent (their bodies must fit into memory where no mark holds them back).
    init(contenders: Int, guess: Double, seconds: Double, most: Double = .infinity) {
        rates = Array(repeating: guess / 4, count: contenders)
        self.seconds = seconds
        self.most = most
    }

    func count(_ index: Int) -> Int { Int(max(20, min(rates[index] * seconds, most))) }

    mutating func learn(_ index: Int, rate: Double) { rates[index] = rate }
}

/// What others used of the machine while we measured.
private struct ForeignMeter {
    private let start = Date()
    private let busy = bench_machine_busy_seconds()
    private let own = bench_family_cpu_seconds()

    /// In cores; nil where the kernel does not tell.
    var share: Double? {
        let span = -start.timeIntervalSinceNow
        guard busy >= 0, span > 0.05 else { return nil }
        let others = (bench_machine_busy_seconds() - busy) - (bench_family_cpu_seconds() - own)
        return max(0, others / span)
    }
}

func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// One line on standard error that the next one overwrites, where that is a terminal.
func progress(_ text: String, ends: Bool = false) {
    let isTerminal = isatty(2) == 1
    guard isTerminal || (ends && !text.isEmpty) else { return }
    FileHandle.standardError.write(Data(((isTerminal ? "\r\u{1B}[K" : "") + text + (ends ? "\n" : "")).utf8))
}
