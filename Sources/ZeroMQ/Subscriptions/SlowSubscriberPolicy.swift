/// What a publisher does about a subscriber that is behind by its whole mark (`sendHighWaterMark`, `sendByteMark`).
/// Whatever is given up is counted under `LossReason.mark`, for the socket and by peer.
public enum SlowSubscriberPolicy: Sendable, Hashable, CaseIterable {
    /// It misses what is published until it has been sent all that it was behind. Sends never wait. The same as the
    /// reference; the default.
    case dropNewest
    /// It misses the oldest messages of its queue, as many as are beyond the mark; it always gets the newest. Sends
    /// wait for the loop, if that is behind by a whole mark itself, never for a peer.
    case dropOldest
    /// Sends wait, or are refused with `full`, until the slowest subscriber has room: nothing is lost
    /// (the reference's XPUB_NODROP).
    case wait
    /// Its connection is ended. Sends wait for the loop only, as with `dropOldest`.
    case disconnect
}
