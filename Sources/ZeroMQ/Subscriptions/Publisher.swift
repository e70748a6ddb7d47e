import Proactor
import Synchronization
import ZMTP

/// The sending half of PUB and XPUB: who is subscribed to what, and the streams that come of it.
///
/// Peers with equal sets of subscriptions share a stream, for each loop. The trie knows streams, not peers: a message
/// is matched once, encoded once for each stream that matches, and the loop does the rest. What peers ask for comes by
/// mail, which is settled before the next message.
///
/// Sendable: `mail` lies behind a lock; the table belongs to the one thread that sends (`SendSide.enter` traps a second
/// one).
final class Publisher: @unchecked Sendable {
    private let list: ReadyList
    private let options: SocketOptions
    private let pool: ChunkPool
    private let losses: LossCounters
    /// What XPUB tells its user; nil for PUB.
    let reports: SubscriptionReports?
    private let mail = Locked<[Subscriber]>([])
    private let call = CallNode()

    // By the sending half.
    private var trie = PrefixTrie()
    private var slots: [Slot] = []
    private var freeSlots: [Int32] = []
    private var sets: [SetKey: [Int32]] = [:]
    /// Counts matches, so that a stream that matches by two prefixes is taken once.
    private var epoch: UInt32 = 0
    private var matched: [Int32] = []
    /// The only stream, if it gets everything: the common case.
    private var sole: Stream?
    /// XPUB with `isManualLastValue`: whom the next message is for.
    private var confidant: Subscriber?

    private struct Slot {
        let stream: Stream?
        let pipe: Pipe
        let writer: UnsafeMutablePointer<PipeWriter>
        var key: SetKey?
        var members: [Subscriber] = []
        var epoch: UInt32 = 0
    }

    /// Which set, on which loop. Sets with the same hash are compared.
    private struct SetKey: Hashable {
        let fanout: UInt64
        var hash: Int = 0

        mutating func toggle(_ prefix: Frame) { hash ^= prefix.hashValue }
    }

    init(
        _ type: SocketType, _ options: SocketOptions, list: ReadyList, receiveList: ReadyList, pool: ChunkPool,
        losses: LossCounters
    ) {
        self.list = list
        self.options = options
        self.pool = pool
        self.losses = losses
        reports = type == .xpub ? SubscriptionReports(options, readerList: receiveList, losses: losses) : nil
    }

    // MARK: What peers ask for (by the thread that hears of it)

    /// A peer has come.
    func arrived(_ subscriber: Subscriber) {
        if options.isMatchingInverted { mail(subscriber) { _ in } }
    }

    /// A peer subscribes or cancels.
    func take(_ change: Subscription, _ prefix: Frame, of subscriber: Subscriber) {
        let isNew = subscriber.book.withLock { book in
            guard change == .subscribe else {
                guard book.asked.remove(prefix) != nil else { return false }
                book.bytes -= prefix.count
                return true
            }
            guard book.asked.insert(prefix).inserted else { return false }
            book.bytes += prefix.count
            return true
        }
        reports?.note(change, prefix, isNew: isNew, of: subscriber)
        if isNew, !options.isManual { settle(subscriber, prefix, change == .subscribe) }
    }

    /// Has the sending half change a subscription.
    /// - Parameter isConfidant: whether the next message is for this subscriber alone.
    func settle(_ subscriber: Subscriber, _ prefix: Frame, _ isOn: Bool, isConfidant: Bool = false) {
        mail(subscriber) { book in
            book.pending[prefix] = isOn
            if isConfidant { book.isConfidant = true }
        }
    }

    /// An inproc peer's first message.
    func settle(_ subscriber: Subscriber, welcome: Message) { mail(subscriber) { $0.welcome = welcome } }

    /// The peer is gone.
    func gone(_ subscriber: Subscriber) {
        let asked = subscriber.book.withLock { book in
            defer { (book.asked, book.bytes) = ([], 0) }
            return book.asked
        }
        reports?.gone(asked, of: subscriber)
        mail(subscriber) { $0.isGone = true }
    }

    private func mail(_ subscriber: Subscriber, _ change: (inout Subscriber.Book) -> Void) {
        let isFirst = subscriber.book.withLock { book in
            change(&book)
            defer { book.isQueued = true }
            return !book.isQueued
        }
        if isFirst { mail.withLock { $0.append(subscriber) } }
        list.wake(list.push(call.node, .call))
    }

    // MARK: Settling (by the sending half, from here on)

    /// Makes the table what peers have asked for by now.
    @inline(never)
    func settle() {
        var left: [Pipe] = []
        _ = list.take { _, reasons, owner in
            guard let pipe = owner?.takeRetainedValue() else { return }
            if !reasons.isDisjoint(with: [.ended, .leaving]) { left.append(pipe) }
        }
        let changed = mail.withLock { mail in
            defer { mail = [] }
            return mail
        }
        for subscriber in changed {
            let (pending, isGone) = subscriber.book.withLock { book in
                if book.isConfidant { confidant = subscriber }
                if let message = book.welcome.take(), let pipe = subscriber.pipe { greet(pipe, message) }
                defer {
                    book.pending = [:]
                    book.isConfidant = false
                    book.isQueued = false
                }
                return (book.pending, book.isGone)
            }
            change(subscriber, isGone ? nil : pending)
        }
        for pipe in left {
            let slot = slots.first { $0.pipe === pipe && !$0.members.isEmpty }
            if let subscriber = slot?.members.first { change(subscriber, nil) }
        }
        noteSole()
    }

    /// Whether a peer without subscriptions has a stream: what nothing matches is for everybody.
    private var keepsEmpty: Bool { options.isMatchingInverted }

    private func greet(_ pipe: Pipe, _ message: Message) {
        guard pipe.writer.pointee.hasRoom() else { return losses.add(1, .mark) }
        pipe.put(message, from: 0)
        if pipe.writer.pointee.publish(keep: false) { pipe.readerList.wake(pipe.announce(.data)) }
    }

    private func noteSole() {
        sole = nil
        guard slots.count - freeSlots.count == 1, !options.isMatchingInverted, !options.isManualLastValue,
            let slot = slots.first(where: { !$0.members.isEmpty }),
            slot.members[0].prefixes.contains(Frame())
        else { return }
        sole = slot.stream
    }

    /// Changes a peer's set.
    /// - Parameter pending: nil if the peer is gone.
    private func change(_ subscriber: Subscriber, _ pending: [Frame: Bool]?) {
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

    private static func apply(_ changes: [Frame: Bool], to set: inout Set<Frame>) {
        for (prefix, isOn) in changes {
            if isOn { set.insert(prefix) } else { set.remove(prefix) }
        }
    }

    private static func revert(_ changes: [Frame: Bool], in set: inout Set<Frame>) {
        for (prefix, isOn) in changes {
            if isOn { set.remove(prefix) } else { set.insert(prefix) }
        }
    }

    private func changeAlone(_ subscriber: Subscriber, _ changes: [Frame: Bool], _ key: SetKey?) {
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
    private func move(_ subscriber: Subscriber, _ changes: [Frame: Bool]) {
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

    /// Streams that have lost their last member, to be told of after the move that emptied them.
    private var emptied: [(Stream, Fanout)] = []

    private func retireEmpty() {
        for (stream, fanout) in emptied { fanout.post(.retire(stream)) }
        emptied.removeAll(keepingCapacity: true)
    }

    private func leave(_ subscriber: Subscriber, tells: Bool = true) {
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

    private func find(_ key: SetKey, _ set: Set<Frame>) -> Int32? {
        guard key.fanout != 0 else { return nil }
        return sets[key]?.first { slots[Int($0)].members[0].prefixes == set }
    }

    private func unlist(_ index: Int32, _ key: SetKey) {
        sets[key]?.removeAll { $0 == index }
        if sets[key]?.isEmpty == true { sets[key] = nil }
    }

    /// A stream, or the pipe of an inproc peer, with the subscriber's set.
    private func makeSlot(_ key: SetKey, _ subscriber: Subscriber) -> Int32 {
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

    private func makeStream(_ fanout: Fanout) -> Stream {
        Stream(
            mark: options.sendHighWaterMark, byteMark: options.sendByteMark, pool: pool,
            readerList: fanout.door.list, writerList: list)
    }

    // MARK: Publishing

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
        return publishMatching(bytes) { $0.writer.pointee.put([], bytes) }
    }

    /// Publishes a message; its first frame is matched.
    func publish(_ message: Message) -> (result: SendResult, announced: Bool) {
        if list.hasNews { settle() }
        return message[0].withUnsafeBytes { topic in
            publishMatching(topic) { $0.put(message, from: 0) }
        }
    }

    @inline(never)
    private func refuseBySole() -> SendResult {
        let index = slots.firstIndex { !$0.members.isEmpty }!
        if waits { return .full }
        refuse(index)
        return .sent
    }

    /// Who never drops at the publisher's end: one that waits for its subscribers, and those that give up something
    /// else than the newest, which wait for the loop alone.
    private var waits: Bool { options.slowSubscribers != .dropNewest }

    @inline(__always)
    private func publishMatching(
        _ topic: UnsafeRawBufferPointer, _ put: (Pipe) -> Void
    ) -> (result: SendResult, announced: Bool) {
        match(topic)
        if confidant != nil { return confide(put) }
        if matched.isEmpty {
            losses.add(1, .notSubscribed)
            return (.sent, false)
        }
        if waits, !matched.allSatisfy({ slots[Int($0)].writer.pointee.hasRoom() }) { return (.full, false) }
        var announced = false
        for index in matched {
            let slot = Int(index)
            guard slots[slot].writer.pointee.hasRoom() else {
                refuse(slot)
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

    /// Finds the streams that a message goes to.
    @inline(__always)
    private func match(_ topic: UnsafeRawBufferPointer) {
        epoch &+= 1
        matched.removeAll(keepingCapacity: true)
        trie.match(topic) { index in
            guard slots[Int(index)].epoch != epoch else { return }
            slots[Int(index)].epoch = epoch
            matched.append(index)
        }
        if options.isMatchingInverted { invert() }
    }

    private func invert() {
        matched.removeAll(keepingCapacity: true)
        for index in slots.indices where slots[index].epoch != epoch && !slots[index].members.isEmpty {
            matched.append(Int32(index))
        }
    }

    /// Every subscriber of the stream is at its mark, since the loop has not even taken note of that many messages.
    private func refuse(_ index: Int) {
        losses.add(slots[index].members.count, .mark)
        if let stream = slots[index].stream {
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
        for index in matched where !slots[Int(index)].writer.pointee.hasRoom() {
            if !slots[Int(index)].writer.pointee.waitForRoom() { return false }
        }
        return true
    }

    // MARK: To one subscriber

    /// Gives the message to that subscriber only, if it is subscribed to it: it leaves its stream for one that has
    /// nothing but this message, and comes back to the same place.
    private func confide(_ put: (Pipe) -> Void) -> (result: SendResult, announced: Bool) {
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

extension Stream {
    var leave: StreamOrder.Leave { .init(point: end, refused: refused.load(ordering: .relaxed)) }
    var join: StreamOrder.Join { .init(stream: self, point: end, refused: refused.load(ordering: .relaxed)) }
}
