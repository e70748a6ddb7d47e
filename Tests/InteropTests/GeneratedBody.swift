/// Bodies that both sides can make and recognise, so that large and many messages need not travel through the script:
/// the seed in 8 bytes, then bytes of a congruential generator, repeated with a prime period (a shift by any block size
/// shows). `generated` in `peer.py` is the same function.
enum GeneratedBody {
    private static let period = 65521

    static func bytes(seed: UInt64, size: Int) -> [UInt8] {
        var bytes = (0..<min(size, 8)).map { UInt8(truncatingIfNeeded: seed >> (8 * $0)) }
        bytes.reserveCapacity(size)
        var state = seed
        while bytes.count < min(size, 8 + period) {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            bytes.append(UInt8(truncatingIfNeeded: state >> 56))
        }
        while bytes.count < size {
            let count = min(period, size - bytes.count)
            bytes += bytes[8..<(8 + count)]
        }
        return bytes
    }
}
