import Testing

@testable import ZMTP

/// All that can be seen of a handshake from outside.
struct Dialog: Equatable {
    var sent: [UInt8] = []
    var rest: [UInt8] = []
    var peer: PeerInfo?
    var failure: ZMTPError?
    var reason: String?
}

/// Feeds pieces as a session does; what is not taken is traffic.
func dialog(_ configuration: HandshakeConfiguration, _ pieces: [[UInt8]]) -> Dialog {
    var handshake = Handshake(configuration)
    var dialog = Dialog(sent: handshake.start())
    for piece in pieces where dialog.failure == nil {
        let outcome = piece.withUnsafeBytes { bytes in
            Result { () throws(ZMTPError) in try handshake.ingest(bytes) }
        }
        dialog.sent += handshake.takeOutput()
        switch outcome {
        case .success(let used): dialog.rest += piece[used...]
        case .failure(let error): dialog.failure = error
        }
    }
    dialog.peer = handshake.result
    dialog.reason = handshake.peerReason
    return dialog
}

func run(_ configuration: HandshakeConfiguration, _ text: String...) -> Dialog {
    everyCut(text.flatMap(wire)) { dialog(configuration, $0) }
}

let signature = "ff 00 00 00 00 00 00 00 01 7f"
let nullName = "4e 55 4c 4c 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
let filler = String(repeating: " 00", count: 31)
let nullGreeting = "\(signature) 03 01 \(nullName) 00\(filler)"
let routerReady = "04 1c 05 'READY' 0b 'Socket-Type' 00 00 00 06 'ROUTER'"

func ready(_ body: String) -> String {
    let count = wire(body).count + 6
    let header = count < 256 ? "04 " + hex(count) : "06 00 00 00 00 00 00 \(hex(count >> 8)) \(hex(count & 255))"
    return "\(header) 05 'READY' \(body)"
}

func hex(_ value: Int) -> String { (value < 16 ? "0" : "") + String(value, radix: 16) }

func property(_ name: String, _ value: String) -> String {
    "\(hex(name.utf8.count)) '\(name)' 00 00 \(hex(wire(value).count >> 8)) \(hex(wire(value).count & 255)) \(value)"
}

let dealer = HandshakeConfiguration(socketType: .dealer, identity: Array("ab".utf8))

@Suite("Greeting and version negotiation")
struct GreetingTests {
    @Test(
        "Formal Grammar: a greeting has signature, version, mechanism, as-server, filler, as libzmq 4.3.4 sends it")
    func captured31() {
        let seen = run(dealer, nullGreeting, routerReady)
        #expect(
            seen.sent
                == wire("ff 00 00 00 00 00 00 00 03 7f 03 01 \(nullName) 00\(filler)")
                + wire("04 2b 05 'READY' 0b 'Socket-Type' 00 00 00 06 'DEALER' 08 'Identity' 00 00 00 02 'ab'"))
        #expect(seen.peer?.version == .v3_1)
        #expect(seen.peer?.socketType == .router)
        #expect(seen.peer?.supportsHeartbeats == true)
        #expect(seen.rest.isEmpty)
    }

    @Test("Version Negotiation: the signature goes out first, the rest as the peer shows its version")
    func stages() throws {
        var handshake = Handshake(dealer)
        func say(_ text: String) throws -> [UInt8] {
            let used = try wire(text).withUnsafeBytes { try handshake.ingest($0) }
            #expect(used == wire(text).count)
            return handshake.takeOutput()
        }
        #expect(handshake.start() == wire("ff 00 00 00 00 00 00 00 03 7f"))
        #expect(try say("ff 00 00 00 00 00 00 00 01").isEmpty)
        #expect(try say("7f") == [3])
        #expect(try say("03") == wire("01 \(nullName) 00\(filler)"))
        #expect(try say("01 \(nullName) 00\(filler)").prefix(2) == [4, 0x2b])
    }

    @Test("Version Negotiation: padding has no meaning")
    func padding() {
        let seen = run(dealer, "ff 'paddings' 7f 03 01 \(nullName) 00\(filler)", routerReady)
        #expect(seen.peer?.version == .v3_1)
    }

    @Test(
        "Version Negotiation: every later version is accepted and spoken to as 3.1",
        arguments: [("03 02", ProtocolVersion.v3_1), ("04 00", .v3_1), ("ff ff", .v3_1), ("03 00", .v3_0)])
    func later(_ octets: String, _ version: ProtocolVersion) {
        let seen = run(dealer, "\(signature) \(octets) \(nullName) 00\(filler)", routerReady)
        #expect(seen.peer?.version == version)
    }

    @Test("Version Negotiation: a whole greeting is answered by a whole one, even if the mechanism does not fit")
    func mismatch() {
        for name in ["'PLAIN'" + String(repeating: " 00", count: 15), "'ABCDEFGHIJKLMNOPQRST'"] {
            let seen = run(dealer, "\(signature) 03 01 \(name) 00\(filler)")
            #expect(seen.failure == .mechanismMismatch)
            #expect(seen.sent.count == 64)
        }
        let longer = run(
            dealer, "\(signature) 03 01 'NULL' 41" + String(repeating: " 00", count: 15) + " 00\(filler)")
        #expect(longer.failure == .mechanismMismatch)
    }

    @Test("Topology: the as-server octet of a NULL peer is not judged, as in libzmq")
    func asServer() {
        #expect(run(dealer, "\(signature) 03 01 \(nullName) 01\(filler)", routerReady).peer != nil)
    }

    @Test(
        "Backwards Interoperability: a dialog with 2.0, octet by octet as libzmq 4.3.4 holds it",
        arguments: ["01", "02"])
    func captured20(_ revision: String) {
        let seen = run(dealer, "\(signature) \(revision) 06", "00 02 'xy'", "00 01 41")
        #expect(seen.sent == wire("ff 00 00 00 00 00 00 00 03 7f 03 05 00 02 'ab'"))
        #expect(seen.peer?.version == .v2_0)
        #expect(seen.peer?.socketType == .router)
        #expect(seen.peer?.identity == Array("xy".utf8))
        #expect(seen.peer?.supportsCommands == false)
        #expect(seen.rest == wire("00 01 41"))
    }

    @Test("15/ZMTP Grammar: XPUB and XSUB appear as PUB and SUB, and are understood as 9 and 10")
    func numbers() {
        let seen = run(HandshakeConfiguration(socketType: .xsub), "\(signature) 01 09 00 00")
        #expect(seen.sent.suffix(4) == wire("03 02 00 00"))
        #expect(seen.peer?.socketType == .xpub)
    }

    @Test("Backwards Interoperability: a dialog with 1.0, octet by octet as libzmq 4.3.4 holds it")
    func captured10() {
        let seen = run(dealer, "01 00", "02 00 41")
        #expect(seen.sent == wire("ff 00 00 00 00 00 00 00 03 7f 'ab'"))
        #expect(seen.peer?.version == .v1_0)
        #expect(seen.peer?.framing == .v1)
        #expect(seen.peer?.socketType == nil)
        #expect(seen.peer?.identity == [])
        #expect(seen.peer?.subscribesToEverything == true)
        #expect(seen.rest == wire("02 00 41"))
    }

    @Test("Backwards Interoperability: FF with an even tenth octet is a 1.0 peer's long identity frame")
    func long10() {
        let seen = run(dealer, "ff 00 00 00 00 00 00 00 03 00 'xy'", "02 00 41")
        #expect(seen.peer?.version == .v1_0)
        #expect(seen.peer?.identity == Array("xy".utf8))
        #expect(seen.rest == wire("02 00 41"))
    }

    @Test("13/ZMTP Connection Identity: the flags of an identity frame are not validated")
    func identityFlags10() { #expect(run(dealer, "03 ff 'xy'").peer?.identity == Array("xy".utf8)) }

    @Test("Revision 0 has the signature of 2.0 and the frames of 1.0, as libzmq 4.3.4 treats it")
    func revision0() {
        let seen = run(dealer, "\(signature) 00 06 01 00", "02 00 41")
        #expect(seen.sent == wire("ff 00 00 00 00 00 00 00 03 7f 03 05 03 00 'ab'"))
        #expect(seen.peer?.version == .v1_0)
        #expect(seen.peer?.socketType == .router)
        #expect(seen.rest == wire("02 00 41"))
    }

    @Test(
        "Backwards Interoperability: under another mechanism than NULL, 1.0 and 2.0 peers are refused at once",
        arguments: ["01 00", "ff 00 00 00 00 00 00 00 03 00", "\(signature) 01", "\(signature) 00"])
    func downgrade(_ text: String) {
        let secured = HandshakeConfiguration(socketType: .dealer, asServer: true) { SecretMechanism() }
        #expect(run(secured, text).failure == .downgradeRefused)
        #expect(
            run(HandshakeConfiguration(socketType: .dealer, acceptsOldVersions: false), text).failure
                == .downgradeRefused)
        #expect(run(HandshakeConfiguration(socketType: .client), text).failure == .socketTypeTooNew)
    }

    @Test(
        "Old identity frames that break their grammar are refused",
        arguments: [
            ("00", ZMTPError.emptyFrameLength), ("ff 00 00 00 00 00 00 00 00 00", .emptyFrameLength),
            ("ff 00 00 00 00 00 00 01 01 00", .identityTooLong),
            ("ff ff ff ff ff ff ff ff ff 00", .identityTooLong),
            ("03 00 00 41", .identityStartsWithZero),
            ("\(signature) 01 06 01 00", .malformedIdentityFrame),
            ("\(signature) 01 06 04 00", .malformedIdentityFrame),
            ("\(signature) 01 06 02 00 00 00 00 00 00 01 00", .identityTooLong),
            ("\(signature) 01 06 00 01 00", .identityStartsWithZero),
            ("\(signature) 01 0b", .unknownSocketType), ("\(signature) 01 08", .incompatibleSocketTypes),
        ])
    func oldIdentity(_ text: String, _ error: ZMTPError) { #expect(run(dealer, text).failure == error) }

    @Test("15/ZMTP Framing: a long header with a small size is an identity as well")
    func longIdentity20() {
        #expect(run(dealer, "\(signature) 01 06 02 00 00 00 00 00 00 00 01 41").peer?.identity == [0x41])
    }

    @Test(
        "A stranger's protocol never traps, and never gets a word of the secured kind",
        arguments: [
            "'GET / HTTP/1.1' 0d 0a 0d 0a", "16 03 01 02 00 01 00 01 fc 03 03", "'SSH-2.0-OpenSSH_9.6' 0d 0a",
            "'help' 0d 0a", "00", "0d 0a 0d 0a",
        ])
    func strangers(_ text: String) {
        #expect(run(dealer, text).peer?.version != .v3_1)
        let secured = HandshakeConfiguration(socketType: .dealer) { SecretMechanism() }
        #expect(run(secured, text).failure == .downgradeRefused)
    }
}

/// HELLO, then READY with metadata: two commands, sealed frames, and a wait in between.
struct SecretMechanism: Mechanism {
    var step = 0
    var name: MechanismName { MechanismName("SECRET") }
    var isDone: Bool { step == 3 }

    mutating func nextCommand(metadata: [UInt8]) -> [UInt8]? {
        switch step {
        case 0:
            step = 1
            return Command.body(name: "HELLO", data: [])
        case 2:
            step = 3
            return Command.body(name: "READY", data: metadata)
        default: return nil
        }
    }

    mutating func ingest(_ command: Command, body: UnsafeRawBufferPointer) throws(ZMTPError) -> [UInt8]? {
        guard step == 1, command.name == .other else { throw .unexpectedCommand }
        step = 2
        return Array(body[command.data])
    }

    func farewell(for error: ZMTPError) -> [UInt8]? { nil }
    func makeSealer() -> (any FrameSealer)? { Inverter() }
}

struct Inverter: FrameSealer {
    mutating func seal(flags: FrameFlags, body: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        FrameHeader.append(to: &output, flags: flags, bodyCount: body.count)
        output += body.map { ~$0 }
    }
    mutating func open(_ body: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(ZMTPError) {
        output += body.map { ~$0 }
    }
}
