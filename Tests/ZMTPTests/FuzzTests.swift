import Testing

@testable import ZMTP

@Suite("Random octets")
struct FuzzTests {
    /// Well-formed beginnings, so that random octets reach the states behind them.
    static let beginnings: [[UInt8]] = [
        [], wire(signature), wire("\(signature) 01 06"), wire("\(signature) 00 06"),
        wire("\(signature) 03 01 \(nullName)"),
        wire(nullGreeting), wire(nullGreeting + " 04 1c 05 'READY' 0b 'Socket-Type' 00 00 00"),
        wire(nullGreeting + " 04 10 05 'ERROR'"), wire("ff 00 00 00 00 00 00 00"),
    ]

    @Test("Nothing that a peer sends traps: every public parser takes random octets and answers")
    func everything() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        print("fuzz seed \(seed)")
        var outcomes = Set<ZMTPError>()
        // Five parsers and more a round: 100,000 cases.
        for _ in 0..<20_000 {
            // Small values are likelier: they are flags and lengths that mean something.
            let mask: UInt8 = [0xff, 0x0f, 0x07, 0x7f][Int.random(in: 0..<4, using: &random)]
            let octets = (0..<Int.random(in: 0...48, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random) & mask
            }
            let beginning = Self.beginnings.randomElement(using: &random)!
            let cut = Int.random(in: 0...octets.count, using: &random)
            let seen = dialog(dealer, [beginning, Array(octets[..<cut]), Array(octets[cut...])])
            if let failure = seen.failure { outcomes.insert(failure) }
            #expect((seen.peer == nil) || (seen.failure == nil), "seed \(seed)")

            if let failure = stream([octets], ZMTPLimits(maximumMessageSize: 100)).failure {
                outcomes.insert(failure)
            }
            octets.withUnsafeBytes { bytes in
                if let command = try? Command(parsing: bytes) {
                    _ = try? command.errorReason(in: bytes)
                    _ = try? command.ping(in: bytes)
                    _ = try? command.pongContext()
                    _ = try? command.group(in: bytes)
                    _ = Subscription.parse(command: command)
                }
                _ = Subscription.parse(message: bytes)
                do throws(ZMTPError) { _ = try Metadata(parsing: bytes) } catch { outcomes.insert(error) }
                var decoder = V1Decoder()
                var output: [UInt8] = []
                do throws(ZMTPError) { try decoder.decode(bytes, into: &output) } catch { outcomes.insert(error) }
                #expect(output.count <= octets.count + 9 * (octets.count / 2 + 1))
            }
            _ = SocketType(name: octets)
            _ = octets.first.map { SocketType(version2Number: $0) }
        }
        // The octets did reach the rules.
        #expect(outcomes.count > 10, "\(outcomes), seed \(seed)")
    }
}
