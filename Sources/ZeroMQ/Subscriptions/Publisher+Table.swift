import Synchronization
import ZMTP

/// Which peer belongs to which stream. A peer alone in its stream changes the stream's set; otherwise it moves to the
/// stream of its new set, at a place between two messages.
extension Publisher {
    /// Changes a peer's set.
    /// - Parameter pending: nil if the peer is gone.
    func change(_ subscriber: Subscriber, _ pending: [Frame: Bool]?) {
        let isGone = pending == nil
        let changes = (pending ?? [:]).filter { subscriber.prefixes.contains($0.key) != $0.value }
        let hasSlot = subscriber.slot >= 0
        guard isGone || !changes.isEmpty || keepsEmpty && !hasSlot else { return }
        if isGone {
            if hasSlot { leave(subscriber) }
            subscriber.prefixes = []
            return
        }
        if hasSlot, slots[Int(subscriber.slot)].members.count == 1 {
            // Alone: the stream stays, and so does its order; unless another one has the very set already.
            var key = slots[Int(subscriber.slot)].key
            for prefix in changes.keys { key?.toggle(prefix) }
            var set = subscriber.prefixes
            // The stream's own set is the subscriber's: while there is one owner, changing it copies nothing.
            subscriber.prefixes = []
            Self.apply(changes, to: &set)
            if set.isEmpty && !keepsEmpty || key.map({ find($0, set) != nil }) ?? false {
                Self.revert(changes, in: &set)
                subscriber.prefixes = set
            } else {
                subscriber.prefixes = set
                return changeAlone(subscriber, changes, key)
            }
        }
        move(subscriber, changes)
    }

    static func apply(_ changes: [Frame: Bool], to set: inout Set<Frame>) {
        for (prefix, isOn) in changes {
            if isOn { set.insert(prefix) } else { set.remove(prefix) }
        }
    }

    static func revert(_ changes: [Frame: Bool], in set: inout Set<Frame>) {
        for (prefix, isOn) in changes {
            if isOn { set.remove(prefix) } else { set.insert(prefix) }
        }
    }

    func changeAlone(_ subscriber: Subscriber, _ changes: [Frame: Bool], _ key: SetKey?) {
        let index = subscriber.slot
        for (prefix, isOn) in changes {
            prefix.withUnsafeBytes { bytes in
                if isOn { trie.insert(bytes, index) } else { trie.remove(bytes, index) }
            }
        }
        guard let key, let old = slots[Int(index)].key else { return }
        unlist(index, old)
        sets[key, default: []].append(index)
        slots[Int(index)].key = key
    }

    /// Moves a peer to the stream of its new set, at this point between two messages.
    func move(_ subscriber: Subscriber, _ changes: [Frame: Bool]) {
        var key = SetKey(fanout: subscriber.fanout?.id ?? 0)
        var leave: StreamOrder.Leave?
        var set = subscriber.prefixes
        if subscriber.slot >= 0 {
            let slot = slots[Int(subscriber.slot)]
            key = slot.key ?? key
            if let stream = slot.stream { leave = stream.leave }
            self.leave(subscriber, tells: false)
        }
        for prefix in changes.keys { key.toggle(prefix) }
        Self.apply(changes, to: &set)
        subscriber.prefixes = set
        guard !set.isEmpty || keepsEmpty else {
            if let leave { subscriber.fanout?.post(.move(subscriber, leave: leave, join: nil)) }
            return retireEmpty()
        }
        let index = find(key, set) ?? makeSlot(key, subscriber)
        subscriber.slot = index
        subscriber.memberIndex = slots[Int(index)].members.count
        slots[Int(index)].members.append(subscriber)
        if let stream = slots[Int(index)].stream {
            subscriber.fanout?.post(.move(subscriber, leave: leave, join: stream.join))
        }
        retireEmpty()
    }

    func retireEmpty() {
        for (stream, fanout) in emptied { fanout.post(.retire(stream)) }
        emptied.removeAll(keepingCapacity: true)
    }

    func leave(_ subscriber: Subscriber, tells: Bool = true) {
        let index = subscriber.slot
        let at = Int(index)
        subscriber.slot = -1
        let last = slots[at].members.count - 1
        slots[at].members.swapAt(subscriber.memberIndex, last)
        slots[at].members[subscriber.memberIndex].memberIndex = subscriber.memberIndex
        slots[at].members.removeLast()
        guard last == 0 else { return }
        for prefix in subscriber.prefixes { prefix.withUnsafeBytes { _ = trie.remove($0, index) } }
        if let key = slots[at].key { unlist(index, key) }
        if let stream = slots[at].stream, let fanout = subscriber.fanout { emptied.append((stream, fanout)) }
        if slots[at].stream == nil { slots[at].writer.pointee.letGo() }
        freeSlots.append(index)
        if tells { retireEmpty() }
    }

    func find(_ key: SetKey, _ set: Set<Frame>) -> Int32? {
        guard key.fanout != 0 else { return nil }
        return sets[key]?.first { slots[Int($0)].members[0].prefixes == set }
    }

    func unlist(_ index: Int32, _ key: SetKey) {
        sets[key]?.removeAll { $0 == index }
        if sets[key]?.isEmpty == true { sets[key] = nil }
    }

    /// A stream, or the pipe of an inproc peer, with the subscriber's set.
    func makeSlot(_ key: SetKey, _ subscriber: Subscriber) -> Int32 {
        var slot: Slot
        if let pipe = subscriber.pipe {
            slot = Slot(stream: nil, pipe: pipe, writer: pipe.writer, key: nil)
        } else {
            let stream = makeStream(subscriber.fanout!)
            slot = Slot(stream: stream, pipe: stream.pipe, writer: stream.pipe.writer, key: key)
        }
        slot.epoch = epoch
        let index = freeSlots.popLast() ?? Int32(slots.count)
        if Int(index) == slots.count { slots.append(slot) } else { slots[Int(index)] = slot }
        if slot.stream != nil { sets[key, default: []].append(index) }
        for prefix in subscriber.prefixes { prefix.withUnsafeBytes { trie.insert($0, index) } }
        return index
    }

    func makeStream(_ fanout: Fanout) -> Stream {
        Stream(
            mark: options.sendHighWaterMark, byteMark: options.sendByteMark, pool: pool,
            readerList: fanout.door.list, writerList: list)
    }
}

extension Stream {
    var leave: StreamOrder.Leave { .init(point: end, refused: refused.load(ordering: .relaxed)) }
    var join: StreamOrder.Join { .init(stream: self, point: end, refused: refused.load(ordering: .relaxed)) }
}
