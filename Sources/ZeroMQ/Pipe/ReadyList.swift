import Glibc
import Proactor
import Synchronization

/// Why a pipe stands in a ready list.
struct ReadyReasons: OptionSet {
    let rawValue: UInt32
    /// Bytes were published.
    static let data = ReadyReasons(rawValue: 1)
    /// Half of the mark is free again.
    static let room = ReadyReasons(rawValue: 2)
    /// A peer came; the pipe is new.
    static let attached = ReadyReasons(rawValue: 4)
    /// The other side is gone: nothing follows what was published, nothing more is taken.
    static let ended = ReadyReasons(rawValue: 8)
    /// Nothing more is to be put in; what was published may still go.
    static let leaving = ReadyReasons(rawValue: 32)
    /// Something that is not a pipe: a command, a job, the end of the socket.
    static let call = ReadyReasons(rawValue: 16)
}

/// A place in at most one ready list at a time. Membership holds a reference to the owner.
struct ReadyNode: ~Copyable {
    enum Edge: UInt8 {
        case data, room, call
    }

    /// Not empty while the node is in the list.
    let reasons = Atomic<UInt32>(0)
    let edge: Edge
    /// The node below; read by the taker before it clears `reasons`.
    var next: UInt = 0
    /// The pipe; nil for calls.
    let owner: Unmanaged<Pipe>?

    init(edge: Edge, owner: Unmanaged<Pipe>?) {
        self.edge = edge
        self.owner = owner
    }
}

/// Who has to be woken after a push: whoever gets this answer owes the wake.
enum Sleeper {
    case none, thread, task
    /// Nobody sleeps on the list itself, but somebody watches it.
    case watch
}

/// Pipes that have news for one thread: pushed one at a time by anybody, taken whole by that thread.
///
/// The head is also the sleep flag: empty, asleep (a thread on the futex that the head's low half is, or a loop in
/// its wait), suspended (a task), watched (somebody who waits for many lists), or the topmost node. A pusher that
/// replaces a sleeper's mark owes the wake.
///
/// Sendable: `head` is the one shared word; `suspended` is written before the mark that publishes it and read only
/// by whoever took that mark away. Watches lie behind a lock.
final class ReadyList: @unchecked Sendable {
    private static let empty: UInt = 0
    private static let asleep: UInt = 1
    private static let suspendedMark: UInt = 2
    private static let watchedMark: UInt = 3
    /// Its thread is gone for good: what is pushed goes nowhere.
    private static let closed: UInt = 4

    private let head: UnsafeMutablePointer<Atomic<UInt>>
    private var suspended: UnsafeContinuation<Void, Never>?
    /// Wakes a loop out of its wait; nil where a thread sleeps on the futex.
    private let waker: Waker?
    /// Held by whoever changes what is below the head of a list that is swept.
    private let inside = Locked(())
    /// Who waits here, where several may: the list's own sleeper is then the whole crowd (`arm`).
    let crowd: Crowd?
    /// Who is told of the next push besides the list's own sleeper; see `arm`.
    private let watches = Locked<[any Watch]>([])
    /// Whether there are any: who replaced a mark need not take the lock to know.
    private let isWatched = Atomic<Bool>(false)

    init(waker: Waker? = nil, crowd: Crowd? = nil) {
        self.waker = waker
        self.crowd = crowd
        head = .allocate(capacity: 1)
        head.initialize(to: Atomic(Self.empty))
    }

    deinit {
        // Pipes hold their lists, so none is in here; a call node may be, and may be gone already.
        head.deinitialize(count: 1)
        head.deallocate()
    }

    /// Whether something was pushed. A hint: one relaxed load.
    var hasNews: Bool { head.pointee.load(ordering: .relaxed) > Self.closed }

    /// The futex word on which a blocked thread sleeps: the low half of the head (little endian on every
    /// architecture this package runs on).
    var futex: UnsafeRawPointer { UnsafeRawPointer(head) }

    /// Puts a node into the list, unless it is there already. By any thread.
    /// - Returns: whom the caller must wake.
    func push(_ node: UnsafeMutablePointer<ReadyNode>, _ reason: ReadyReasons) -> Sleeper {
        guard node.pointee.reasons.bitwiseOr(reason.rawValue, ordering: .acquiringAndReleasing).oldValue == 0
        else { return .none }
        if let owner = node.pointee.owner { _ = owner.retain() }
        var top = head.pointee.load(ordering: .relaxed)
        while true {
            if top == Self.closed {
                node.pointee.reasons.store(0, ordering: .releasing)
                node.pointee.owner?.release()
                return .none
            }
            node.pointee.next = top <= Self.watchedMark ? Self.empty : top
            let (exchanged, current) = head.pointee.weakCompareExchange(
                expected: top, desired: UInt(bitPattern: node), ordering: .acquiringAndReleasing)
            if exchanged { break }
            top = current
        }
        return switch top {
        case Self.asleep: .thread
        case Self.suspendedMark: .task
        case Self.watchedMark: .watch
        default: .none
        }
    }

    /// Wakes whom a push found asleep. By whoever pushed.
    @inline(__always)
    func wake(_ sleeper: Sleeper) {
        if sleeper != .none { rouse(sleeper) }
    }

    @inline(never)
    private func rouse(_ sleeper: Sleeper) {
        tellWatches()
        switch sleeper {
        case .none, .watch: break
        case .thread:
            if let waker { waker.wake() } else { Futex.wake(futex) }
        case .task: resume()
        }
    }

    /// Resumes the task whose mark the caller has taken away.
    func resume() {
        if let crowd { return crowd.wakeOne() }
        let continuation = suspended.take()
        continuation?.resume()
    }

    /// Takes everything, oldest first. Only by the list's own thread. The body gets the owner with the reference
    /// that membership held.
    /// - Returns: whether there was anything.
    func take(_ body: (ReadyNode.Edge, ReadyReasons, Unmanaged<Pipe>?) -> Void) -> Bool {
        let seen = head.pointee.load(ordering: .relaxed)
        guard seen > Self.closed else { return false }
        return walk(head.pointee.exchange(Self.empty, ordering: .acquiringAndReleasing), body)
    }

    /// As `take`, for a list that others sweep.
    func takeAlone(_ body: (ReadyNode.Edge, ReadyReasons, Unmanaged<Pipe>?) -> Void) -> Bool {
        inside.withLock { _ in take(body) }
    }

    /// Takes out nodes that stand for all these reasons, and lets go of their pipes: news that its thread need not
    /// hear. All but a topmost one, whose place a push may be changing. By any thread.
    ///
    /// Nothing else leaves the list meanwhile and no sleeper's mark is touched: pushes change the head only, and
    /// `takeAlone` waits.
    func sweep(_ void: ReadyReasons) {
        inside.withLock { _ in
            let top = head.pointee.load(ordering: .acquiring)
            guard top > Self.closed, var above = UnsafeMutablePointer<ReadyNode>(bitPattern: top) else { return }
            while let node = UnsafeMutablePointer<ReadyNode>(bitPattern: above.pointee.next) {
                guard void.rawValue & ~node.pointee.reasons.load(ordering: .relaxed) == 0 else {
                    above = node
                    continue
                }
                let owner = node.pointee.owner
                above.pointee.next = node.pointee.next
                // Out of the list: from here on it may be pushed again.
                node.pointee.reasons.store(0, ordering: .releasing)
                owner?.release()
            }
        }
    }

    /// Ends the list for good, and lets go of the pipes in it: they hold the list, it holds them. When nobody will
    /// take from it any more.
    func close() {
        let top = head.pointee.exchange(Self.closed, ordering: .acquiringAndReleasing)
        _ = walk(top) { _, _, owner in owner?.release() }
    }

    private func walk(
        _ newest: UInt, _ body: (ReadyNode.Edge, ReadyReasons, Unmanaged<Pipe>?) -> Void
    ) -> Bool {
        var top = newest
        guard top > Self.closed else { return false }
        // Newest first so far; turn it round so that whoever came first is served first.
        var oldest: UInt = 0
        while let node = UnsafeMutablePointer<ReadyNode>(bitPattern: top) {
            top = node.pointee.next
            node.pointee.next = oldest
            oldest = UInt(bitPattern: node)
            if let owner = node.pointee.owner { Pipe.fetch(owner, announcedBy: node) }
        }
        while let node = UnsafeMutablePointer<ReadyNode>(bitPattern: oldest) {
            oldest = node.pointee.next
            let (edge, owner) = (node.pointee.edge, node.pointee.owner)
            // `next` was read, now the node may be pushed again; what the reasons announce is read after this.
            let reasons = node.pointee.reasons.exchange(0, ordering: .acquiringAndReleasing)
            body(edge, ReadyReasons(rawValue: reasons), owner)
        }
        return true
    }

    /// Marks the list's thread as asleep, unless something came. The caller looks at nothing else afterwards but
    /// what wakes it.
    func fallAsleep() -> Bool { mark(Self.asleep) }

    /// Sets a sleeper's mark, unless something came. It may stand in for that of the watches: whoever takes it away
    /// tells them too.
    private func mark(_ mark: UInt) -> Bool {
        let (exchanged, seen) = head.pointee.compareExchange(
            expected: Self.empty, desired: mark, ordering: .acquiringAndReleasing)
        if exchanged { return true }
        guard seen == Self.watchedMark else { return false }
        return head.pointee.compareExchange(
            expected: Self.watchedMark, desired: mark, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Takes the mark back after a wait that ended for another reason; a late wake costs one empty turn.
    func wakeUp() {
        let (exchanged, _) = head.pointee.compareExchange(
            expected: Self.asleep, desired: Self.empty, ordering: .acquiringAndReleasing)
        if exchanged { keepWatches() }
    }

    /// Sleeps until something is pushed, the deadline passes or a signal comes.
    /// - Returns: 0 or a negative errno (-ETIMEDOUT, -EINTR).
    func sleep(until deadline: Deadline?) -> Int32 {
        guard fallAsleep() else { return 0 }
        var result = Futex.wait(futex, while: UInt32(Self.asleep), until: deadline)
        wakeUp()
        if result == -EAGAIN { result = 0 }
        return result
    }

    /// Suspends the calling task until something is pushed. At once, if something is there.
    /// - Parameter isCancelled: asked after the mark is set, so that a cancellation just before it is not missed.
    nonisolated(nonsending) func suspend(unless isCancelled: () -> Bool) async {
        await withUnsafeContinuation { continuation in
            suspended = continuation
            if !mark(Self.suspendedMark) { return resume() }
            if isCancelled() { interrupt() }
        }
    }

    /// Sets the mark of a suspended task for a crowd: the next push wakes one of it.
    /// - Returns: false if something was pushed before: look at it, nothing will wake.
    func arm() -> Bool {
        var expected = Self.empty
        while true {
            let (exchanged, seen) = head.pointee.compareExchange(
                expected: expected, desired: Self.suspendedMark, ordering: .acquiringAndReleasing)
            if exchanged || seen == Self.suspendedMark { return true }
            // The crowd's mark may stand in for that of the watches, as any sleeper's.
            guard seen == Self.watchedMark, expected == Self.empty else { return false }
            expected = seen
        }
    }

    /// Resumes a suspended task from elsewhere (cancellation, a deadline). Who takes the mark away owns the resume,
    /// so it happens once.
    func interrupt() {
        let (exchanged, _) = head.pointee.compareExchange(
            expected: Self.suspendedMark, desired: Self.empty, ordering: .acquiringAndReleasing)
        guard exchanged else { return }
        keepWatches()
        resume()
    }
}

// MARK: - Watching

/// One who wants to be told, once, that something was pushed into a list: a poller, a proxy, a descriptor.
protocol Watch: AnyObject, Sendable {
    /// Something may have come. By whoever pushed it, on any thread, perhaps with the socket's registry locked: short,
    /// and without looking at the socket.
    func fire()
}

extension ReadyList {
    /// Has the watch told of the next push. The caller has looked and found nothing to do; it looks at nothing else
    /// afterwards but what fires the watch.
    ///
    /// The watch is put down first, and the mark is set, or confirmed where another sleeper's stands, by a
    /// read-modify-write: so whoever takes the mark away sees the watch.
    /// - Returns: false if something was pushed already: look again, nothing will fire.
    func arm(_ watch: any Watch) -> Bool {
        watches.withLock { watches in
            if !watches.contains(where: { $0 === watch }) { watches.append(watch) }
            isWatched.store(true, ordering: .relaxed)
            var seen = Self.empty
            while true {
                let (exchanged, current) = head.pointee.compareExchange(
                    expected: seen, desired: seen == Self.empty ? Self.watchedMark : seen,
                    ordering: .acquiringAndReleasing)
                if exchanged || current == Self.closed { return true }
                guard current <= Self.watchedMark else { break }
                seen = current
            }
            remove(watch, &watches)
            return false
        }
    }

    /// After a sleeper has taken back its mark, which stood for the watches too: theirs stands again, or they are told
    /// of what came in between.
    private func keepWatches() {
        guard isWatched.load(ordering: .relaxed) else { return }
        let (exchanged, seen) = head.pointee.compareExchange(
            expected: Self.empty, desired: Self.watchedMark, ordering: .acquiringAndReleasing)
        if !exchanged, seen > Self.watchedMark { fireWatches() }
    }

    /// Takes a watch back. It may be told once more, by whoever is at it already.
    func disarm(_ watch: any Watch) { watches.withLock { remove(watch, &$0) } }

    private func remove(_ watch: any Watch, _ watches: inout [any Watch]) {
        watches.removeAll { $0 === watch }
        isWatched.store(!watches.isEmpty, ordering: .relaxed)
    }

    /// Tells all watches to look again: the mark that stood for them is gone, or the pattern allows now what it
    /// did not before. One relaxed load where there are none.
    @inline(__always)
    func tellWatches() {
        if isWatched.load(ordering: .relaxed) { fireWatches() }
    }

    @inline(never)
    private func fireWatches() {
        let armed = watches.withLock { watches in
            defer { watches.removeAll() }
            isWatched.store(false, ordering: .relaxed)
            return watches
        }
        for watch in armed { watch.fire() }
    }
}
