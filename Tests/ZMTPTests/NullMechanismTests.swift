import Testing

@testable import ZMTP

@Suite("NULL, metadata, and what ends a handshake")
struct NullMechanismTests {
    func after(_ commands: String..., as configuration: HandshakeConfiguration = dealer) -> Dialog {
        everyCut(wire(nullGreeting) + commands.flatMap(wire)) { dialog(configuration, $0) }
    }

    @Test("The NULL Security Mechanism: READY goes out before the peer's has come; either order is accepted")
    func bothAtOnce() {
        let early = after()
        #expect(early.peer == nil)
        #expect(early.sent.count == 64 + 45)
        #expect(after(routerReady).peer?.socketType == .router)
    }

    @Test("The NULL Security Mechanism: traffic glued behind READY in the same receive stays for the scanner")
    func glued() { #expect(after(routerReady, "00 01 41 04").rest == wire("00 01 41 04")) }

    @Test("Two of ours understand each other, for every pair of types, as the table says")
    func everyPair() {
        for a in SocketType.allCases {
            for b in SocketType.allCases {
                let outcome = converse(HandshakeConfiguration(socketType: a), HandshakeConfiguration(socketType: b))
                #expect((outcome.0 == b && outcome.1 == a) == a.isCompatible(with: b), "\(a) \(b)")
            }
        }
    }

    private func converse(
        _ a: HandshakeConfiguration, _ b: HandshakeConfiguration
    ) -> (SocketType?, SocketType?) {
        var (left, right) = (Handshake(a), Handshake(b))
        var (toRight, toLeft) = (left.start(), right.start())
        while !toRight.isEmpty || !toLeft.isEmpty {
            let (forRight, forLeft) = (toRight, toLeft)
            _ = try? forRight.withUnsafeBytes { try right.ingest($0) }
            _ = try? forLeft.withUnsafeBytes { try left.ingest($0) }
            (toRight, toLeft) = (left.takeOutput(), right.takeOutput())
        }
        return (left.result?.socketType, right.result?.socketType)
    }

    @Test("Connection Metadata: an unfit socket type is told so by ERROR before the close")
    func unfit() {
        let seen = after(ready(property("Socket-Type", "'PUB'")))
        #expect(seen.failure == .incompatibleSocketTypes)
        #expect(seen.sent.suffix(28) == wire("04 1a 05 'ERROR' 13 'invalid socket type'"))
    }

    @Test("Connection Metadata: names have no case, values do")
    func names() {
        #expect(after(ready(property("sOCKET-tYPE", "'ROUTER'"))).peer?.socketType == .router)
        #expect(after(ready(property("Socket-Type", "'router'"))).failure == .unknownSocketType)
        let seen = after(ready(property("Socket-Type", "'ROUTER'") + " " + property("X-Lamp", "01 02")))
        #expect(seen.peer?.metadata["x-lamp"] == [1, 2])
        #expect(seen.peer?.metadata["X-Lump"] == nil)
    }

    @Test("Connection Metadata: Resource is tolerated, and a missing Socket-Type as well")
    func resource() {
        #expect(after(ready(property("Resource", "'a/b'"))).peer?.metadata["Resource"] == Array("a/b".utf8))
        #expect(after("04 06 05 'READY'").peer?.socketType == nil)
    }

    @Test("Connection Metadata: Identity is 0 to 255 octets, the first not zero, and ignored from other types")
    func identities() {
        let router = HandshakeConfiguration(socketType: .router)
        func from(_ type: String, _ identity: String) -> Dialog {
            after(
                ready(property("Socket-Type", "'\(type)'") + " " + property("Identity", identity)), as: router)
        }
        let long = Array(repeating: "41", count: 255).joined(separator: " ")
        #expect(from("REQ", long).peer?.identity.count == 255)
        #expect(from("REQ", long + " 41").failure == .identityTooLong)
        #expect(from("DEALER", "").peer?.identity == [])
        #expect(from("DEALER", "00 41").failure == .identityStartsWithZero)
        let pull = HandshakeConfiguration(socketType: .pull)
        let odd = ready(property("Socket-Type", "'PUSH'") + " " + property("Identity", "00 41"))
        #expect(after(odd, as: pull).peer?.identity == [])
    }

    @Test("Connection Metadata: Identity goes out from REQ, DEALER and ROUTER only, empty included")
    func ownIdentity() {
        for type in SocketType.allCases {
            var handshake = Handshake(HandshakeConfiguration(socketType: type))
            _ = handshake.start()
            _ = try? wire(nullGreeting).withUnsafeBytes { try handshake.ingest($0) }
            let text = String(decoding: handshake.takeOutput(), as: UTF8.self)
            #expect(text.contains("Identity") == [.req, .dealer, .router].contains(type))
        }
    }

    @Test(
        "The NULL Security Mechanism: a property that breaks its bounds is refused by name",
        arguments: [
            ("00 00 00 00 00", ZMTPError.invalidPropertyName), ("01 '~' 00 00 00 00", .invalidPropertyName),
            ("01", .malformedProperty), ("05 'abc'", .malformedProperty), ("01 'a' 00 00 00", .malformedProperty),
            ("01 'a' 00 00 00 01", .malformedProperty), ("01 'a' 7f ff ff ff", .malformedProperty),
            ("01 'a' 80 00 00 00", .propertyValueTooLong), ("01 'a' ff ff ff ff", .propertyValueTooLong),
            ("01 'a' 00 00 00 00 01 'A' 00 00 00 00", .duplicateProperty),
            ("08 'Identity' 00 00 00 00 08 'identity' 00 00 00 00", .duplicateProperty),
            ("0b 'Socket-Type' 00 00 00 03 'FOO'", .unknownSocketType),
            ("0b 'Socket-Type' 00 00 00 06 'STREAM'", .unknownSocketType),
        ])
    func badProperties(_ body: String, _ error: ZMTPError) {
        let seen = after(ready(body))
        #expect(seen.failure == error)
        #expect(seen.sent.count == 64 + 45, "no ERROR for a violation")
    }

    @Test("The NULL Security Mechanism: names of 255 octets and all their characters, and empty values, are fine")
    func goodProperties() {
        let name = String(repeating: "aZ09-_.+", count: 32).dropLast()
        #expect(after(ready(property(String(name), ""))).peer?.metadata[name] == [])
    }

    @Test("Security Considerations: a bomb of properties is refused by count")
    func bomb() {
        func many(_ count: Int) -> String { (0..<count).map { property("p\($0)", "") }.joined(separator: " ") }
        var limits = ZMTPLimits()
        limits.maximumPropertyCount = 8
        let small = HandshakeConfiguration(socketType: .dealer, limits: limits)
        #expect(after(ready(many(8)), as: small).peer?.metadata.properties.count == 8)
        #expect(after(ready(many(9)), as: small).failure == .tooManyProperties)
    }

    @Test(
        "The NULL Security Mechanism: no message before READY; a command has no MORE and no reserved flags",
        arguments: [
            ("00 01 41", ZMTPError.messageDuringHandshake), ("01 01 41", .messageDuringHandshake),
            ("05 01 41", .moreOnCommand), ("0c 01 41", .reservedFlags), ("84 01 41", .reservedFlags),
            ("04 00", .malformedCommand), ("04 01 00", .malformedCommand), ("04 03 05 'RE'", .malformedCommand),
            ("04 06 05 'RE4DY'", .malformedCommand), ("04 05 04 'PING'", .unexpectedCommand),
            ("04 06 05 'HELLO'", .unexpectedCommand),
        ])
    func badCommands(_ text: String, _ error: ZMTPError) { #expect(after(text).failure == error) }

    @Test(
        "Security Considerations: a command above its limit is refused from the header",
        arguments: [
            ("06 00 00 00 00 00 01 00 01", ZMTPError.commandTooLarge),
            ("06 7f ff ff ff ff ff ff ff", .commandTooLarge),
            ("06 80 00 00 00 00 00 00 00", .frameSizeOutOfRange),
            ("06 ff ff ff ff ff ff ff f7", .frameSizeOutOfRange),
            ("06 ff ff ff ff ff ff ff ff", .frameSizeOutOfRange),
        ])
    func hugeCommands(_ text: String, _ error: ZMTPError) { #expect(after(text).failure == error) }

    @Test("Framing: READY in a long frame of small size is a READY")
    func longReady() {
        #expect(after("06 00 00 00 00 00 00 00 1c", String(routerReady.dropFirst(6))).peer?.socketType == .router)
    }

    @Test(
        "Error Handling: a received ERROR is fatal, with its reason in printable characters",
        arguments: [
            ("00", ""), ("03 'why'", "why"), ("04 'a' 0a 'b' ff", "a?b?"), ("01 'ab'", "a"),
        ])
    func peerError(_ body: String, _ reason: String) {
        let seen = after("04 \(hex(6 + wire(body).count)) 05 'ERROR' \(body)")
        #expect(seen.failure == .refusedByPeer)
        #expect(seen.reason == reason)
        #expect(seen.sent.count == 64 + 45)
    }

    @Test("Error Handling: an ERROR whose length lies is malformed", arguments: ["", "01", "ff 'abc'"])
    func lyingError(_ body: String) {
        let seen = after("04 \(hex(6 + wire(body).count)) 05 'ERROR' \(body)")
        #expect(seen.failure == .malformedErrorCommand)
        let long = after("06 00 00 00 00 00 00 01 06 05 'ERROR' ff" + String(repeating: " 41", count: 255))
        #expect(long.reason?.count == 255)
    }

    @Test("After a failure every further octet meets the same error")
    func failsForEver() {
        var handshake = Handshake(dealer)
        _ = handshake.start()
        for _ in 0..<2 {
            #expect(throws: ZMTPError.emptyFrameLength) {
                _ = try [0].withUnsafeBytes { try handshake.ingest($0) }
            }
        }
        #expect(throws: ZMTPError.emptyFrameLength) { try handshake.resume() }
    }

    @Test("A mechanism with commands of its own needs nothing but the protocol")
    func otherMechanism() throws {
        let secured = HandshakeConfiguration(socketType: .dealer) { SecretMechanism() }
        let greeting = "\(signature) 03 01 'SECRET'" + String(repeating: " 00", count: 14) + " 00\(filler)"
        let hello = "04 1c 05 'HELLO' \(property("Socket-Type", "'ROUTER'"))"
        let seen = run(secured, greeting, hello, "00 01 41")
        #expect(seen.peer?.socketType == .router)
        #expect(seen.rest == wire("00 01 41"))
        #expect(seen.sent[12..<18] == Array("SECRET".utf8)[...])
        #expect(seen.sent[64..<72] == wire("04 06 05 'HELLO'")[...])
        #expect(run(secured, greeting, hello.replacing("ROUTER", with: "PUBLIC")).failure == .unknownSocketType)
    }
}
