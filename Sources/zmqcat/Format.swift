import ArgumentParser
import ZeroMQ

/// How messages stand in a stream of bytes.
enum Format: String, CaseIterable, ExpressibleByArgument {
    /// One frame a line, without its line end.
    case lines
    /// Everything up to the end of the input is one message; what is received is written as it is.
    case raw
    /// One message a line, in hexadecimal digits, with a space between frames.
    case hex
    /// Frames of four bytes of length, most significant first, and the body. The top bit says that another frame of the
    /// same message follows.
    case length
    /// One message a line, with a tab between frames and escapes for what is not printable.
    case multipart

    /// More than this is no message: the input is no such format, or a mistake.
    static let longest = 1 << 30
    static let moreBit: UInt32 = 1 << 31
    static let newline = UInt8(ascii: "\n")

    /// What of the input is wrong, for people.
    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    // MARK: Out

    /// The message as it is written.
    func text(of message: Message) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, frame) in message.enumerated() {
            let isLast = index + 1 == message.count
            switch self {
            case .lines: bytes += frame.bytes + [Self.newline]
            case .raw: bytes += frame.bytes
            case .hex:
                for byte in frame.bytes { bytes += [Self.digit(byte >> 4), Self.digit(byte & 15)] }
                bytes.append(isLast ? Self.newline : UInt8(ascii: " "))
            case .length:
                let word = UInt32(frame.count) | (isLast ? 0 : Self.moreBit)
                bytes += [UInt8(word >> 24), UInt8(word >> 16 & 255), UInt8(word >> 8 & 255), UInt8(word & 255)]
                bytes += frame.bytes
            case .multipart:
                for byte in frame.bytes { bytes += Self.escape(byte) }
                bytes.append(isLast ? Self.newline : UInt8(ascii: "\t"))
            }
        }
        return bytes
    }

    /// Printable ASCII and all that may be UTF-8 stays as it is.
    private static func escape(_ byte: UInt8) -> [UInt8] {
        switch byte {
        case UInt8(ascii: "\\"): Array("\\\\".utf8)
        case UInt8(ascii: "\t"): Array("\\t".utf8)
        case UInt8(ascii: "\n"): Array("\\n".utf8)
        case UInt8(ascii: "\r"): Array("\\r".utf8)
        case 0x20..<0x7F, 0x80...: [byte]
        default: Array("\\x".utf8) + [digit(byte >> 4), digit(byte & 15)]
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    // MARK: In

    /// The first message of the bytes.
    /// - Parameter isEnd: nothing follows these bytes.
    /// - Returns: the message and how many bytes it took; nil if it is not whole yet, or there is none.
    func message(in bytes: ArraySlice<UInt8>, isEnd: Bool) throws(Mistake) -> (Message, taken: Int)? {
        if bytes.isEmpty { return nil }
        switch self {
        case .raw: return isEnd ? (Message(Array(bytes)), bytes.count) : nil
        case .length: return try Self.prefixed(bytes, isEnd: isEnd)
        case .lines, .hex, .multipart:
            let end = bytes.firstIndex(of: Self.newline)
            guard end != nil || isEnd else { return nil }
            let line = bytes[bytes.startIndex..<(end ?? bytes.endIndex)]
            let taken = line.count + (end == nil ? 0 : 1)
            switch self {
            case .hex: return (try Self.unhex(line), taken)
            case .multipart: return (try Self.unescape(line), taken)
            default: return (Message(Array(line)), taken)
            }
        }
    }

    private static func prefixed(_ bytes: ArraySlice<UInt8>, isEnd: Bool) throws(Mistake) -> (Message, taken: Int)?
    {
        var frames: [Frame] = []
        var rest = bytes
        while true {
            guard rest.count >= 4 else { break }
            let word = rest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
            let count = Int(word & ~moreBit)
            guard count <= longest else {
                throw Mistake(description: "a frame of \(count) bytes is more than the limit of \(longest)")
            }
            guard rest.count >= 4 + count else { break }
            frames.append(Frame(Array(rest.dropFirst(4).prefix(count))))
            rest = rest.dropFirst(4 + count)
            if word & moreBit == 0 { return (Message(frames: frames), bytes.count - rest.count) }
        }
        if isEnd { throw Mistake(description: "the input ends in the middle of a message") }
        return nil
    }

    private static func unhex(_ line: ArraySlice<UInt8>) throws(Mistake) -> Message {
        var frames: [Frame] = []
        for text in line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false) {
            guard text.count % 2 == 0 else { throw Mistake(description: "an odd number of hexadecimal digits") }
            var body: [UInt8] = []
            var high: UInt8?
            for character in text {
                let value = try value(character)
                if let upper = high { body.append(upper << 4 | value) }
                high = high == nil ? value : nil
            }
            frames.append(Frame(body))
        }
        return Message(frames: frames)
    }

    private static func value(_ digit: UInt8) throws(Mistake) -> UInt8 {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return digit - UInt8(ascii: "A") + 10
        default:
            throw Mistake(description: "\(String(decoding: [digit], as: UTF8.self)) is no hexadecimal digit")
        }
    }

    private static func unescape(_ line: ArraySlice<UInt8>) throws(Mistake) -> Message {
        var frames: [Frame] = []
        for text in line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false) {
            var body: [UInt8] = []
            var rest = text
            while let byte = rest.popFirst() {
                guard byte == UInt8(ascii: "\\") else {
                    body.append(byte)
                    continue
                }
                switch rest.popFirst() {
                case UInt8(ascii: "\\"): body.append(UInt8(ascii: "\\"))
                case UInt8(ascii: "t"): body.append(UInt8(ascii: "\t"))
                case UInt8(ascii: "n"): body.append(UInt8(ascii: "\n"))
                case UInt8(ascii: "r"): body.append(UInt8(ascii: "\r"))
                case UInt8(ascii: "x"):
                    guard rest.count >= 2 else { throw Mistake(description: "\\x wants two hexadecimal digits") }
                    body.append(try value(rest.removeFirst()) << 4 | value(rest.removeFirst()))
                default: throw Mistake(description: "a backslash stands before \\, t, n, r or x only")
                }
            }
            frames.append(Frame(body))
        }
        return Message(frames: frames)
    }
}
