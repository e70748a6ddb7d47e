import ZMTP

/// Walks frame headers along a chain.
struct ChainWalk {
    private(set) var segment: Segment?
    private(set) var offset: Int
    private(set) var position: UInt64

    init(segment: Segment?, offset: Int, position: UInt64) {
        self.segment = segment
        self.offset = offset
        self.position = position
    }

    /// Goes over one frame, if it ends at or before `limit`.
    /// - Returns: whether the frame ended a message; nil if the frame is not whole.
    mutating func step(limit: UInt64) -> Bool? {
        settle()
        let left = Int(limit &- position)
        guard let piece = segment, left >= 2,
            let header = FrameHeader.parse(piece.pointee.base + offset, available: left)
        else { return nil }
        let total = header.headerCount + header.bodyCount
        guard total <= left else { return nil }
        offset += total
        position &+= UInt64(total)
        settle()
        return !header.flags.contains(.more) && !header.flags.contains(.command)
    }

    /// Turns an offset beyond a segment's end into one within a later segment.
    private mutating func settle() {
        while let piece = segment, let next = piece.following, offset >= piece.pointee.end {
            offset -= piece.pointee.end
            segment = next
        }
    }
}

extension ChainWalk {
    /// Goes over one frame and shows it; its body may be a segment of its own.
    mutating func frame(limit: UInt64) -> (header: FrameHeader, body: UnsafeRawBufferPointer)? {
        let before = self
        guard step(limit: limit) != nil, let piece = before.settled.segment else { return nil }
        let start = piece.pointee.base + before.settled.offset
        guard let header = FrameHeader.parse(start, available: .max) else { return nil }
        if let next = piece.following, before.settled.offset + header.headerCount == piece.pointee.end,
            header.bodyCount > 0
        {
            return (header, UnsafeRawBufferPointer(start: next.pointee.base, count: header.bodyCount))
        }
        return (header, UnsafeRawBufferPointer(start: start + header.headerCount, count: header.bodyCount))
    }

    /// Goes over one frame that is known to be there; commands are skipped.
    mutating func nextFrame() -> (hasMore: Bool, body: UnsafeRawBufferPointer) {
        while true {
            let (header, body) = frame(limit: position &+ UInt64(Int.max)).unsafelyUnwrapped
            if !header.flags.contains(.command) { return (header.flags.contains(.more), body) }
        }
    }

    private var settled: ChainWalk {
        var copy = self
        copy.settle()
        return copy
    }
}
