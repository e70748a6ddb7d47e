import ZMTP

/// Finds PINGs among received messages that wait at the mark. They are answered out of turn and cut out: a peer that
/// hears nothing for the time of its heartbeat takes us for dead, and a mark that is reached is no death.
///
/// The reference does not look ahead; there a receiver at its mark loses a peer that sends heartbeats.
struct Lookahead {
    /// What this goes by is not consumed: a copy runs ahead of the session's scanner.
    private var scanner: MessageScanner
    /// Bytes that have been looked at: whole frames.
    private var seen = 0
    /// Whole messages among them.
    private(set) var messages = 0

    /// - Parameter scanner: as it stands before the first byte that waits.
    init(_ scanner: MessageScanner) { self.scanner = scanner }

    /// Whether a message is not whole yet at the end of so many waiting bytes.
    func isInsideMessage(at count: Int) -> Bool { scanner.isInsideMessage || seen < count }

    /// So much of what was looked at has had its turn.
    mutating func passed(bytes: Int, messages count: Int) {
        seen -= bytes
        messages -= count
    }

    /// Looks at what has come since the last time.
    /// - Parameters:
    ///   - bytes: all that wait.
    ///   - answer: gets each command's body; true cuts the command out.
    /// - Returns: how many bytes are left; they lie at the start.
    mutating func look(
        at bytes: UnsafeMutableRawBufferPointer, answer: (UnsafeRawBufferPointer) -> Bool
    ) -> Int {
        // Each byte moves once, however many commands are cut out before it.
        var (kept, moved, at) = (seen, seen, seen)
        func keep(upTo end: Int) {
            if kept != moved {
                (bytes.baseAddress! + kept).copyMemory(from: bytes.baseAddress! + moved, byteCount: end - moved)
            }
            kept += end - moved
        }
        // A frame that breaks a rule is met again when its turn comes.
        scanning: while let scan = try? scanner.scan(UnsafeRawBufferPointer(bytes), from: at) {
            at = scan.consumed
            messages += scan.messages
            switch scan.stop {
            case .limit: continue
            case .needMore: break scanning
            case .command(let body, let frame):
                guard answer(UnsafeRawBufferPointer(rebasing: bytes[body])) else { continue }
                keep(upTo: frame.lowerBound)
                moved = frame.upperBound
            }
        }
        seen = at - (moved - kept)
        keep(upTo: bytes.count)
        return kept
    }
}
