import Testing

@testable import ZeroMQ

@Suite("Prefix trie") struct PrefixTrieTests {
    /// What it is to do, as plainly as can be.
    private struct Model {
        var pairs: [(prefix: [UInt8], value: Int32)] = []

        func matches(_ topic: [UInt8]) -> [Int32] {
            pairs.filter { topic.starts(with: $0.prefix) }.map(\.value).sorted()
        }
    }

    private static func matches(_ trie: borrowing PrefixTrie, _ topic: [UInt8]) -> [Int32] {
        var found: [Int32] = []
        topic.withUnsafeBytes { trie.match($0) { found.append($0) } }
        return found.sorted()
    }

    @Test("It finds what a plain list finds, whatever comes and goes", arguments: 0..<8)
    func model(round: Int) {
        let seed = UInt64.random(in: 0...(.max))
        var random = SeededGenerator(seed: seed)
        // Few letters make long common beginnings, many make wide nodes.
        let letters: UInt8 = [1, 2, 3, 20, 255, 255, 255, 255][round]
        // The last rounds: beginnings of one long text, parted and joined anywhere, and now and then another end.
        let long = (0..<400).map { _ in UInt8.random(in: 0...letters, using: &random) }
        func text(_ longest: Int) -> [UInt8] {
            if round > 5 {
                let end: [UInt8] = Int.random(in: 0..<5, using: &random) == 0 ? [0, 1] : []
                return Array(long.prefix(Int.random(in: 0...(round == 6 ? 400 : 90), using: &random))) + end
            }
            return (0..<Int.random(in: 0...longest, using: &random)).map { _ in
                UInt8.random(in: 0...letters, using: &random)
            }
        }
        var trie = PrefixTrie()
        var model = Model()
        for step in 0..<1500 {
            if Int.random(in: 0..<10, using: &random) < 6 || model.pairs.isEmpty {
                let (prefix, value) = (text(round == 5 ? 3 : 12), Int32.random(in: 0..<50, using: &random))
                guard !model.pairs.contains(where: { $0.prefix == prefix && $0.value == value }) else { continue }
                prefix.withUnsafeBytes { trie.insert($0, value) }
                model.pairs.append((prefix, value))
            } else {
                let pair = model.pairs.remove(at: Int.random(in: 0..<model.pairs.count, using: &random))
                let removed = pair.prefix.withUnsafeBytes { trie.remove($0, pair.value) }
                #expect(removed, "seed \(seed) step \(step)")
            }
            let absent = text(12)
            let isThere = model.pairs.contains { $0.prefix == absent && $0.value == 77 }
            let removed = absent.withUnsafeBytes { trie.remove($0, 77) }
            #expect(removed == isThere, "seed \(seed) step \(step)")
            let topic = text(16)
            let found = Self.matches(trie, topic)
            let wanted = model.matches(topic)
            let any = topic.withUnsafeBytes { trie.matches($0) }
            guard found == wanted, any == !wanted.isEmpty, trie.count == model.pairs.count else {
                Issue.record("seed \(seed) step \(step): \(topic) finds \(found) instead of \(wanted)")
                return
            }
        }
        for pair in model.pairs { pair.prefix.withUnsafeBytes { _ = trie.remove($0, pair.value) } }
        let isEmpty = trie.isEmpty
        #expect(isEmpty, "seed \(seed)")
    }

    @Test("A prefix of ten megabytes, and four thousand of its beginnings, need no stack")
    func deep() {
        var trie = PrefixTrie()
        let long = [UInt8](repeating: 7, count: 10 << 20)
        long.withUnsafeBytes { bytes in
            trie.insert(bytes, 1)
            for count in stride(from: 1, to: 4000, by: 1) {
                trie.insert(UnsafeRawBufferPointer(rebasing: bytes[..<count]), 2)
            }
        }
        #expect(Self.matches(trie, long).count == 4000)
        long.withUnsafeBytes { bytes in
            for count in stride(from: 1, to: 4000, by: 2) {
                _ = trie.remove(UnsafeRawBufferPointer(rebasing: bytes[..<count]), 2)
            }
        }
        #expect(Self.matches(trie, long).count == 2000)
        // What is left goes with the trie, iteratively.
    }

    @Test("Among a thousand prefixes a topic meets its own alone")
    func wide() {
        var trie = PrefixTrie()
        for number in 0..<1000 {
            Array("topic \(number) ".utf8).withUnsafeBytes { trie.insert($0, Int32(number)) }
        }
        for number in 0..<1000 {
            #expect(Self.matches(trie, Array("topic \(number) body".utf8)) == [Int32(number)])
        }
    }
}
