import Proactor

/// A random script of operations over a socket pair, from a seed. Its outcome depends on the script alone: each
/// step is driven to its end before the next one starts.
struct Script: Sendable {
    enum Step: Sendable {
        case send(from: Int, count: Int, toCompletion: Bool)
        case gather(from: Int, parts: [Int])
        case quiet(from: Int, count: Int)
        case receive(at: Int, room: Int, untilFull: Bool)
        case lend(at: Int)
        case cancelIdleReceive(at: Int, isLent: Bool)
        case poll(at: Int, events: PollEvents)
        case shutdown(at: Int)
        case drop(Int)
    }

    let steps: [Step]

    init(seed: UInt64, length: Int) {
        var random = SplitMix(state: seed)
        steps = (0..<length).map { position in
            let end = Int.random(in: 0...1, using: &random)
            let count = Int.random(in: 1...5000, using: &random)
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<20: return .send(from: end, count: count, toCompletion: .random(using: &random))
            case 20..<30:
                let parts = Int.random(in: 1...9, using: &random)
                return .gather(from: end, parts: (0..<parts).map { _ in .random(in: 0...900, using: &random) })
            case 30..<38: return .quiet(from: end, count: count)
            case 38..<62: return .receive(at: end, room: count, untilFull: .random(using: &random))
            case 62..<80: return .lend(at: end)
            case 80..<88: return .cancelIdleReceive(at: end, isLent: .random(using: &random))
            case 88..<97: return .poll(at: end, events: .random(using: &random) ? .readable : .writable)
            case 97..<99: return position * 2 > length ? .shutdown(at: end) : .lend(at: end)
            // Late only: a script without ends has nothing left to do.
            default: return position * 5 > length * 4 ? .drop(end) : .lend(at: end)
            }
        }
    }
}

/// The generator of Steele, Lea and Flood (2014): a sequence per seed, the same everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
