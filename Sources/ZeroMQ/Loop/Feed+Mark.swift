import Proactor

/// What happens to a subscriber that is behind.
extension Feed {
    var lag: (messages: Int, bytes: Int) {
        if legs.count == 1 { return (legs[0].messages, legs[0].bytes) }
        return legs.reduce((0, 0)) { ($0.0 + $1.messages, $0.1 + $1.bytes) }
    }

    var isOver: Bool {
        let lag = lag
        return lag.messages > mark || lag.bytes > byteMark && lag.messages > 1
    }

    /// Messages that may come before it can be over its mark.
    var slack: Int { byteMark == PipeWord.byteBound ? max(0, mark - lag.messages) : 0 }

    /// Where the slowest stands: the earlier of a point and its own place in a log.
    func behind(_ point: StreamPoint, in log: StreamLog) -> StreamPoint {
        guard let leg = legs.first(where: { $0.log === log }), leg.count < point.count else { return point }
        return StreamPoint(position: leg.known.position, count: leg.count)
    }

    func meetMark<B: Backend & ~Copyable>(on loop: Loop<B>) {
        settleKnown()
        guard isOver else { return }
        switch core.options.isConflating ? .dropOldest : core.options.slowSubscribers {
        case .wait: break
        case .dropNewest: cut()
        case .dropOldest: skip()
        case .disconnect:
            guard let session else { return cut() }
            session.end(.peerRefused("it is behind by more than its mark"), on: loop)
        }
    }

    /// The queue ends at the mark; what comes behind is lost until it has been sent.
    func cut() {
        let open = legs[legs.count - 1]
        let before = legs.dropLast().reduce((messages: 0, bytes: 0)) {
            ($0.messages + $1.messages, $0.bytes + $1.bytes)
        }
        // What has begun is part of the queue, whatever the marks say.
        let begun = legs.count == 1 ? max(open.sent.position, flight?.position ?? 0) : open.known.position
        var place = open.known
        var count = open.count
        while place.position < open.log.tail.position {
            var next = place
            next.passMessage()
            let messages = before.messages + Int(count &+ 1 &- open.count)
            let bytes = before.bytes + Int(next.position &- open.known.position)
            guard place.position < begun || messages <= mark && (bytes <= byteMark || messages == 1) else { break }
            place = next
            count &+= 1
        }
        close(at: place, count)
        isCut = true
        gap = StreamPoint(position: place.position, count: count)
        keepBooks()
    }

    /// The oldest messages go, as many as are beyond the mark; those that have begun stay.
    func skip() {
        let begun = max(legs[0].sent.position, flight?.position ?? 0)
        var first = 0
        if begun > legs[0].known.position {
            let (place, count) = boundary(at: begun)
            if place.position < legs[0].limit.position { splitFirst(at: place, count) }
            first = 1
        }
        var lost = 0
        // The newest stays, whatever has begun.
        while isOver, first < legs.count {
            let rest = legs[first...].reduce(0) { $0 + $1.messages }
            let excess = min(max(1, lag.messages - mark), rest - 1)
            guard excess > 0 else { break }
            if legs[first].end != nil, legs[first].messages <= excess {
                lost += legs[first].messages
                dropLeg(first)
            } else {
                lost += advanceStart(first, by: excess)
            }
        }
        keepBooks(lost: lost)
        core.lose(lost, core.options.isConflating ? .conflated : .mark, endpoint: session?.text ?? "")
    }
}
