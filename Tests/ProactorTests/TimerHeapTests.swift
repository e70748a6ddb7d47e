import Testing

@testable import Proactor

/// Numbers from a seed that the test prints.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        // splitmix64
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite("Timer heap")
struct TimerHeapTests {
    @Test("Timers expire in the order of their deadlines, and cancelled ones never")
    func order() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var heap = TimerHeap()
        var expected: [Token: UInt64] = [:]
        for _ in 0..<2000 {
            let due = UInt64.random(in: 1...1000, using: &random)
            expected[heap.start(at: Deadline(nanoseconds: due), every: nil)] = due
            if Bool.random(using: &random), let victim = expected.keys.randomElement(using: &random) {
                #expect(heap.cancel(victim) == true, "seed \(seed)")
                #expect(heap.cancel(victim) == false, "a cancelled timer is finished; seed \(seed)")
                expected[victim] = nil
            }
        }
        var last: UInt64 = 0
        while let (token, repeats) = heap.expire(Deadline(nanoseconds: 1000)) {
            #expect(!repeats)
            guard let due = expected.removeValue(forKey: token) else {
                Issue.record("an unknown or cancelled timer expired; seed \(seed)")
                return
            }
            #expect(due >= last, "seed \(seed)")
            last = due
        }
        #expect(expected.isEmpty, "seed \(seed)")
        #expect(heap.count == 0)
    }

    @Test("A repeating timer stays on its grid and skips what was missed")
    func grid() {
        var heap = TimerHeap()
        let token = heap.start(at: Deadline(nanoseconds: 100), every: .nanoseconds(10))
        #expect(heap.expire(Deadline(nanoseconds: 99)) == nil)
        let first = heap.expire(Deadline(nanoseconds: 137))!
        #expect(first.token == token && first.repeats)
        #expect(heap.nextDeadline == Deadline(nanoseconds: 140))
        #expect(heap.cancel(token) == true)
        #expect(heap.nextDeadline == nil)
    }
}
