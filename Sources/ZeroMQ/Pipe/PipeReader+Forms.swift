import ZMTP

/// What leaves in another form than it lies in the chain, translated by the loop: ZMTP 1.0, and bytes without ZMTP.
extension PipeReader {
    /// The whole frames from the cursor on, in the form of ZMTP 1.0, about `limit` bytes of them but at least one.
    /// - Returns: bytes of the chain that were translated (for `advance`), and what to send.
    func translate(limit: Int) -> (bytes: Int, output: [UInt8]) {
        var output: [UInt8] = []
        var bytes = 0
        var walk = ChainWalk(segment: head, offset: offset, position: position)
        let end = position &+ ((published.position &- position) & PipeWord.positionMask)
        while output.count < limit, let frame = walk.frame(limit: end) {
            V1FrameHeader.append(
                to: &output, more: frame.header.flags.contains(.more), bodyCount: frame.header.bodyCount)
            output.append(contentsOf: frame.body)
            bytes += frame.header.headerCount + frame.header.bodyCount
        }
        return (bytes, output)
    }

    /// The bodies of the frames from the cursor on, about `limit` bytes of them but at least one. Stops before an empty
    /// frame; one that stands at the cursor is the end.
    /// - Returns: bytes of the chain that were gone over (for `advance`), and what to send.
    func bodies(limit: Int) -> (bytes: Int, output: [UInt8], isEnd: Bool) {
        var output: [UInt8] = []
        var bytes = 0
        var walk = ChainWalk(segment: head, offset: offset, position: position)
        let end = position &+ ((published.position &- position) & PipeWord.positionMask)
        while output.count < limit, let frame = walk.frame(limit: end) {
            if frame.body.isEmpty {
                return output.isEmpty ? (frame.header.headerCount, [], true) : (bytes, output, false)
            }
            output.append(contentsOf: frame.body)
            bytes += frame.header.headerCount + frame.header.bodyCount
        }
        return (bytes, output, false)
    }
}
