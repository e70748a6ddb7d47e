/// Reading ahead of the cursor: a loop that sends the same bytes to many.
extension PipeReader {
    /// Looks at what is published, and leaves the cursor where it is.
    mutating func lookAhead() -> StreamPoint {
        _ = look()
        return StreamPoint(
            position: position &+ ((published.position &- position) & PipeWord.positionMask),
            count: count &+ ((published.count &- count) & PipeWord.countMask))
    }

    /// Moves the cursor to a boundary. The bytes before it stay in the chain, which `StreamLog` frees.
    mutating func pass(to point: StreamPoint) {
        position = point.position
        count = point.count
    }

    /// The chain begins here from now on: what lies before is no longer the pipe's.
    mutating func keep(from segment: Segment) {
        serial = PipeWords.first(of: words).pointee.serial
        head = segment
        boundary = segment
    }
}
