import Glibc
import Proactor

/// Where one thread or task sleeps for many lists: each of them is watched under a number, and whoever pushes into one
/// leaves that number here. So a wake costs what has happened, however many lists are watched.
///
/// Numbers may come for nothing, or twice: they say where to look, not what is there. 0 says only "get up".
final class WatchPost: Sendable {
    /// On which the sleeper sleeps.
    let list = ReadyList()
    private let call = CallNode()
    private let fired = Locked<[UInt64]>([])

    deinit { list.close() }

    /// Leaves a number and wakes the sleeper; by anybody.
    func announce(_ number: UInt64) {
        if number != 0 { fired.withLock { $0.append(number) } }
        list.wake(list.push(call.node, .call))
    }

    /// Takes the numbers that were left, oldest first; by the sleeper.
    func takeFired() -> [UInt64] {
        // The list first: what is left after this finds it empty, and the next sleep ends at once.
        _ = list.take { _, _, _ in }
        return fired.withLock { fired in
            defer { fired.removeAll() }
            return fired
        }
    }

    // MARK: Sleeping (tasks suspend on `list`)

    /// Sleeps until a number comes, the deadline passes, a signal comes, or a descriptor of the set is ready.
    /// - Returns: whether a signal ended it.
    func sleep(until deadline: Deadline?) -> Bool { list.sleep(until: deadline) == -EINTR }

    /// Sleeps until a number comes, the deadline passes, a signal comes, or a descriptor is ready.
    /// - Parameters:
    ///   - descriptors: a set that the bell is a member of.
    ///   - each: gets the members that are ready, the bell among them.
    /// - Returns: whether a signal ended it.
    func sleep(
        until deadline: Deadline?, on descriptors: DescriptorSet, _ bell: Bell, _ each: (UInt64, PollEvents) -> Void
    ) -> Bool {
        guard list.arm(bell) else { return false }
        defer {
            list.disarm(bell)
            bell.lower()
        }
        return descriptors.wait(until: deadline, each) == -EINTR
    }

    /// Sleeps by turning a caller-driven context, once.
    func turn(_ driver: CallerDriver, _ nudge: Nudge, until deadline: Deadline?) throws(ZeroMQError) {
        guard list.arm(nudge) else { return }
        defer { list.disarm(nudge) }
        try driver.turn(until: deadline)
    }

}

/// Leaves a number at a post.
final class PostWatch: Watch {
    private let post: WatchPost
    private let number: UInt64

    init(_ post: WatchPost, _ number: UInt64) {
        self.post = post
        self.number = number
    }

    func fire() { post.announce(number) }
}

/// Raises a descriptor, for a thread that sleeps on descriptors.
final class Bell: Watch {
    private let signal: Signal
    private let isRaised = Locked(false)

    init() throws(ProactorError) { signal = try Signal() }

    /// What to poll for reading.
    var number: Int32 { signal.number }

    func fire() {
        isRaised.withLock { isRaised in
            if !isRaised { signal.raise() }
            isRaised = true
        }
    }

    /// Makes it unreadable again; a system call only if it was readable.
    func lower() {
        isRaised.withLock { isRaised in
            if isRaised { signal.lower() }
            isRaised = false
        }
    }
}

/// Ends the turn of a caller-driven context, from other threads: on its own whoever turns looks by itself.
final class Nudge: Watch {
    private let driver: CallerDriver
    private let door: LoopDoor

    init(_ driver: CallerDriver, _ door: LoopDoor) {
        self.driver = driver
        self.door = door
    }

    func fire() {
        if !driver.isOnThread { door.nudge() }
    }
}
