import Proactor
import ZMTP

/// A place in a stream's chain of chunks. It goes on to the next chunk only when it has to: what lies behind a part of
/// a log that somebody holds may be gone.
struct LogPlace {
    private(set) var segment: Segment
    private(set) var offset = 0
    private(set) var position: UInt64

    init(segment: Segment, position: UInt64) {
        self.segment = segment
        self.position = position
    }

    /// Goes on by bytes that are there.
    mutating func move(_ bytes: Int) {
        position &+= UInt64(bytes)
        var left = bytes
        while left > 0 {
            let rest = rest
            if left <= rest {
                offset += left
                return
            }
            left -= rest
            segment = segment.following.unsafelyUnwrapped
            offset = 0
        }
    }

    /// Bytes from here to the chunk's end; all there will ever be in the last chunk.
    private var rest: Int { segment.following == nil ? .max : segment.pointee.end - offset }

    /// Goes over one frame, which is there as a whole.
    /// - Returns: the frame's header, and its body, which may be a segment of its own.
    mutating func frame() -> (header: FrameHeader, body: UnsafeRawBufferPointer) {
        while rest == 0 {
            segment = segment.following.unsafelyUnwrapped
            offset = 0
        }
        let start = segment.pointee.base + offset
        let header = FrameHeader.parse(start, available: .max).unsafelyUnwrapped
        var body = UnsafeRawBufferPointer(start: start + header.headerCount, count: header.bodyCount)
        if header.bodyCount > 0, header.headerCount == rest, let extent = segment.following {
            body = UnsafeRawBufferPointer(start: extent.pointee.base, count: header.bodyCount)
        }
        move(header.headerCount + header.bodyCount)
        return (header, body)
    }

    /// Goes over one message, which is there as a whole.
    mutating func passMessage() {
        while frame().header.flags.contains(.more) {}
    }

    /// Lists what lies between here and `end`, as far as the list has room.
    /// - Returns: elements used, and bytes covered.
    func gather(
        into list: UnsafeMutableBufferPointer<SendPart>, to end: UInt64
    ) -> (elements: Int, bytes: Int) {
        var place = self
        var elements = 0
        while elements < list.count, place.position < end {
            let piece = place.takePiece(to: end)
            list[elements] = SendPart(
                start: UnsafeMutableRawPointer(mutating: piece.baseAddress), count: piece.count)
            elements += 1
        }
        return (elements, Int(place.position &- position))
    }

    /// The bytes up to `end` that lie in one piece, and goes on behind them.
    mutating func takePiece(to end: UInt64) -> UnsafeRawBufferPointer {
        while rest == 0 {
            segment = segment.following.unsafelyUnwrapped
            offset = 0
        }
        let count = min(rest, Int(end &- position))
        let piece = UnsafeRawBufferPointer(start: segment.pointee.base + offset, count: count)
        offset += count
        position &+= UInt64(count)
        return piece
    }
}
