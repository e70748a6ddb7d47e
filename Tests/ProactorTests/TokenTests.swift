import Testing

@testable import Proactor

@Suite("Tokens")
struct TokenTests {
    @Test("A token gives back slot, generation and purpose", arguments: Purpose.allCases)
    func roundTrip(_ purpose: Purpose) {
        for slot: UInt32 in [0, 1, 0xFF, 0xFF_FFFF] {
            for generation: UInt32 in [0, 1, .max] {
                let token = Token(slot: slot, generation: generation, purpose: purpose)
                #expect(token.slot == slot)
                #expect(token.generation == generation)
                #expect(token.purpose == purpose)
                #expect(token.rawValue != 0, "0 means an idle direction")
            }
        }
    }

    @Test("No operation's token is one of the engine's own values")
    func internalValues() {
        for purpose in Purpose.allCases {
            #expect(Token(slot: .max, generation: .max, purpose: purpose).rawValue >> 56 < 0x80)
        }
        #expect(Ring.Internal.wake.rawValue >> 56 >= 0x80)
        #expect(Ring.Internal.ignored.rawValue >> 56 >= 0x80)
    }
}
