import Foundation

/// A line of the table: what one contender reached against another in the same run.
struct Row: Codable {
    var scenario: String
    var transport: String
    /// Bytes of a body.
    var size: Int
    /// Ours.
    var backend: String
    /// What else tells rows apart: pinned or unpinned, connections, socket type; empty where nothing does.
    var variant: String
    /// Medians of the rounds.
    var ours: Double?
    /// The median of libzmq; null where the comparison is with something else.
    var libzmq: Double?
    /// The median of what ours is compared with, whatever that is.
    var baseline: Double?
    /// What that is.
    var against: String
    var unit: String
    /// The median of the rounds' own ratios. Above 1 is better for us in every row.
    var ratio: Double?
    var ratioMin: Double?
    var ratioMax: Double?
    var oursMin: Double?
    var oursMax: Double?
    var baselineMin: Double?
    var baselineMax: Double?
    /// All processes on one core; null where the question makes no sense.
    var pinned: Bool?
    var rounds: Int
    var quick: Bool
    var must: Double?
    var aim: Double?
    /// What `must` and `aim` bound: `ratio` from below, or `ours` from above.
    var bounds: String?
    /// Whether the must holds; null where there is none, or no number.
    var met: Bool?
    /// CPU that others used meanwhile, in cores.
    var foreignCpu: Double
    /// Why there is no number.
    var failure: String?
    var note: String?
    var machine: String
    /// ISO 8601, UTC.
    var measured: String

    var key: String { [scenario, transport, String(size), backend, variant].joined(separator: "|") }

    /// Others used more than 15 % of a core meanwhile: a figure to repeat, not to quote.
    var isDisturbed: Bool { foreignCpu > 0.15 }

    /// - Parameters:
    ///   - ours: Index of our contender in the rotation.
    ///   - baseline: Index of what it is compared with.
    ///   - lowerIsBetter: For times, calls and memory.
    init(
        _ rotation: Rotation, ours: Int, baseline: Int, scenario: String, transport: String, size: Int,
        backend: String, variant: String = "", against: String = "libzmq", unit: String,
        lowerIsBetter: Bool = false,
        pinned: Bool? = nil, quick: Bool, note: String? = nil
    ) {
        self.scenario = scenario
        self.transport = transport
        self.size = size
        self.backend = backend
        self.variant = variant
        self.against = against
        self.unit = unit
        self.pinned = pinned
        self.quick = quick
        self.note = note
        rounds = rotation.rounds
        foreignCpu = rotation.foreignCPU
        machine = Machine.description
        measured = ISO8601DateFormatter().string(from: Date())
        failure = rotation.failures[ours] ?? rotation.failures[baseline]
        let target = Target.of(
            scenario: scenario, transport: transport, size: size, backend: backend, variant: variant)
        must = target?.must
        aim = target?.aim
        bounds = target?.bounds.rawValue
        guard failure == nil else { return }

        let left = rotation.values[ours]
        let right = rotation.values[baseline]
        // Paired: the two runs of one round met the same neighbours.
        let ratios = zip(left, right).map { lowerIsBetter ? $1 / $0 : $0 / $1 }
        self.ours = median(left)
        self.baseline = median(right)
        if against == "libzmq" { libzmq = self.baseline }
        ratio = median(ratios)
        (ratioMin, ratioMax) = (ratios.min(), ratios.max())
        (oursMin, oursMax) = (left.min(), left.max())
        (baselineMin, baselineMax) = (right.min(), right.max())
        if let target, let ratio, let value = self.ours { met = target.holds(ratio: ratio, ours: value) }
    }
}

/// What must be reached, and what is aimed at.
struct Target {
    enum Bounds: String {
        case ratio
        case ours
    }
    let must: Double
    let aim: Double?
    let bounds: Bounds

    private init(_ must: Double, _ aim: Double? = nil, _ bounds: Bounds = .ratio) {
        self.must = must
        self.aim = aim
        self.bounds = bounds
    }

    func holds(ratio: Double, ours: Double) -> Bool { bounds == .ratio ? ratio >= must : ours <= must }

    /// The project's goals on a machine with two cores.
    static func of(scenario: String, transport: String, size: Int, backend: String, variant: String) -> Target? {
        let isRing = backend == "io_uring"
        switch (scenario, transport, size, variant) {
        case ("throughput", "tcp", 8, _), ("throughput", "tcp", 64, _): return isRing ? Target(5, 10) : Target(3)
        case ("throughput", "tcp", 256, _), ("throughput", "tcp", 1024, _): return isRing ? Target(3, 6) : Target(2)
        case ("throughput", "tcp", 8192, _): return isRing ? Target(2, 3) : Target(1.5)
        case ("throughput", "tcp", 65536, _): return isRing ? Target(1.3, 1.7) : Target(1)
        case ("throughput", "tcp", 1_048_576, _): return isRing ? Target(0.95, 1.05) : Target(0.95)
        case ("throughput-hwm", "tcp", 64, _): return isRing ? Target(3, 5) : Target(2)
        case ("throughput", "ipc", 64, _): return isRing ? Target(5, 9) : Target(3)
        case ("throughput", "inproc", 64, _): return isRing ? Target(4, 8) : nil
        case ("latency", "tcp", 1, "pinned"): return isRing ? Target(1.4, 2) : Target(1.2)
        case ("latency", "tcp", 1, "unpinned"): return isRing ? Target(1, 1.5) : Target(1)
        case ("latency-caller-driven", "tcp", 1, "pinned"): return isRing ? Target(2.5, 3) : Target(2)
        case ("latency-caller-driven", "tcp", 1, "unpinned"): return isRing ? Target(1.5, 1.8) : Target(1.4)
        // 8 is the must where the ring itself wakes the futex (6.7).
        case ("latency", "tcp", 1, "system calls"): return isRing ? Target(10, 8, .ours) : nil
        case ("latency-caller-driven", "tcp", 1, "system calls"): return isRing ? Target(4, nil, .ours) : nil
        case ("async-throughput", "tcp", 64, _): return isRing ? Target(0.5) : nil
        case ("echo", "tcp", 64, "1 connection"): return isRing ? Target(0.85) : nil
        case ("echo", "tcp", 64, _): return isRing ? Target(0.9) : nil
        case ("idle-memory", "tcp", _, _): return Target(4, nil, .ours)
        case ("fan-out", "tcp", 64, "10 subscribers"): return Target(4, 6)
        case ("fan-out", "tcp", 64, "1000 subscribers, 10 topics"): return Target(4, 8)
        case ("fan-out", "tcp", 64, _): return Target(5, 9)
        case ("paced", "tcp", 64, _): return Target(1)
        case ("fan-in", "tcp", 8, _) where variant.hasSuffix(", 10 KB writes"): return Target(5, 10)
        case ("fan-in", "tcp", 8, _) where variant.hasSuffix(", 1 KB writes"): return Target(1.5, 2)
        case ("clients", "tcp", 64, "1000 clients"): return Target(1.8, 2.2)
        case ("clients", "tcp", 64, "10000 clients"): return Target(1.4, 1.7)
        // At most 0.7 of its CPU for each message.
        case ("clients", "tcp", 64, _) where variant.hasSuffix("CPU"): return Target(1 / 0.7)
        // Fewer clients share what the socket holds anyway.
        case ("clients", "tcp", 64, "10000 clients, server memory"): return Target(4, nil, .ours)
        default: return nil
        }
    }
}
