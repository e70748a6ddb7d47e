import Testing

@testable import ZMTP

@Suite("13/ZMTP framing")
struct V1FramingTests {
    struct Outcome: Equatable {
        var output: [UInt8] = []
        var failure: ZMTPError?
    }

    func decode(_ octets: [UInt8], _ limits: ZMTPLimits = ZMTPLimits()) -> Outcome {
        everyCut(octets) { pieces in
            var decoder = V1Decoder(limits: limits)
            var outcome = Outcome()
            for piece in pieces where outcome.failure == nil {
                do throws(ZMTPError) {
                    let part = piece.withUnsafeBytes { bytes in
                        var output: [UInt8] = []
                        let result = Result { () throws(ZMTPError) in try decoder.decode(bytes, into: &output) }
                        return (output, result)
                    }
                    outcome.output += part.0
                    try part.1.get()
                } catch { outcome.failure = error }
            }
            return outcome
        }
    }

    @Test("Framing: the length counts the flags octet; FF and eight octets for 255 and more, or for any")
    func lengths() {
        #expect(decode(wire("02 01 41 01 00")).output == wire("01 01 41 00 00"))
        #expect(decode(wire("ff 00 00 00 00 00 00 00 02 00 41")).output == wire("00 01 41"))
        let body = [UInt8](repeating: 0x42, count: 300)
        #expect(
            decode(wire("ff 00 00 00 00 00 00 01 2d 00") + body).output == wire("02 00 00 00 00 00 00 01 2c") + body
        )
    }

    @Test("Framing: only MORE means something among the flags")
    func flags() { #expect(decode(wire("02 fe 41 02 ff 42")).output == wire("00 01 41 01 01 42")) }

    @Test(
        "Framing: a length of zero, of 2^63 and more, or above the limit is refused before its body",
        arguments: [
            ("00", ZMTPError.emptyFrameLength), ("ff 00 00 00 00 00 00 00 00", .emptyFrameLength),
            ("ff ff ff ff ff ff ff ff ff", .frameSizeOutOfRange),
            ("ff 80 00 00 00 00 00 00 01", .frameSizeOutOfRange),
            ("0b", .messageTooLarge), ("ff 00 00 00 00 00 00 00 0b", .messageTooLarge),
            ("ff 80 00 00 00 00 00 00 00", .messageTooLarge),
        ])
    func refused(_ text: String, _ error: ZMTPError) {
        var limits = ZMTPLimits()
        limits.maximumMessageSize = 9
        let seen = decode(wire("02 00 41 \(text)"), limits)
        #expect(seen.failure == error)
        #expect(seen.output == wire("00 01 41"), "the frame before it has passed")
        #expect(decode(wire("0a 00 'ninebytes'"), limits).failure == nil)
    }

    @Test("A huge announced length allocates nothing: octets pass through as they come")
    func announced() {
        let seen = decode(wire("ff 7f ff ff ff ff ff ff ff 00 41 42"))
        #expect(seen.output == wire("02 7f ff ff ff ff ff ff fe 41 42"))
    }

    @Test("Two messages above 8192 octets pass, which once broke a fixed buffer elsewhere (GHSA-fc3w-qxf5-7hp6)")
    func twoLarge() {
        let body = [UInt8](repeating: 1, count: 9000)
        var octets: [UInt8] = []
        var want: [UInt8] = []
        for _ in 0..<2 {
            V1FrameHeader.append(to: &octets, more: false, bodyCount: body.count)
            FrameHeader.append(to: &want, flags: [], bodyCount: body.count)
            octets += body
            want += body
        }
        var decoder = V1Decoder()
        var output: [UInt8] = []
        for octet in octets {
            try? [octet].withUnsafeBytes { try decoder.decode($0, into: &output) }
        }
        #expect(output == want)
    }

    @Test(
        "Headers are written as libzmq 4.3.4 writes them",
        arguments: [
            (false, 0, "01 00"), (true, 1, "02 01"), (false, 252, "fd 00"), (false, 253, "fe 00"),
            (false, 254, "ff 00 00 00 00 00 00 00 ff 00"), (false, 255, "ff 00 00 00 00 00 00 01 00 00"),
            (true, 300, "ff 00 00 00 00 00 00 01 2d 01"),
        ])
    func headers(_ more: Bool, _ count: Int, _ text: String) {
        var output: [UInt8] = []
        V1FrameHeader.append(to: &output, more: more, bodyCount: count)
        #expect(output == wire(text))
        #expect(V1FrameHeader.headerCount(for: count) == output.count)
    }
}
