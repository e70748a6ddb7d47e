import Testing

@testable import ZMTP

/// Feeds the same octets whole, cut in two at every place, and one by one, and asks for the same outcome each time.
@discardableResult
func everyCut<Outcome: Equatable>(
    _ octets: [UInt8], sourceLocation: SourceLocation = #_sourceLocation, _ feed: ([[UInt8]]) -> Outcome
) -> Outcome {
    let whole = feed([octets])
    for cut in 0...octets.count {
        let outcome = feed([Array(octets[..<cut]), Array(octets[cut...])])
        guard outcome == whole else {
            Issue.record("cut at \(cut): \(outcome), whole: \(whole)", sourceLocation: sourceLocation)
            break
        }
    }
    let single = feed(octets.map { [$0] })
    #expect(single == whole, "octet by octet", sourceLocation: sourceLocation)
    return whole
}

/// Octets as the text of a wire capture: hex pairs and, in quotes, letters.
func wire(_ text: String) -> [UInt8] {
    var output: [UInt8] = []
    for (index, part) in text.split(separator: "'", omittingEmptySubsequences: false).enumerated() {
        if index % 2 == 1 {
            output += part.utf8
        } else {
            output += part.split(separator: " ").map { UInt8($0, radix: 16)! }
        }
    }
    return output
}

/// SplitMix64: the same stream for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
