import Glibc
import Proactor

/// A socket that a poller waits for.
struct PolledSocket: Sendable {
    let socket: Socket
    var events: PollEvents
    /// For both of the socket's lists: whichever fires, the socket is looked at.
    let watch: PostWatch

    init(_ socket: Socket, _ events: PollEvents, _ post: WatchPost, _ number: UInt64) {
        self.socket = socket
        self.events = events
        watch = PostWatch(post, number)
    }

    /// What the socket is ready for, of what is asked. If that is nothing, its lists are armed.
    func look() -> PollEvents {
        while true {
            let ready = socket.look(for: events)
            guard ready.isEmpty else { return ready }
            if socket.arm(watch, for: events) { return [] }
        }
    }
}

/// What a poller knows, behind its lock. A source is *hot* if it has to be looked at: it was reported by the last wait,
/// or something fired. All others are armed: whatever makes them ready fires.
struct PollerState: ~Copyable, Sendable {
    enum Source: Sendable {
        case socket(PolledSocket)
        case descriptor(Int32, PollEvents, isAlwaysReady: Bool)
        case timer(Token)
    }

    var sources: [UInt64: Source] = [:]
    /// Made with the first descriptor. The bell is its member 0.
    private(set) var descriptors: DescriptorSet?
    private(set) var bell: Bell?
    /// What the last sleep found ready.
    var readyDescriptors: [(number: UInt64, events: PollEvents)] = []
    /// The number of the lookout that a loop keeps for tasks, once there is one.
    var lookout: UInt64?
    var isLookingOut = false
    var isWaiting = false
    /// Whether the last wait turned its caller-driven context.
    var hasTurned = false
    /// Hot sources that were looked at so far: what waits have cost.
    var looks = 0
    private var timers = TimerHeap()
    private var numbersOfTimers: [Token: UInt64] = [:]
    private var lastNumber: UInt64 = 0
    private var hot: [UInt64] = []
    private var isHot: Set<UInt64> = []

    mutating func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    // MARK: Hot sources

    /// Has a source looked at by the next look.
    mutating func heat(_ number: UInt64) {
        if number != 0, isHot.insert(number).inserted { hot.append(number) }
    }

    mutating func takeHot() -> [UInt64] {
        defer {
            hot.removeAll()
            isHot.removeAll()
        }
        return hot
    }

    // MARK: Descriptors

    /// - Returns: whether it is one of those that are always ready.
    mutating func add(_ descriptor: Int32, _ number: UInt64, _ events: PollEvents) throws(ZeroMQError) -> Bool {
        let set = try openDescriptors()
        let code = set.add(descriptor, mark: number, for: events)
        if code == EPERM { return true }
        guard code != 0 else { return false }
        let why = code == EEXIST ? "it was added before" : "it cannot be waited for"
        throw ZeroMQError(
            code == EEXIST || code == EBADF ? .invalidOption : .engineFailed,
            "cannot add descriptor \(descriptor) to a poller: \(why)", underlying: SystemError(code: code))
    }

    func change(_ descriptor: Int32, _ number: UInt64, _ events: PollEvents) throws(ZeroMQError) {
        guard let code = descriptors?.change(descriptor, mark: number, for: events), code != 0 else { return }
        throw ZeroMQError(
            .invalidOption,
            "descriptor \(descriptor) of a poller cannot be changed: it was closed before it was removed",
            underlying: SystemError(code: code))
    }

    private mutating func openDescriptors() throws(ZeroMQError) -> DescriptorSet {
        if let descriptors { return descriptors }
        do throws(ProactorError) {
            let (set, bell) = (try DescriptorSet(), try Bell())
            _ = set.add(bell.number, mark: 0, for: .readable)
            (descriptors, self.bell) = (set, bell)
            return set
        } catch {
            throw ZeroMQError(
                .engineFailed, "a poller has no room for descriptors: \(error)",
                underlying: SystemError(code: error.errno))
        }
    }

    // MARK: Timers

    var nextDeadline: Deadline? { timers.nextDeadline }

    mutating func startTimer(_ number: UInt64, at deadline: Deadline, every interval: Duration?) {
        let token = timers.start(at: deadline, every: interval)
        sources[number] = .timer(token)
        numbersOfTimers[token] = number
    }

    mutating func stopTimer(_ token: Token) {
        _ = timers.cancel(token)
        numbersOfTimers[token] = nil
    }

    /// The next timer that is due; one without an interval is gone then.
    mutating func expireTimer() -> UInt64? {
        guard timers.nextDeadline != nil, let (token, repeats) = timers.expire(.now),
            let number = numbersOfTimers[token]
        else { return nil }
        if !repeats {
            numbersOfTimers[token] = nil
            sources[number] = nil
        }
        return number
    }
}
