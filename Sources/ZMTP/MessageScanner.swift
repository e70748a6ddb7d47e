/// Walks the frames of a ZMTP 2 or 3 stream, lets whole messages through, and stops where somebody must act.
///
/// The loop owns one per connection and calls it with whatever has arrived, always from a frame boundary; the
/// application thread may later trust every header that lies before `consumed`. A value of a few words: it holds
/// how much of an unfinished message has gone by, no bytes. After an error the connection is over.
///
/// Cost of a small single frame: a 16-bit load, a shift, two adds, five compares; the chain from one load to the
/// next is what takes the time.
public struct MessageScanner: Hashable, Sendable {
    /// Frames of the unfinished message that have gone by; 0 at a message boundary.
    public private(set) var parts = 0
    /// Octets in the bodies of those frames.
    public private(set) var partBytes = 0

    private let frameLimit: Int
    private let messageLimit: Int
    private let partLimit: Int
    private let commandLimit: Int
    private let subscriptionLimit: Int
    private let betweenLimit: Int
    /// The largest body of any command: `validate` knows the name.
    private let largestCommand: Int
    /// Octets of the command frames that have gone by inside the unfinished message.
    private var betweenBytes = 0
    /// Flag bits that must be zero: 3 to 7, and in ZMTP 2.0, which has no commands, 2 as well.
    private let reserved: UInt8

    /// - Parameters:
    ///   - limits: what the peer may send.
    ///   - supportsCommands: false for a peer of ZMTP 2.0 or 1.0, where the command bit is reserved.
    public init(limits: ZMTPLimits = ZMTPLimits(), supportsCommands: Bool = true) {
        frameLimit = limits.maximumMessageSize ?? .max
        messageLimit = limits.maximumMessageBytes ?? .max
        partLimit = limits.maximumParts
        commandLimit = limits.maximumCommandSize
        subscriptionLimit = limits.maximumSubscriptionSize
        betweenLimit = limits.maximumBytesBetweenParts
        // Length octet and name of a SUBSCRIBE, then the prefix.
        largestCommand = max(commandLimit, subscriptionLimit > .max - 10 ? .max : subscriptionLimit + 10)
        reserved = supportsCommands ? 0xf8 : 0xfc
    }

    /// Whether frames of an unfinished message have gone by.
    public var isInsideMessage: Bool { parts > 0 }

    /// What one call found. Offsets count from the start of the bytes that were handed in.
    public struct Scan: Hashable, Sendable {
        /// Why the walk ended, and with it what the caller does next.
        public enum Stop: Hashable, Sendable {
            /// The frame at `frameStart` is incomplete. Its header, if there, has passed all limits: a large body
            /// may be received straight into storage of its own, and is then told to `acceptBody`. (The header of a
            /// command above the limit is not there before its name is.)
            case needMore(frameStart: Int, header: FrameHeader?)
            /// A command frame, perhaps inside a multipart message. Act on it, then call again from `consumed`.
            case command(body: Range<Int>, frame: Range<Int>)
            /// Enough messages; or a frame that breaks a rule lies at `consumed`, behind good ones. Deliver, then
            /// call again from there: in the second case that call throws.
            case limit
        }

        /// The offset after the last complete frame, command frames included: where the next call starts.
        public fileprivate(set) var consumed: Int
        /// The offset after the last frame of the last whole message; nil if none ended in this call.
        public fileprivate(set) var messageEnd: Int?
        /// The messages that ended in this call.
        public fileprivate(set) var messages = 0
        /// Octets in the bodies of the message frames that this call went by.
        public fileprivate(set) var payload = 0
        /// Why the walk ended.
        public fileprivate(set) var stop: Stop
    }

    /// Walks the complete frames in `bytes[from...]`, which starts at a frame boundary.
    ///
    /// - Parameters:
    ///   - bytes: what was received.
    ///   - from: where to begin.
    ///   - maxMessages: how many whole messages are enough, at least 1.
    public mutating func scan(
        _ bytes: UnsafeRawBufferPointer, from: Int, maxMessages: Int = .max
    ) throws(ZMTPError) -> Scan {
        precondition(from >= 0 && from <= bytes.count && maxMessages > 0)
        guard let base = bytes.baseAddress else {
            return Scan(consumed: from, stop: .needMore(frameStart: from, header: nil))
        }
        let end = bytes.count
        // A small frame that is a message by itself needs no other check than this one.
        let easyLimit = min(frameLimit, messageLimit)
        var at = from
        var messages = 0
        var payload = 0
        var messageEnd: Int?
        let stop: Scan.Stop
        walk: while true {
            if parts == 0 {
                let run = Self.walkSmallFrames(base, at, end, easyLimit, atMost: maxMessages &- messages)
                if run.count > 0 {
                    messages &+= run.count
                    payload &+= run.end &- at &- 2 &* run.count
                    at = run.end
                    messageEnd = at
                }
            }
            guard messages < maxMessages else {
                stop = .limit
                break walk
            }
            guard end &- at >= 2 else {
                stop = .needMore(frameStart: at, header: nil)
                break walk
            }
            // Everything else: parts, long sizes, commands, incomplete frames, violations.
            let header: FrameHeader?
            do throws(ZMTPError) {
                header = try validate(base + at, available: end - at)
            } catch {
                // What lies before a broken frame is told first: the next call meets the frame again.
                guard at > from else { throw error }
                stop = .limit
                break walk
            }
            guard let header, header.bodyCount <= end - at - header.headerCount else {
                stop = .needMore(frameStart: at, header: header)
                break walk
            }
            let body = at + header.headerCount
            let frameEnd = body + header.bodyCount
            if header.flags.contains(.command) {
                stop = .command(body: body..<frameEnd, frame: at..<frameEnd)
                passedCommand(header)
                at = frameEnd
                break walk
            }
            at = frameEnd
            payload += header.bodyCount
            if passed(header) {
                messages += 1
                messageEnd = frameEnd
            }
        }
        return Scan(
            consumed: at, messageEnd: messageEnd, messages: messages, payload: payload, stop: stop)
    }

    /// The hot loop: frames without any flag, which are messages by themselves. It lives alone so that all it
    /// touches stays in registers.
    @inline(never)
    private static func walkSmallFrames(
        _ base: UnsafeRawPointer, _ from: Int, _ end: Int, _ limit: Int, atMost: Int
    ) -> (end: Int, count: Int) {
        var at = from
        var count = 0
        while count < atMost && end &- at >= 2 {
            // Two octets are there, so the load is inside the buffer.
            let head = UInt16(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            let size = Int(head &>> 8)
            let next = at &+ 2 &+ size
            guard head & 0xff == 0 && next <= end && size <= limit else { break }
            at = next
            count &+= 1
        }
        return (at, count)
    }

    /// Counts a frame whose body was received outside the scanned bytes, and checks its header as `scan` does: a
    /// command above the limit is a subscription, or `scan` would not have given its header.
    ///
    /// - Returns: whether the frame ended a message; a command never does.
    public mutating func acceptBody(flags: FrameFlags, bodyCount: Int) throws(ZMTPError) -> Bool {
        guard bodyCount >= 0 else { throw .frameSizeOutOfRange }
        let header = FrameHeader(flags: flags, bodyCount: bodyCount)
        try check(header)
        guard flags.contains(.command) else { return passed(header) }
        passedCommand(header)
        return false
    }

    /// The header at `p`, if it is whole; its flags are judged as soon as they are there.
    private func validate(_ p: UnsafeRawPointer, available: Int) throws(ZMTPError) -> FrameHeader? {
        guard let header = FrameHeader.parse(p, available: available) else {
            try checkFlags(FrameFlags(rawValue: p.load(as: UInt8.self)))
            return nil
        }
        try check(header)
        guard header.flags.contains(.command), header.bodyCount > commandLimit else { return header }
        let (body, count) = (p + header.headerCount, available - header.headerCount)
        let name = Self.subscriptionNames.first { name in
            Self.begins(body, count, as: name) && 0...subscriptionLimit ~= header.bodyCount - name.utf8CodeUnitCount
        }
        guard let name else { throw .commandTooLarge }
        return count >= name.utf8CodeUnitCount ? header : nil
    }

    /// The commands with a limit of their own, as their bodies begin.
    private static var subscriptionNames: [StaticString] { ["\u{9}SUBSCRIBE", "\u{6}CANCEL"] }

    /// Whether the octets, as far as they are there, are those of the name.
    private static func begins(_ body: UnsafeRawPointer, _ count: Int, as name: StaticString) -> Bool {
        UnsafeRawBufferPointer(start: body, count: min(count, name.utf8CodeUnitCount))
            .elementsEqual(UnsafeRawBufferPointer(start: name.utf8Start, count: min(count, name.utf8CodeUnitCount)))
    }

    private func checkFlags(_ flags: FrameFlags) throws(ZMTPError) {
        guard flags.rawValue & reserved == 0 else { throw .reservedFlags }
        guard !flags.isSuperset(of: [.command, .more]) else { throw .moreOnCommand }
    }

    private func check(_ header: FrameHeader) throws(ZMTPError) {
        try checkFlags(header.flags)
        // Sizes of 2^63 and more come out of the header as negative numbers.
        guard header.bodyCount >= 0 else { throw .frameSizeOutOfRange }
        if header.flags.contains(.command) {
            guard header.bodyCount <= largestCommand else { throw .commandTooLarge }
            // `betweenBytes` never exceeds the limit, so nothing overflows.
            guard parts == 0 || header.bodyCount <= betweenLimit - betweenBytes - header.headerCount else {
                throw .tooManyCommands
            }
            return
        }
        guard header.bodyCount <= frameLimit else { throw .messageTooLarge }
        guard parts < partLimit else { throw .tooManyParts }
        // `partBytes` never exceeds the limit, so nothing overflows.
        guard header.bodyCount <= messageLimit - partBytes else { throw .multipartTooLarge }
    }

    /// Adds a checked message frame to the current message; true if it was the last.
    private mutating func passed(_ header: FrameHeader) -> Bool {
        guard header.flags.contains(.more) else {
            parts = 0
            partBytes = 0
            betweenBytes = 0
            return true
        }
        parts += 1
        partBytes += header.bodyCount
        return false
    }

    /// Counts a checked command frame, if it stands inside a message.
    private mutating func passedCommand(_ header: FrameHeader) {
        if parts > 0 { betweenBytes += header.headerCount + header.bodyCount }
    }
}
