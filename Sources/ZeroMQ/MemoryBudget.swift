import Glibc
import Proactor
import Synchronization

/// One bound on the memory that messages occupy in the library, for a whole process, or for what a program makes one
/// of its own for.
///
/// What counts: chunks of encoded frames (queued to be sent, received and not taken, kept for reuse), large bodies
/// (32 KiB and more) that are being received, and received ones until the application drops its last reference to
/// them; large bodies of the application's own while they are queued. Chunks and large bodies are counted as they are
/// made and freed, never single messages. Smaller bodies that the application has taken are its own.
///
/// At the limit everything waits as at a mark: receiving pauses, so that TCP holds the peers back; sends answer `full`
/// or wait. All goes on by itself once a sixteenth of the limit is free again. A connection whose half-received message
/// could not be finished even if everything else were freed is cut, and counted as lost for want of memory
/// (`LossReason.memory`).
///
/// The limit is one of admission. What was admitted is finished, so that it may be exceeded for a while, by 16 KiB or
/// one message for each sender and by what was on its way for each connection; large bodies never exceed it.
///
/// Contexts share `MemoryBudget.process` unless they are given another; a socket may have a share of its own within it
/// (`SocketOptions.memoryShare`). All of it may be used from any thread.
public final class MemoryBudget: Sendable {
    /// What contexts take by default: half of the machine's memory, or of what the control group allows.
    public static let process = MemoryBudget(limit: defaultLimit)

    /// Bytes.
    public let limit: Int
    /// What a share is a part of: each byte counts in both.
    let parent: MemoryBudget?

    /// Bytes in use, and two flags, in one word: whoever gives memory back sees with the same step who waits for it.
    private let word = Atomic<Int>(0)
    /// The limit was reached, and no sixteenth is free again.
    private static let exhausted = 1
    /// Somebody waits for memory though the limit was not reached: what it needs in one piece is not free.
    private static let hungry = 2
    private static let shift = 2

    private let resumeLevel: Int
    private let waiters = Locked<[ObjectIdentifier: Waiter]>([:])
    private let pools = Locked<[ObjectIdentifier: Pool]>([:])
    /// Bytes of half-received messages whose connections wait for memory.
    private let stuck = Atomic<Int>(0)

    private let pauses = Atomic<Int>(0)
    private let refusals = Atomic<Int>(0)
    private let cuts = Atomic<Int>(0)
    private let highest = Atomic<Int>(0)

    private struct Waiter: Sendable {
        weak var value: (any MemoryWaiter)?
    }

    private struct Pool: Sendable {
        weak var value: ChunkPool?
    }

    /// The smallest limit: a few chunks.
    static let smallest = 64 << 10

    /// A budget of its own.
    /// - Parameter limit: bytes, at least 64 KiB.
    public convenience init(limit: Int) { self.init(limit: limit, within: nil) }

    /// A share of another.
    init(limit: Int, within parent: MemoryBudget?) {
        precondition(limit >= Self.smallest, "a memory budget has at least 64 KiB, not \(limit) bytes")
        self.limit = min(limit, Int.max >> 4)
        self.parent = parent
        resumeLevel = self.limit - self.limit / 16
    }

    // MARK: Seeing

    /// What a budget is at, at one moment.
    public struct Use: Sendable {
        /// Bytes in use.
        public let used: Int
        /// The most that was ever in use.
        public let highest: Int
        /// The limit.
        public let limit: Int
        /// Whether everything waits.
        public let isExhausted: Bool
        /// Times a connection stopped receiving for want of memory.
        public let pauses: Int
        /// Times a send found no memory.
        public let refusals: Int
        /// Connections cut in the middle of a message for want of memory.
        public let cuts: Int
    }

    /// What it is at now.
    public var use: Use {
        let seen = word.load(ordering: .relaxed)
        return Use(
            used: seen >> Self.shift, highest: highest.load(ordering: .relaxed), limit: limit,
            isExhausted: seen & Self.exhausted != 0, pauses: pauses.load(ordering: .relaxed),
            refusals: refusals.load(ordering: .relaxed), cuts: cuts.load(ordering: .relaxed))
    }

    /// Half of the memory that the process may have: the machine's, or its control group's where that is less.
    public static var defaultLimit: Int {
        let machine = max(1, sysconf(Int32(_SC_PHYS_PAGES))) * max(1, sysconf(Int32(_SC_PAGESIZE)))
        return max(smallest, min(machine, controlGroupLimit ?? .max) / 2)
    }

    /// The limit of the control group (cgroups(7), version 2); nil where there is none.
    private static var controlGroupLimit: Int? {
        guard let file = fopen("/sys/fs/cgroup/memory.max", "re") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 32)
        guard fgets(&line, 32, file) != nil else { return nil }
        let digits = line.prefix { $0 >= CChar(UInt8(ascii: "0")) && $0 <= CChar(UInt8(ascii: "9")) }
        return Int(String(decoding: digits.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    // MARK: Taking and giving back

    /// Whether everything has to wait. Two relaxed loads at most.
    var isExhausted: Bool {
        word.load(ordering: .relaxed) & Self.exhausted != 0 || (parent?.isExhausted ?? false)
    }

    /// Counts memory that was taken, whether or not there is room: for what was admitted before.
    func charge(_ bytes: Int) {
        guard bytes > 0 else { return }
        let new = word.add(bytes << Self.shift, ordering: .acquiringAndReleasing).newValue
        noteTaken(new)
        parent?.charge(bytes)
    }

    /// Takes memory if there is room for all of it, after what pools keep for reuse has been freed.
    func reserve(_ bytes: Int) -> Bool {
        if take(bytes) { return true }
        trimPools()
        return take(bytes)
    }

    private func take(_ bytes: Int) -> Bool {
        var seen = word.load(ordering: .relaxed)
        while true {
            guard (seen >> Self.shift) + bytes <= limit else { return false }
            let (exchanged, current) = word.compareExchange(
                expected: seen, desired: seen + (bytes << Self.shift), ordering: .acquiringAndReleasing)
            if exchanged { break }
            seen = current
        }
        if let parent, !parent.reserve(bytes) {
            releaseHere(bytes)
            return false
        }
        noteTaken(seen + (bytes << Self.shift))
        return true
    }

    /// Gives memory back, and wakes who waits for it. By any thread.
    func release(_ bytes: Int) {
        guard bytes > 0 else { return }
        releaseHere(bytes)
        parent?.release(bytes)
    }

    private func releaseHere(_ bytes: Int) {
        let new = word.subtract(bytes << Self.shift, ordering: .acquiringAndReleasing).newValue
        if new & (Self.exhausted | Self.hungry) != 0 { wakeIfDue() }
    }

    private func noteTaken(_ new: Int) {
        let used = new >> Self.shift
        if used > highest.load(ordering: .relaxed) { highest.max(used, ordering: .relaxed) }
        if used >= limit, new & Self.exhausted == 0 { exhaust() }
    }

    /// Sets the flag, unless memory came back meanwhile; then frees what pools keep for reuse.
    @inline(never)
    private func exhaust() {
        var seen = word.load(ordering: .relaxed)
        while true {
            guard seen >> Self.shift >= limit, seen & Self.exhausted == 0 else { return }
            let (exchanged, current) = word.compareExchange(
                expected: seen, desired: seen | Self.exhausted, ordering: .acquiringAndReleasing)
            if exchanged { break }
            seen = current
        }
        trimPools()
    }

    /// Clears the flags whose reason is gone. Who clears one owes the wake.
    @inline(never)
    private func wakeIfDue() {
        var seen = word.load(ordering: .acquiring)
        while true {
            var new = seen & ~Self.hungry
            if new >> Self.shift <= resumeLevel { new &= ~Self.exhausted }
            guard new != seen else { return }
            let (exchanged, current) = word.compareExchange(
                expected: seen, desired: new, ordering: .acquiringAndReleasing)
            if exchanged { break }
            seen = current
        }
        let all = waiters.withLock { waiters in
            defer { waiters.removeAll() }
            return waiters.values.compactMap(\.value)
        }
        for waiter in all { waiter.memoryCame() }
    }

    // MARK: Waiting

    /// Enters somebody to be told when the flag is cleared.
    /// - Returns: false if it is clear already: look again, do not wait. Whoever clears the flag looks at the waiters
    ///   after it; so one that entered before it saw the flag is found.
    func enlist(_ waiter: any MemoryWaiter) -> Bool {
        enter(waiter)
        return isExhausted
    }

    /// Enters somebody to be told when any memory comes back; it must try once more before it waits.
    func enlistHungry(_ waiter: any MemoryWaiter) {
        enter(waiter)
        word.bitwiseOr(Self.hungry, ordering: .acquiringAndReleasing)
        parent?.enlistHungry(waiter)
    }

    private func enter(_ waiter: any MemoryWaiter) {
        waiters.withLock { $0[ObjectIdentifier(waiter)] = Waiter(value: waiter) }
        parent?.enter(waiter)
    }

    // MARK: Half-received messages

    /// A connection waits for memory in the middle of a message.
    /// - Parameters:
    ///   - held: bytes that it holds meanwhile.
    ///   - need: bytes without which it cannot go on.
    /// - Returns: false if they could not be had even if everything but such messages were freed. Then it has to go.
    func stick(holding held: Int, need: Int) -> Bool {
        let all = stuck.add(held, ordering: .acquiringAndReleasing).newValue
        let fits = all + need <= resumeLevel && parent?.stick(holding: held, need: need) ?? true
        if !fits { stuck.subtract(held, ordering: .acquiringAndReleasing) }
        return fits
    }

    func unstick(_ held: Int) {
        stuck.subtract(held, ordering: .acquiringAndReleasing)
        parent?.unstick(held)
    }

    // MARK: Counting

    func countPause() {
        pauses.add(1, ordering: .relaxed)
        parent?.countPause()
    }

    func countRefusal() {
        refusals.add(1, ordering: .relaxed)
        parent?.countRefusal()
    }

    func countCut() {
        cuts.add(1, ordering: .relaxed)
        parent?.countCut()
    }

    // MARK: Pools

    func add(_ pool: ChunkPool) {
        pools.withLock { $0[ObjectIdentifier(pool)] = Pool(value: pool) }
        parent?.add(pool)
    }

    func remove(_ pool: ObjectIdentifier) {
        pools.withLock { $0[pool] = nil }
        parent?.remove(pool)
    }

    /// Frees what pools keep for reuse, those of the shares too.
    private func trimPools() {
        for pool in pools.withLock({ $0.values.compactMap(\.value) }) { pool.trim() }
    }
}

/// Who waits for memory.
protocol MemoryWaiter: AnyObject, Sendable {
    /// Some has come back: look again. By any thread, perhaps one that frees a message.
    func memoryCame()
}
