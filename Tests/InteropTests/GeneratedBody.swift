/// Bodies that both sides can make and recognise, so that large and many messages need not travel through the script:
/// the seed in 8 bytes, then bytes of a congruential generator, repeated with a prime period (a shift by any block size
/// shows). `generated` in `peer.py` is the same function.
enum GeneratedBody {
    private static let period = 65521

    static func bytes(seed: UInt64, size: Int) -> [UInt8] {
        Array(unsafeUninitializedCapacity: size) { bytes, count in
            for index in 0..<min(size, 8) { bytes[index] = UInt8(truncatingIfNeeded: seed >> (8 * index)) }
            var state = seed
            for index in 8..<max(8, min(size, 8 + period)) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[index] = UInt8(truncatingIfNeeded: state >> 56)
            }
            // A copy from one period before, a period at a time: never overlapping.
            var end = 8 + period
            while end < size {
                let length = min(period, size - end)
                (bytes.baseAddress! + end).update(from: bytes.baseAddress! + end - period, count: length)
                end += length
            }
            count = size
        }
    }
}
