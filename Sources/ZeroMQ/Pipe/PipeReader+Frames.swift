import ZMTP

/// A frame where it lies in the chain: valid until the next one is taken.
struct LentFrame {
    let flags: FrameFlags
    let body: UnsafeRawBufferPointer
    /// Keeps the body alive beyond the take, where it has storage of its own.
    let owner: Unmanaged<SharedBytes>?

    var hasMore: Bool { flags.contains(.more) }
}

/// Taking frames: the consuming side of an application.
extension PipeReader {
    /// Takes the next frame of a message; commands are skipped. Call only while `remaining` is not 0, to each
    /// message's end.
    @inline(__always)
    mutating func next() -> LentFrame {
        while true {
            let current = head.unsafelyUnwrapped
            // `end` is final once the writer has gone on.
            if let next = current.following, offset >= current.pointee.end {
                advanceSegment(to: next)
                continue
            }
            let start = current.pointee.base + offset
            let header = FrameHeader.parse(start, available: .max).unsafelyUnwrapped
            let total = header.headerCount + header.bodyCount
            position &+= UInt64(truncatingIfNeeded: total)
            if header.bodyCount >= PipeWriter.extentThreshold,
                let frame = takeExtent(header)
            {
                return frame
            }
            offset += total
            if header.flags.contains(.command) { continue }
            return LentFrame(
                flags: header.flags,
                body: UnsafeRawBufferPointer(start: start + header.headerCount, count: header.bodyCount), owner: nil
            )
        }
    }

    /// A walk over what comes next, which leaves it where it is. Call only while `remaining` is not 0, and go no
    /// further than the next message's end.
    var ahead: ChainWalk { ChainWalk(segment: head, offset: offset, position: position) }

    /// The body of the next message's first frame, which stays where it is. Call only while `remaining` is not 0.
    func peek() -> UnsafeRawBufferPointer {
        var walk = ahead
        return walk.nextFrame().body
    }

    /// Settles one message after its last frame was taken.
    /// - Returns: true if a lot of credit is due (`credit`).
    @inline(__always)
    mutating func finish() -> Bool {
        count &+= 1
        return count &- creditedCount >= quantum
    }

    /// A body that follows its header as a segment of its own.
    @inline(never)
    private mutating func takeExtent(_ header: FrameHeader) -> LentFrame? {
        guard let current = head, let next = current.following,
            offset + header.headerCount == current.pointee.end, let owner = next.pointee.owner
        else { return nil }
        advanceSegment(to: next)
        offset = header.bodyCount
        return LentFrame(
            flags: header.flags, body: UnsafeRawBufferPointer(start: next.pointee.base, count: header.bodyCount),
            owner: Unmanaged.passUnretained(owner))
    }

    private mutating func advanceSegment(to next: Segment) {
        if let head { pool.give(head) }
        head = next
        offset = 0
        boundary = next
        boundaryOffset = 0
    }
}
