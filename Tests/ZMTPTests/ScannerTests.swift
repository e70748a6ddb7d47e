import Testing

@testable import ZMTP

/// Everything that a stream of frames means, gathered as a session gathers it.
struct Stream: Equatable {
    var messages: [[[UInt8]]] = []
    var commands: [[UInt8]] = []
    var payload = 0
    var isInsideMessage = false
    var rest = 0
    var failure: ZMTPError?
}

/// A session's side: bytes pile up behind the partial frame, runs are taken apart as an application thread does.
func stream(
    _ pieces: [[UInt8]], _ limits: ZMTPLimits, supportsCommands: Bool = true, maxMessages: Int = .max
) -> Stream {
    var scanner = MessageScanner(limits: limits, supportsCommands: supportsCommands)
    var stream = Stream()
    var held: [UInt8] = []
    var parts: [[UInt8]] = []
    var from = 0
    func takeApart(_ range: Range<Int>) {
        held.withUnsafeBytes { bytes in
            var at = range.lowerBound
            while at < range.upperBound {
                let header = FrameHeader.parse(bytes.baseAddress! + at, available: range.upperBound - at)!
                let body = at + header.headerCount
                at = body + header.bodyCount
                guard !header.flags.contains(.command) else { continue }
                parts.append(Array(bytes[body..<at]))
                guard !header.flags.contains(.more) else { continue }
                stream.messages.append(parts)
                parts = []
            }
        }
    }
    for piece in pieces where stream.failure == nil {
        held += piece
        scanning: while true {
            let outcome = held.withUnsafeBytes { bytes in
                Result { () throws(ZMTPError) in try scanner.scan(bytes, from: from, maxMessages: maxMessages) }
            }
            switch outcome {
            case .failure(let error):
                stream.failure = error
                break scanning
            case .success(let scan):
                let before = stream.messages.count
                takeApart(from..<scan.consumed)
                #expect(stream.messages.count - before == scan.messages)
                #expect((scan.messageEnd != nil) == (scan.messages > 0))
                stream.payload += scan.payload
                from = scan.consumed
                switch scan.stop {
                case .needMore(let start, let header):
                    #expect(start == scan.consumed)
                    if let header { #expect(header.bodyCount > held.count - start - header.headerCount) }
                    break scanning
                case .command(let body, let frame):
                    #expect(frame.upperBound == scan.consumed && body.upperBound == frame.upperBound)
                    stream.commands.append(Array(held[body]))
                case .limit: continue
                }
            }
        }
    }
    stream.isInsideMessage = scanner.isInsideMessage
    // What lies behind a failure has not arrived yet where the stream comes in pieces.
    stream.rest = stream.failure == nil ? held.count - from : 0
    return stream
}

/// The same rules written for clarity alone: one frame after the other, no state but a list of parts.
func reference(_ octets: [UInt8], _ limits: ZMTPLimits, supportsCommands: Bool = true) -> Stream {
    var stream = Stream()
    var parts: [[UInt8]] = []
    var between = 0
    var rest = octets[...]
    while rest.count >= 2 {
        let flags = rest.first!
        var size = UInt64(rest[rest.startIndex + 1])
        var head = 2
        func fail(_ error: ZMTPError) -> Stream {
            stream.failure = error
            stream.isInsideMessage = !parts.isEmpty
            return stream
        }
        if flags & (supportsCommands ? 0xf8 : 0xfc) != 0 { return fail(.reservedFlags) }
        if flags & 5 == 5 { return fail(.moreOnCommand) }
        if flags & 2 != 0 {
            if rest.count < 9 { break }
            head = 9
            size = rest.dropFirst().prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        }
        if size >= 1 << 63 { return fail(.frameSizeOutOfRange) }
        if flags & 4 != 0 {
            if size > max(limits.maximumCommandSize, limits.maximumSubscriptionSize + 10) {
                return fail(.commandTooLarge)
            }
            if !parts.isEmpty, between + head + Int(size) > limits.maximumBytesBetweenParts {
                return fail(.tooManyCommands)
            }
            if size > limits.maximumCommandSize {
                // Only a subscription may be; which it is the name's octets tell, as far as they are there.
                let body = Array(rest.dropFirst(head))
                let names = ["\u{9}SUBSCRIBE", "\u{6}CANCEL"].map { Array($0.utf8) }
                let fits = names.filter { $0.starts(with: body.prefix($0.count)) }
                guard fits.contains(where: { 0...limits.maximumSubscriptionSize ~= Int(size) - $0.count }) else {
                    return fail(.commandTooLarge)
                }
            }
        } else {
            if let limit = limits.maximumMessageSize, size > limit { return fail(.messageTooLarge) }
            if parts.count == limits.maximumParts { return fail(.tooManyParts) }
            let sum = parts.reduce(UInt64(0)) { $0 + UInt64($1.count) }
            if let limit = limits.maximumMessageBytes, sum + size > limit { return fail(.multipartTooLarge) }
        }
        if size > UInt64(rest.count - head) { break }
        let body = Array(rest.dropFirst(head).prefix(Int(size)))
        rest = rest.dropFirst(head + Int(size))
        if flags & 4 != 0 {
            if !parts.isEmpty { between += head + body.count }
            stream.commands.append(body)
            continue
        }
        stream.payload += body.count
        parts.append(body)
        if flags & 1 == 0 {
            stream.messages.append(parts)
            parts = []
            between = 0
        }
    }
    stream.isInsideMessage = !parts.isEmpty
    stream.rest = rest.count
    return stream
}

@Suite("Framing")
struct FramingTests {
    func feed(_ text: String, _ limits: ZMTPLimits = ZMTPLimits(), supportsCommands: Bool = true) -> Stream {
        everyCut(wire(text)) { stream($0, limits, supportsCommands: supportsCommands) }
    }

    @Test(
        "Framing: a header is written in its shortest form, and read back",
        arguments: [0, 1, 254, 255, 256, 65_536, .max])
    func headers(_ count: Int) {
        for flags in [FrameFlags(), .more, .command, [.more, .long]] {
            var room = [UInt8](repeating: 0xaa, count: 10)
            let parsed: FrameHeader? = room.withUnsafeMutableBytes { bytes in
                let written = FrameHeader.write(at: bytes.baseAddress!, flags: flags, bodyCount: count)
                #expect(written == FrameHeader.headerCount(for: count))
                #expect(bytes[written] == 0xaa)
                #expect(FrameHeader.parse(bytes.baseAddress!, available: written - 1) == nil)
                return FrameHeader.parse(bytes.baseAddress!, available: written)
            }
            #expect(parsed?.bodyCount == count)
            #expect(parsed?.headerCount == (count > 255 ? 9 : 2))
            #expect(parsed?.flags.subtracting(.long) == flags.subtracting(.long))
            #expect(parsed?.flags.contains(.long) == (count > 255))
        }
    }

    @Test("Framing: short and long sizes, a long frame of small size among them")
    func sizes() {
        let seen = feed("00 00 00 01 41 02 00 00 00 00 00 00 00 01 42 02 00 00 00 00 00 00 00 00")
        #expect(seen.messages == [[[]], [[0x41]], [[0x42]], [[]]])
        #expect(seen.payload == 2)
    }

    @Test("Framing: a message is delivered whole or not at all; cut in a multipart nothing of it is")
    func whole() {
        let seen = feed("01 01 41 01 00 00 01 42 01 01 43 01 01 44")
        #expect(seen.messages == [[[0x41], [], [0x42]]])
        #expect(seen.isInsideMessage)
        #expect(feed("00 05 41 42").rest == 4)
    }

    @Test("Framing: commands are met anywhere, also inside a multipart, and belong to no message")
    func commands() {
        let seen = feed("04 05 04 'PONG' 01 01 41 04 07 04 'PING' 00 00 00 01 42 06 00 00 00 00 00 00 00 02 01 'A'")
        #expect(seen.messages == [[[0x41], [0x42]]])
        #expect(seen.commands == [wire("04 'PONG'"), wire("04 'PING' 00 00"), wire("01 'A'")])
        #expect(seen.payload == 2)
    }

    @Test(
        "Framing: reserved bits are zero, a command has no MORE",
        arguments: [
            ("08 00", ZMTPError.reservedFlags), ("80 00", .reservedFlags), ("ff ff", .reservedFlags),
            ("05 00", .moreOnCommand), ("07 00", .moreOnCommand),
        ])
    func flags(_ text: String, _ error: ZMTPError) {
        let seen = feed("00 01 41 01 01 42 \(text)")
        #expect(seen.failure == error)
        #expect(seen.messages == [[[0x41]]], "what came before is delivered")
    }

    @Test("15/ZMTP Framing: in 2.0 there are no commands, their bit is reserved")
    func noCommands() {
        #expect(feed("04 05 04 'PING'", supportsCommands: false).failure == .reservedFlags)
        #expect(feed("01 01 41 00 01 42", supportsCommands: false).messages == [[[0x41], [0x42]]])
    }

    @Test(
        "Framing: sizes of 2^63 and more are refused from the header",
        arguments: [
            "02 80 00 00 00 00 00 00 00", "02 ff ff ff ff ff ff ff ff", "03 ff ff ff ff ff ff ff f7",
            "06 80 00 00 00 00 00 00 00",
        ])
    func outOfRange(_ text: String) { #expect(feed(text).failure == .frameSizeOutOfRange) }

    @Test("Framing: a legal huge size is waited for, nothing is allocated or added up wrongly")
    func huge() throws {
        let text = "01 01 41 02 7f ff ff ff ff ff ff ff 00"
        #expect(feed(text).failure == .multipartTooLarge)
        var scanner = MessageScanner()
        let scan = try wire("02 7f ff ff ff ff ff ff ff 00").withUnsafeBytes {
            try scanner.scan($0, from: 0)
        }
        let header = FrameHeader(flags: .long, bodyCount: .max)
        #expect(scan.stop == .needMore(frameStart: 0, header: header))
        #expect(try scanner.acceptBody(flags: .long, bodyCount: .max))
    }

    @Test(
        "Security Considerations: every limit holds exactly, and speaks from the header",
        arguments: [
            ("00 05", ZMTPError.messageTooLarge), ("01 05", .messageTooLarge),
            ("02 00 00 00 00 00 00 01 00", .messageTooLarge),
            ("01 04 41 41 41 41 01 03", .multipartTooLarge), ("01 00 01 00 01 00 01 00", .tooManyParts),
            ("04 13", .commandTooLarge), ("01 00 04 13", .commandTooLarge),
            ("04 07 04", .commandTooLarge), ("04 07 06 'CANCER'", .commandTooLarge),
            ("04 0b 06 'CANCEL'", .commandTooLarge), ("04 0e 09 'SUBSCRIBE'", .commandTooLarge),
            ("01 00 04 05 04 'PONG' 04 05 04 'PONG' 04 05 04 'PONG'", .tooManyCommands),
        ])
    func limits(_ text: String, _ error: ZMTPError) {
        var limits = ZMTPLimits()
        limits.maximumMessageSize = 4
        limits.maximumMessageBytes = 6
        limits.maximumParts = 3
        limits.maximumCommandSize = 6
        limits.maximumSubscriptionSize = 3
        limits.maximumBytesBetweenParts = 20
        #expect(feed(text, limits).failure == error)
        let fine = feed(
            "00 04 41 41 41 41 01 04 41 41 41 41 01 00 00 02 41 41 04 06 05 'READY'"
                + " 04 0a 06 'CANCEL' 41 42 43 04 0d 09 'SUBSCRIBE' 41 42 43"
                + " 01 00 04 05 04 'PONG' 04 05 04 'PONG' 04 04 03 'ABC' 00 00 01 00 04 05 04 'PONG' 00 00", limits)
        #expect(fine.failure == nil)
        #expect(fine.messages.count == 4)
    }

    @Test("Security Considerations: endless empty parts end at the default limit")
    func endlessParts() {
        let octets = (0...ZMTPLimits().maximumParts).flatMap { _ in [1, 0] as [UInt8] }
        #expect(stream([octets], ZMTPLimits()).failure == .tooManyParts)
        #expect(stream([Array(octets.dropLast(2))], ZMTPLimits()).failure == nil)
    }

    @Test("A scan ends at the number of messages asked for, and goes on from there")
    func runs() throws {
        var scanner = MessageScanner()
        let octets = wire("00 01 41 00 01 42 01 00 00 00 00 01 43")
        let first = try octets.withUnsafeBytes {
            try scanner.scan($0, from: 0, maxMessages: 2)
        }
        #expect(first.stop == .limit && first.messages == 2 && first.consumed == 6 && first.messageEnd == 6)
        let next = try octets.withUnsafeBytes {
            try scanner.scan($0, from: 6, maxMessages: 1)
        }
        #expect(next.stop == .limit && next.messages == 1 && next.consumed == 10)
        let last = try octets.withUnsafeBytes { try scanner.scan($0, from: 10) }
        #expect(last.stop == .needMore(frameStart: 13, header: nil) && last.messages == 1)
        let none = try UnsafeRawBufferPointer(start: nil, count: 0).withMemoryRebound(to: UInt8.self) {
            b throws(ZMTPError) in try scanner.scan(UnsafeRawBufferPointer(b), from: 0)
        }
        #expect(none.messages == 0 && none.messageEnd == nil)
    }

    @Test("A body received elsewhere counts as if it had been scanned")
    func bodiesElsewhere() throws {
        var limits = ZMTPLimits()
        limits.maximumMessageSize = 1000
        limits.maximumMessageBytes = 1500
        limits.maximumParts = 3
        var scanner = MessageScanner(limits: limits)
        let start = try wire("00 00 01 01 41 03 00 00 00 00 00 00 03 e8").withUnsafeBytes {
            try scanner.scan($0, from: 0)
        }
        #expect(
            start.stop == .needMore(frameStart: 5, header: FrameHeader(flags: [.more, .long], bodyCount: 1000)))
        #expect(start.messageEnd == 2)
        #expect(try !scanner.acceptBody(flags: [.more, .long], bodyCount: 1000))
        #expect(scanner.parts == 2 && scanner.partBytes == 1001)
        #expect(try !scanner.acceptBody(flags: .command, bodyCount: 3))
        #expect(throws: ZMTPError.multipartTooLarge) { _ = try scanner.acceptBody(flags: [], bodyCount: 500) }
        #expect(throws: ZMTPError.messageTooLarge) { _ = try scanner.acceptBody(flags: [], bodyCount: 1001) }
        #expect(throws: ZMTPError.frameSizeOutOfRange) { _ = try scanner.acceptBody(flags: [], bodyCount: -1) }
        #expect(try scanner.acceptBody(flags: .long, bodyCount: 499))
        #expect(!scanner.isInsideMessage && scanner.partBytes == 0)
    }

    @Test("The scanner sees what a naive decoder sees, on random streams in random pieces")
    func differential() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        for round in 0..<20_000 {
            var limits = ZMTPLimits()
            if Bool.random(using: &random) { limits.maximumMessageSize = Int.random(in: 0...300, using: &random) }
            if Bool.random(using: &random) { limits.maximumMessageBytes = Int.random(in: 0...600, using: &random) }
            limits.maximumParts = Int.random(in: 1...5, using: &random)
            limits.maximumCommandSize = Int.random(in: 0...300, using: &random)
            limits.maximumSubscriptionSize = Int.random(in: 0...300, using: &random)
            if Bool.random(using: &random) {
                limits.maximumBytesBetweenParts = Int.random(in: 0...300, using: &random)
            }
            let commands = Int.random(in: 0..<4, using: &random) > 0
            var octets: [UInt8] = []
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                let long = Int.random(in: 0..<4, using: &random) == 0
                let count = Int.random(in: 0...(long ? 320 : 12), using: &random)
                var flags: UInt8 = long ? 2 : 0
                switch Int.random(in: 0..<16, using: &random) {
                case 0...4: flags |= 1
                case 5, 6: flags |= 4
                case 7:
                    flags =
                        Int.random(in: 0..<8, using: &random) == 0
                        ? UInt8.random(in: 0...255, using: &random) : flags
                default: break
                }
                octets.append(flags)
                if flags & 2 == 0 {
                    octets.append(UInt8(truncatingIfNeeded: count))
                } else {
                    let top: UInt8 = Int.random(in: 0..<40, using: &random) == 0 ? 0x80 : 0
                    octets += [top, 0, 0, 0, 0, 0, UInt8(count >> 8), UInt8(count & 255)]
                }
                var body = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                if flags & 4 != 0, Bool.random(using: &random) {
                    let name = Bool.random(using: &random) ? "\u{9}SUBSCRIBE" : "\u{6}CANCEL"
                    body = Array((Array(name.utf8) + body).prefix(count))
                }
                octets += body
            }
            octets.removeLast(min(octets.count, Int.random(in: 0...3, using: &random)))
            var pieces: [[UInt8]] = []
            var rest = octets[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...40, using: &random))
                pieces.append(Array(piece))
                rest = rest.dropFirst(piece.count)
            }
            let want = reference(octets, limits, supportsCommands: commands)
            let maxMessages = Int.random(in: 1...3, using: &random)
            let got = stream(pieces, limits, supportsCommands: commands, maxMessages: maxMessages)
            guard got == want else {
                Issue.record("seed \(seed), round \(round): \(octets) got \(got), want \(want)")
                return
            }
        }
    }
}
