import Proactor
import Synchronization
import ZMTP

/// From a message to the streams that it goes into. By the sending half.
extension Publisher {
    /// Publishes a message of one frame to those who are subscribed.
    /// - Returns: what became of it, and whether a loop was woken for it.
    @inline(__always)
    func publish(_ bytes: UnsafeRawBufferPointer) -> (result: SendResult, announced: Bool) {
        if list.hasNews { settle() }
        if let sole {
            guard sole.pipe.writer.pointee.hasRoom() else { return (refuseBySole(), false) }
            sole.pipe.writer.pointee.put([], bytes)
            return (.sent, sole.publish())
        }
        return publishMatching(bytes, { Message(Frame(copying: bytes)) }) { $0.writer.pointee.put([], bytes) }
    }

    /// Publishes a message; its first frame is matched.
    func publish(_ message: Message) -> (result: SendResult, announced: Bool) {
        if list.hasNews { settle() }
        return message[0].withUnsafeBytes { topic in
            publishMatching(topic, { message }) { $0.put(message, from: 0) }
        }
    }

    @inline(never)
    func refuseBySole() -> SendResult {
        let index = slots.firstIndex { !$0.members.isEmpty }!
        if waits {
            // Whom the sender will wait for.
            matched = [Int32(index)]
            slots[index].stream?.askForLook()
            return .full
        }
        refuse(index)
        return .sent
    }

    /// Who never drops at the publisher's end: one that waits for its subscribers, and those that give up something
    /// else than the newest, which wait for the loop alone.
    var waits: Bool { options.slowSubscribers != .dropNewest || options.isConflating }

    @inline(__always)
    func publishMatching(
        _ topic: UnsafeRawBufferPointer, _ message: () -> Message, _ put: (Pipe) -> Void
    ) -> (result: SendResult, announced: Bool) {
        match(topic)
        if confidant != nil { return confide(put) }
        if matched.isEmpty {
            losses.add(1, .notSubscribed)
            return (.sent, false)
        }
        if waits, isAnyFull() { return (.full, false) }
        var announced = false
        for index in matched {
            let slot = Int(index)
            guard slots[slot].writer.pointee.hasRoom() else {
                refuse(slot)
                continue
            }
            if let latest = slots[slot].pipe.latest {
                conflate(message(), latest, slots[slot].pipe)
                continue
            }
            put(slots[slot].pipe)
            if slots[slot].writer.pointee.publish(keep: slots[slot].stream != nil) {
                announced = true
                slots[slot].pipe.readerList.wake(slots[slot].pipe.announce(.data))
            }
        }
        return (.sent, announced)
    }

    /// An inproc peer of a publisher that conflates.
    @inline(never)
    func conflate(_ message: Message, _ latest: LatestMessage, _ pipe: Pipe) {
        guard latest.put(message) else { return losses.add(1, .conflated) }
        pipe.readerList.wake(pipe.announce(.data))
    }

    private func isAnyFull() -> Bool {
        var isFull = false
        for index in matched where !slots[Int(index)].writer.pointee.hasRoom() {
            slots[Int(index)].stream?.askForLook()
            isFull = true
        }
        return isFull
    }

    /// Finds the streams that a message goes to.
    @inline(__always)
    func match(_ topic: UnsafeRawBufferPointer) {
        epoch &+= 1
        matched.removeAll(keepingCapacity: true)
        trie.match(topic) { index in
            guard slots[Int(index)].epoch != epoch else { return }
            slots[Int(index)].epoch = epoch
            matched.append(index)
        }
        if options.isMatchingInverted { invert() }
    }

    func invert() {
        matched.removeAll(keepingCapacity: true)
        for index in slots.indices where slots[index].epoch != epoch && !slots[index].members.isEmpty {
            matched.append(Int32(index))
        }
    }

    /// Every subscriber of the stream is at its mark, since the loop has not even taken note of that many messages.
    func refuse(_ index: Int) {
        losses.add(slots[index].members.count, .mark)
        if let stream = slots[index].stream {
            stream.askForLook()
            stream.refused.add(1, ordering: .relaxed)
        } else {
            slots[index].members[0].account.withLock { $0.lost += 1 }
        }
    }

    /// How many peers get what begins so.
    func subscribers(to topic: UnsafeRawBufferPointer) -> Int {
        if list.hasNews { settle() }
        match(topic)
        return matched.reduce(0) { $0 + slots[Int($1)].members.count }
    }

    /// Announces that the sender waits for room.
    /// - Returns: false if there is no need to sleep.
    func prepareToWait() -> Bool {
        // Room that came since the try is no reason to sleep: nobody would wake for it.
        var isAnyFull = false
        for index in matched where !slots[Int(index)].writer.pointee.hasRoom() {
            if !slots[Int(index)].writer.pointee.waitForRoom() { return false }
            isAnyFull = true
        }
        return isAnyFull
    }

    // MARK: To one subscriber

    /// Gives the message to that subscriber only, if it is subscribed to it: it leaves its stream for one that has
    /// nothing but this message, and comes back to the same place.
    func confide(_ put: (Pipe) -> Void) -> (result: SendResult, announced: Bool) {
        let subscriber = confidant.take()!
        guard subscriber.slot >= 0, matched.contains(subscriber.slot) else {
            losses.add(1, .notSubscribed)
            return (.sent, false)
        }
        let slot = slots[Int(subscriber.slot)]
        guard let own = slot.stream, let fanout = subscriber.fanout else {
            put(slot.pipe)
            let announced = slot.writer.pointee.publish(keep: false)
            if announced { slot.pipe.readerList.wake(slot.pipe.announce(.data)) }
            return (.sent, announced)
        }
        let aside = makeStream(fanout)
        fanout.post(.move(subscriber, leave: own.leave, join: aside.join))
        put(aside.pipe)
        let announced = aside.publish()
        fanout.post(.move(subscriber, leave: aside.leave, join: own.join))
        fanout.post(.retire(aside))
        return (.sent, announced)
    }
}
