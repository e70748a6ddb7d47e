import Proactor

/// A send that leaves on the calling thread: who publishes into a quiet pipe owns its consuming side, and may use it
/// for one send that does not block, instead of waking the loop to do the same.
///
/// It saves the hop to the loop's thread where that is what a message costs: where the two sides take turns (REQ, REP),
/// and in a socket that was silent. Under load it would be wrong, since many small sends would leave where the loop
/// gathers one large one; so whoever publishes into a busy pipe never comes here.
extension Pipe {
    /// More than this goes by the loop.
    static var callerSendLimit: Int { 64 << 10 }

    /// Sends what the caller has just published, if the connection takes it at once.
    ///
    /// Call only after `publish` answered that the consuming side is the caller's.
    /// - Returns: false if the side is the caller's still, who must announce the pipe to the loop.
    func sendByCaller() -> Bool {
        guard let owesWake = reader.pointee.sendAtOnce() else { return false }
        if owesWake { writerList.wake(notifyWriter(.room)) }
        while reader.pointee.look() == 0 {
            // `rest` compares with the very word that was looked at, so a demand is not missed.
            if reader.pointee.isWanted { return false }
            if reader.pointee.rest() { return true }
        }
        return false
    }
}

extension PipeReader {
    /// One send that does not block, of what is published in one piece.
    /// - Returns: whether the writer must be woken; nil if nothing was sent.
    fileprivate mutating func sendAtOnce() -> Bool? {
        guard descriptor >= 0 else { return nil }
        let available = look()
        guard available > 0, available <= Pipe.callerSendLimit, let piece = piece(of: available) else { return nil }
        // An error is left to the loop, which meets it again and ends the connection.
        let sent = Descriptor.sendAtOnce(descriptor, piece)
        return sent > 0 ? advance(sent) : nil
    }
}
