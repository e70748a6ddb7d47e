/// Timers of one loop: a binary heap by deadline, all in user space, so that one kernel wait serves them all.
///
/// Starting, cancelling and expiring cost O(log n). A timer that fires is detached first: whoever reacts to it may
/// start or cancel any timer.
package struct TimerHeap: ~Copyable, Sendable {
    private struct Timer {
        var deadline = Deadline.distantPast
        var interval: UInt64 = 0
        var generation: UInt32 = 0
        /// Index in the heap, -1 while the timer is not running.
        var position = -1
    }

    private var timers: [Timer] = []
    private var free: [UInt32] = []
    private var heap: [UInt32] = []

    package init() {}

    /// Timers that run.
    package var count: Int { heap.count }

    /// When the first timer is due.
    package var nextDeadline: Deadline? { heap.first.map { timers[Int($0)].deadline } }

    /// Starts a timer; `interval` makes it repeat.
    package mutating func start(at deadline: Deadline, every interval: Duration?) -> Token {
        let slot: UInt32
        if let recycled = free.popLast() {
            slot = recycled
        } else {
            slot = UInt32(timers.count)
            precondition(slot < 1 << 24, "2^24 timers is the bound of one loop")
            timers.append(Timer())
        }
        var nanoseconds: UInt64 = 0
        if let interval {
            nanoseconds = (Deadline.distantPast + interval).nanoseconds
            precondition(nanoseconds > 0, "a timer's interval is at least 1 ns")
        }
        timers[Int(slot)].deadline = deadline
        timers[Int(slot)].interval = nanoseconds
        timers[Int(slot)].generation &+= 1
        timers[Int(slot)].position = heap.count
        heap.append(slot)
        siftUp(heap.count - 1)
        return token(of: slot)
    }

    /// Stops a timer.
    /// - Returns: whether it was running; a finished token is harmless.
    package mutating func cancel(_ token: Token) -> Bool {
        let slot = Int(token.slot)
        guard slot < timers.count, timers[slot].generation == token.generation, timers[slot].position >= 0
        else { return false }
        detach(at: timers[slot].position)
        free.append(token.slot)
        return true
    }

    /// Takes the next due timer.
    /// - Returns: its token and whether it goes on; nil when nothing is due at `now`.
    package mutating func expire(_ now: Deadline) -> (token: Token, repeats: Bool)? {
        guard let slot = heap.first, timers[Int(slot)].deadline <= now else { return nil }
        let token = token(of: slot)
        let interval = timers[Int(slot)].interval
        guard interval > 0 else {
            detach(at: 0)
            free.append(slot)
            return (token, false)
        }
        // Missed intervals are skipped: the next point of the same grid that lies ahead.
        let due = timers[Int(slot)].deadline.nanoseconds
        let missed = (now.nanoseconds - due) / interval
        timers[Int(slot)].deadline = Deadline(nanoseconds: due &+ (missed + 1) &* interval)
        siftDown(0)
        return (token, true)
    }

    private func token(of slot: UInt32) -> Token {
        Token(slot: slot, generation: timers[Int(slot)].generation, purpose: .timer)
    }

    private mutating func detach(at position: Int) {
        timers[Int(heap[position])].position = -1
        let last = heap.removeLast()
        guard position < heap.count else { return }
        heap[position] = last
        timers[Int(last)].position = position
        siftUp(position)
        siftDown(timers[Int(last)].position)
    }

    private func isEarlier(_ left: Int, _ right: Int) -> Bool {
        timers[Int(heap[left])].deadline < timers[Int(heap[right])].deadline
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        timers[Int(heap[left])].position = left
        timers[Int(heap[right])].position = right
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, isEarlier(child, (child - 1) / 2) {
            exchange(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            let (left, right) = (2 * parent + 1, 2 * parent + 2)
            if left < heap.count, isEarlier(left, least) { least = left }
            if right < heap.count, isEarlier(right, least) { least = right }
            guard least != parent else { return }
            exchange(parent, least)
            parent = least
        }
    }
}
