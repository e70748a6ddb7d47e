import Testing

@testable import ZMTP

@Suite("Commands")
struct CommandTests {
    func parse<T>(
        _ text: String, _ use: (Command, UnsafeRawBufferPointer) throws(ZMTPError) -> T
    ) throws(ZMTPError) -> T {
        try wire(text).withUnsafeBytes { bytes in
            Result { () throws(ZMTPError) in try use(Command(parsing: bytes), bytes) }
        }.get()
    }

    @Test(
        "Framing: a command is a name of letters and data; unknown ones are told as such",
        arguments: [
            ("05 'READY'", Command.Name.ready), ("05 'ERROR'", .error), ("04 'PING'", .ping), ("04 'PONG'", .pong),
            ("09 'SUBSCRIBE'", .subscribe), ("06 'CANCEL'", .cancel), ("04 'JOIN'", .join), ("05 'LEAVE'", .leave),
            ("05 'HELLO'", .other), ("04 'ping'", .other), ("01 'Z'", .other), ("08 'SUBSCRIBE'", .other),
            ("06 'CANCEX'", .other),
        ])
    func names(_ text: String, _ name: Command.Name) throws {
        let command = try parse(text + " 01 02") { command, _ in command }
        #expect(command.name == name)
        #expect(command.nameRange == 1..<1 + Int(wire(text)[0]))
        #expect(command.data == command.nameRange.upperBound..<wire(text).count + 2)
    }

    @Test(
        "Framing: no name, a name of no letters, or one that is cut off is malformed",
        arguments: [
            "", "00", "00 'PING'", "05 'PING'", "ff 'PING'", "04 'P NG'", "04 'PIN' 00", "04 'PIN5'", "01 ff",
        ])
    func malformed(_ text: String) {
        #expect(throws: ZMTPError.malformedCommand) { try parse(text) { command, _ in command } }
    }

    @Test("Connection Heartbeating: PING has two octets of time-to-live and up to 16 of context, PONG the context")
    func heartbeats() throws {
        let ping = try parse("04 'PING' 00 0a 'ab'") { command, body throws(ZMTPError) in try command.ping(in: body)
        }
        #expect(ping == (10, 7..<9))
        let last = try parse("04 'PING' ff ff '0123456789abcdef'") { command, body throws(ZMTPError) in
            try command.ping(in: body)
        }
        #expect(last.ttl == 65_535 && last.context.count == 16)
        for text in ["04 'PING'", "04 'PING' 00", "04 'PING' 00 00 '0123456789abcdefg'"] {
            #expect(throws: ZMTPError.malformedHeartbeat) {
                try parse(text) { command, body throws(ZMTPError) in try command.ping(in: body) }
            }
        }
        #expect(try parse("04 'PONG' 'ab'") { c, _ throws(ZMTPError) in try c.pongContext() } == 5..<7)
        #expect(throws: ZMTPError.malformedHeartbeat) {
            try parse("04 'PONG' '0123456789abcdefg'") { c, _ throws(ZMTPError) in try c.pongContext() }
        }
        var output: [UInt8] = []
        Command.appendPing(ttl: 10, context: "ab".utf8, to: &output)
        Command.appendPong(context: "ab".utf8, to: &output)
        #expect(output == wire("04 09 04 'PING' 00 0a 'ab' 04 07 04 'PONG' 'ab'"), "PONG as libzmq 4.3.4 answers")
    }

    @Test("The Radio-Dish Pattern: JOIN and LEAVE carry a group of up to 255 octets without zero")
    func groups() throws {
        var output: [UInt8] = []
        Command.appendJoin(group: "g".utf8, to: &output)
        Command.appendLeave(group: "g".utf8, to: &output)
        #expect(output == wire("04 06 04 'JOIN' 'g' 04 07 05 'LEAVE' 'g'"))
        let long = String(repeating: " 41", count: 255)
        #expect(try parse("04 'JOIN' \(long)") { c, b throws(ZMTPError) in try c.group(in: b) }.count == 255)
        for text in ["04 'JOIN' \(long) 41", "04 'JOIN' 41 00 41"] {
            #expect(throws: ZMTPError.malformedGroup) {
                try parse(text) { c, b throws(ZMTPError) in try c.group(in: b) }
            }
        }
    }

    @Test(
        "The Publish-Subscribe Pattern: SUBSCRIBE to 3.1, messages to older peers, both understood",
        arguments: [
            (Subscription.subscribe, ProtocolVersion.v3_1, "04 0b 09 'SUBSCRIBE' 'A'"),
            (.cancel, .v3_1, "04 08 06 'CANCEL' 'A'"), (.subscribe, .v3_0, "00 02 01 'A'"),
            (.cancel, .v3_0, "00 02 00 'A'"),
            (.subscribe, .v2_0, "00 02 01 'A'"), (.subscribe, .v1_0, "03 00 01 'A'"),
            (.cancel, .v1_0, "03 00 00 'A'"),
        ])
    func subscriptions(_ change: Subscription, _ version: ProtocolVersion, _ text: String) throws {
        var output: [UInt8] = []
        change.appendFrame(prefix: "A".utf8, for: version, to: &output)
        #expect(output == wire(text))
        let body = Array(output[2...])
        try body.withUnsafeBytes { bytes in
            let parsed =
                version == .v3_1
                ? Subscription.parse(command: try Command(parsing: bytes)) : Subscription.parse(message: bytes)
            #expect(parsed?.change == change)
            #expect(parsed?.prefix.count == 1)
        }
    }

    @Test("The Publish-Subscribe Pattern: a long prefix takes a long frame, an upstream message is no subscription")
    func subscriptionEdges() throws {
        var output: [UInt8] = []
        Subscription.subscribe.appendFrame(prefix: [UInt8](repeating: 7, count: 300), for: .v3_1, to: &output)
        #expect(output.prefix(9) == wire("06 00 00 00 00 00 00 01 36")[...])
        #expect(wire("02 'A'").withUnsafeBytes { Subscription.parse(message: $0) } == nil)
        #expect([UInt8]().withUnsafeBytes { Subscription.parse(message: $0) } == nil)
        #expect(wire("01").withUnsafeBytes { Subscription.parse(message: $0) }! == (.subscribe, 1..<1))
        #expect(Subscription.parse(command: try parse("04 'PING' 00 00") { c, _ in c }) == nil)
    }

    @Test("Error Handling: the reason of our own ERROR ends at 255 octets")
    func ownError() {
        let body = Command.errorBody(reason: String(repeating: "x", count: 300))
        #expect(body.count == 6 + 1 + 255)
        var output: [UInt8] = []
        Command.appendFrame(body: body, to: &output)
        #expect(output.prefix(9) == wire("06 00 00 00 00 00 00 01 06")[...])
    }

    @Test("Every error names its rule and has a code of libzmq's monitor")
    func errors() {
        for error in ZMTPError.allCases {
            #expect(error.description.contains("ZMTP"), "\(error)")
            #expect(error.code & 0xff00_0000 == 0x1000_0000 || error.code & 0xff00_0000 == 0x1100_0000)
        }
        #expect(Set(ZMTPError.allCases.map(\.description)).count == ZMTPError.allCases.count)
        #expect(ZMTPError.mechanismMismatch.code == 0x1100_0002)
    }
}

@Suite("Socket types")
struct SocketTypeTests {
    @Test("Connection Metadata: 19 names, each known again, in its own case only")
    func names() {
        let named: [SocketType: String] = [
            .pair: "PAIR", .pub: "PUB", .sub: "SUB", .req: "REQ", .rep: "REP", .dealer: "DEALER", .router: "ROUTER",
            .pull: "PULL", .push: "PUSH", .xpub: "XPUB", .xsub: "XSUB", .server: "SERVER", .client: "CLIENT",
            .radio: "RADIO", .dish: "DISH", .gather: "GATHER", .scatter: "SCATTER", .peer: "PEER",
            .channel: "CHANNEL",
        ]
        #expect(named.count == 19 && SocketType.allCases.count == 19)
        for type in SocketType.allCases {
            #expect(type.name == named[type])
            #expect(SocketType(name: type.name.utf8) == type)
            #expect(SocketType(name: type.name.lowercased().utf8) == nil)
            #expect(SocketType(name: "\(type.name)X".utf8) == nil)
        }
        #expect(SocketType(name: "".utf8) == nil)
    }

    @Test("Connection Metadata: the valid pairs, each in both directions, and no others")
    func pairs() {
        let valid: [SocketType: Set<SocketType>] = [
            .req: [.rep, .router], .rep: [.req, .dealer], .dealer: [.rep, .dealer, .router],
            .router: [.req, .dealer, .router], .pub: [.sub, .xsub], .xpub: [.sub, .xsub], .sub: [.pub, .xpub],
            .xsub: [.pub, .xpub], .push: [.pull], .pull: [.push], .pair: [.pair], .client: [.server],
            .server: [.client], .radio: [.dish], .dish: [.radio], .scatter: [.gather], .gather: [.scatter],
            .peer: [.peer], .channel: [.channel],
        ]
        for a in SocketType.allCases {
            for b in SocketType.allCases {
                #expect(a.isCompatible(with: b) == valid[a]!.contains(b), "\(a) \(b)")
                #expect(a.isCompatible(with: b) == b.isCompatible(with: a))
            }
        }
    }

    @Test("15/ZMTP Grammar: the numbers of the greeting")
    func numbers() {
        let order: [SocketType] = [.pair, .pub, .sub, .req, .rep, .dealer, .router, .pull, .push]
        for (number, type) in order.enumerated() {
            #expect(type.version2Number == UInt8(number))
            #expect(SocketType(version2Number: UInt8(number)) == type)
        }
        #expect(SocketType.client.version2Number == nil)
        #expect(SocketType(version2Number: 11) == nil && SocketType(version2Number: 13) == nil)
    }

    @Test("Thread-Safe Socket Types: eight types have messages of one frame")
    func singlePart() {
        let single = Set(SocketType.allCases.filter(\.isSinglePart))
        #expect(single == [.client, .server, .radio, .dish, .scatter, .gather, .peer, .channel])
    }
}
