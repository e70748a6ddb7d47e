/// The legs of a subscriber's queue, and which chunks they need: an open leg counts as a cursor where it stands, one with
/// an end holds each of its chunks.
extension Feed {
    /// Follows the end of a log from where it is.
    func open(_ log: StreamLog) {
        log.tail.segment.marks.pointee.cursors += 1
        legs.append(Leg(log: log, sent: log.tail, known: log.tail, count: log.tailCount))
    }

    /// Gives the last leg, which is open, an end.
    func close(at place: LogPlace, _ count: UInt64) {
        let last = legs.count - 1
        let leg = legs[last]
        leg.known.segment.marks.pointee.cursors -= 1
        if leg.known.position == place.position {
            legs.removeLast()
        } else {
            legs[last].end = StreamPoint(position: place.position, count: count)
            legs[last].endSegment = place.segment
            hold(from: leg.known.segment, to: place.segment)
            leg.log.addHolder(self)
        }
        leg.log.release()
    }

    func finishFirstLeg() {
        let leg = legs[0]
        let messages = leg.messages
        legs.removeFirst()
        letGo(leg.log, from: leg.known.segment, to: leg.endSegment!, included: true)
        leg.log.removeHolder(self)
        keepBooks(sent: messages)
    }

    func hold(from first: Segment, to last: Segment) {
        var segment = first
        while true {
            segment.marks.pointee.holds += 1
            if segment == last { return }
            segment = segment.following.unsafelyUnwrapped
        }
    }

    func letGo(_ log: StreamLog, from first: Segment, to last: Segment, included: Bool) {
        var segment = first
        while segment != last {
            let next = segment.following.unsafelyUnwrapped
            log.letGo(of: segment)
            segment = next
        }
        if included { log.letGo(of: last) }
    }

    /// Makes two legs of the first one.
    func splitFirst(at place: LogPlace, _ count: UInt64) {
        let whole = legs[0]
        var rest = whole
        (rest.sent, rest.known, rest.count) = (place, place, count)
        legs.insert(rest, at: 1)
        if whole.end != nil {
            hold(from: place.segment, to: whole.endSegment!)
            var next = place.segment
            while next != whole.endSegment! {
                next = next.following.unsafelyUnwrapped
                whole.log.letGo(of: next)
            }
        } else {
            place.segment.marks.pointee.cursors += 1
            whole.known.segment.marks.pointee.cursors -= 1
            hold(from: whole.known.segment, to: place.segment)
        }
        whole.log.addHolder(self)
        legs[0].end = StreamPoint(position: place.position, count: count)
        legs[0].endSegment = place.segment
        whole.log.release()
    }

    func dropLeg(_ index: Int) {
        let leg = legs.remove(at: index)
        letGo(leg.log, from: leg.known.segment, to: leg.endSegment!, included: true)
        leg.log.removeHolder(self)
    }

    /// Moves a leg's start, which has not been sent from.
    func advanceStart(_ index: Int, by messages: Int) -> Int {
        let leg = legs[index]
        var place = leg.known
        var count = 0
        while count < messages, place.position < leg.limit.position {
            place.passMessage()
            count += 1
        }
        legs[index].known = place
        legs[index].sent = place
        legs[index].count &+= UInt64(count)
        guard leg.known.segment != place.segment else { return count }
        if leg.end == nil {
            leg.known.segment.marks.pointee.cursors -= 1
            place.segment.marks.pointee.cursors += 1
            leg.log.release()
        } else {
            letGo(leg.log, from: leg.known.segment, to: place.segment, included: false)
        }
        return count
    }
}
