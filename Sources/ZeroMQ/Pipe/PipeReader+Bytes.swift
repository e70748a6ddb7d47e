import Proactor

/// Sending bytes as they lie: the consuming side of a loop.
extension PipeReader {
    /// Fills a gather list from the cursor on.
    /// - Returns: elements used and bytes covered, at most `limit` of them (but always one element).
    mutating func gather(
        into list: UnsafeMutableBufferPointer<SendPart>, limit: Int
    ) -> (elements: Int, bytes: Int) {
        var available = Int((published.position &- position) & PipeWord.positionMask)
        var (elements, bytes) = (0, 0)
        var segment = head
        var start = offset
        while let piece = segment, available > 0, elements < list.count, bytes < limit {
            let following = piece.following
            let length = min(following == nil ? available : piece.pointee.end - start, available, limit - bytes)
            if length > 0 {
                list[elements] = SendPart(start: piece.pointee.base + start, count: length)
                elements += 1
                bytes += length
                available -= length
            }
            segment = following
            start = 0
        }
        return (elements, bytes)
    }

    /// The next `count` bytes, if they lie in one piece.
    func piece(of count: Int) -> UnsafeRawBufferPointer? {
        var (segment, start) = (head, offset)
        while let piece = segment, let next = piece.following, start >= piece.pointee.end {
            start -= piece.pointee.end
            segment = next
        }
        guard let piece = segment, piece.following == nil || piece.pointee.end - start >= count else { return nil }
        return UnsafeRawBufferPointer(start: piece.pointee.base + start, count: count)
    }

    /// Moves on by what the kernel has accepted, and settles the messages whose last byte went.
    /// - Returns: true if the writer must be woken.
    mutating func advance(_ bytes: Int) -> Bool {
        var left = bytes
        position &+= UInt64(bytes)
        while let piece = head {
            let following = piece.following
            let rest = (following == nil ? Int.max : piece.pointee.end) - offset
            if left < rest || following == nil {
                offset += left
                break
            }
            left -= rest
            head = following
            offset = 0
        }
        if position & PipeWord.positionMask == published.position {
            settleAll()
        } else {
            settleWhole()
        }
        guard count != creditedCount else { return false }
        return credit(count: count, position: boundaryPosition)
    }

    /// Whether the cursor stands between two messages.
    var isAtBoundary: Bool { position == boundaryPosition }

    /// Goes back to the last boundary: a half-sent message is sent again, whole, on the next connection.
    mutating func rewind() {
        head = boundary
        offset = boundaryOffset
        position = boundaryPosition
    }

    /// Everything that was published has gone: position and count are one snapshot.
    private mutating func settleAll() {
        count &+= (published.count &- count) & PipeWord.countMask
        moveBoundary(to: head, offset, position)
    }

    /// Walks the headers from the boundary to the cursor. Only after a partial send.
    private mutating func settleWhole() {
        var walk = ChainWalk(segment: boundary, offset: boundaryOffset, position: boundaryPosition)
        var whole = walk
        var messages: UInt64 = 0
        while let ends = walk.step(limit: position) {
            guard ends else { continue }
            messages &+= 1
            whole = walk
        }
        guard messages > 0 else { return }
        count &+= messages
        moveBoundary(to: whole.segment, whole.offset, whole.position)
    }

    private mutating func moveBoundary(to segment: Segment?, _ newOffset: Int, _ newPosition: UInt64) {
        while let piece = boundary, piece != segment {
            boundary = piece.following
            pool.give(piece)
        }
        boundary = segment
        boundaryOffset = newOffset
        boundaryPosition = newPosition
    }

    /// Messages whose last byte has not gone.
    mutating func unsent() -> Int {
        _ = look()
        return remaining
    }

    /// Passes over everything published, for a pipe that nobody will consume any more; its chunks but the last go back.
    /// - Returns: the messages passed over, and whether the writer must be woken.
    mutating func skip() -> (messages: Int, owesWake: Bool) {
        _ = look()
        let lost = remaining
        let owesWake = advance(Int((published.position &- position) & PipeWord.positionMask))
        return (lost, owesWake)
    }
}
