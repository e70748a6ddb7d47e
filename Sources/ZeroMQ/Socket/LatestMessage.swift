import Proactor
import ZMTP

/// The one place of a conflating pipe: a message that is put there replaces the one that nobody has taken yet.
///
/// No bytes lie in such a pipe. A sender's message is encoded when the connection is free, a receiver's is made of
/// frames as they come. Who puts into an empty place announces the pipe, so that each emptying is followed by one
/// announcement at most.
final class LatestMessage: Sendable {
    private let place = Locked<Message?>(nil)

    var isEmpty: Bool { place.withLock { $0 == nil } }

    /// - Returns: whether the place was empty, so that its taker is to be told.
    func put(_ message: Message) -> Bool {
        place.withLock { place in
            defer { place = message }
            return place == nil
        }
    }

    func take() -> Message? { place.withLock { $0.take() } }
}

extension SocketCore {
    /// The place of a new pipe, for sockets that conflate.
    func makeLatest() -> LatestMessage? { options.isConflating ? LatestMessage() : nil }

    /// A sender's message into the place of a pipe.
    func conflate(_ message: Message, in latest: LatestMessage, _ pipe: Pipe) throws(ZeroMQError) {
        guard latest.put(message) else { return losses.add(1, .conflated) }
        pipe.readerList.wake(pipe.announce(.data))
        if let callerDriver { try callerDriver.afterSend(message.byteCount, .announced) }
    }
}

extension Message {
    /// The frames as they stand on the wire.
    func encoded(_ framing: PeerInfo.Framing) -> [UInt8] {
        var output: [UInt8] = []
        for index in 0..<count {
            let isLast = index == count - 1
            switch framing {
            case .v1: V1FrameHeader.append(to: &output, more: !isLast, bodyCount: self[index].count)
            case .v2: FrameHeader.append(to: &output, flags: isLast ? [] : .more, bodyCount: self[index].count)
            }
            self[index].withUnsafeBytes { output.append(contentsOf: $0) }
        }
        return output
    }

    /// The last of the whole messages that bytes begin with, without the commands between its frames.
    /// - Parameter bytes: frames that a scanner has let through, up to the end of a message.
    init?(lastOf bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return nil }
        var (start, end, at) = (0, 0, 0)
        while at < bytes.count, let header = FrameHeader.parse(base + at, available: bytes.count - at) {
            at += header.headerCount + header.bodyCount
            if header.flags.contains(.more) || header.flags.contains(.command) { continue }
            (start, end) = (end, at)
        }
        var frames: [Frame] = []
        at = start
        while at < end, let header = FrameHeader.parse(base + at, available: end - at) {
            let body = UnsafeRawBufferPointer(start: base + at + header.headerCount, count: header.bodyCount)
            if !header.flags.contains(.command) { frames.append(Frame(copying: body)) }
            at += header.headerCount + header.bodyCount
        }
        guard !frames.isEmpty else { return nil }
        self.init(frames: frames)
    }
}
