import Proactor
import ZMTP

/// The pulses of a loop's sessions by the time they are due: one timer of the engine serves all of them.
///
/// A binary heap whose elements know their places, so that a session that ends leaves nothing behind. Life only moves
/// a deadline away, so receiving does not touch it: a pulse that comes up too early is put back. O(log n) each time a
/// pulse is due, O(1) for each receive.
struct PulseQueue {
    /// Timers are set to multiples of this span: pulses that are due within it share one. So they cost at most 100
    /// timers a second, for any number of sessions.
    static let tick: UInt64 = 10_000_000

    private var heap: [Pulse] = []
    /// What the engine's timer is set to.
    private(set) var armed: UInt64?

    var count: Int { heap.count }

    /// Puts a pulse where it belongs; also one that is in already.
    mutating func put(_ pulse: Pulse, at due: UInt64) {
        pulse.due = due
        if pulse.index < 0 {
            pulse.index = heap.count
            heap.append(pulse)
        }
        rise(pulse.index)
        sink(pulse.index)
    }

    mutating func remove(_ pulse: Pulse) {
        let index = pulse.index
        guard index >= 0 else { return }
        pulse.index = -1
        let last = heap.removeLast()
        guard last !== pulse else { return }
        set(last, at: index)
        rise(index)
        sink(last.index)
    }

    /// Takes out one that is due.
    mutating func takeDue(_ now: UInt64) -> Pulse? {
        guard let first = heap.first, first.due <= now else { return nil }
        remove(first)
        return first
    }

    /// What the timer has to be set to; nil where it is right as it is. A timer that comes too early is left: it finds
    /// nothing due.
    mutating func arm() -> UInt64? {
        guard let first = heap.first else { return nil }
        let (rounded, overflow) = first.due.addingReportingOverflow(Self.tick - 1)
        let wanted = overflow ? .max : rounded / Self.tick * Self.tick
        guard armed.map({ wanted < $0 }) ?? true else { return nil }
        armed = wanted
        return wanted
    }

    /// The timer has come.
    mutating func disarm() { armed = nil }

    private mutating func set(_ pulse: Pulse, at index: Int) {
        heap[index] = pulse
        pulse.index = index
    }

    private mutating func rise(_ start: Int) {
        var index = start
        let pulse = heap[index]
        while index > 0, pulse.due < heap[(index - 1) / 2].due {
            set(heap[(index - 1) / 2], at: index)
            index = (index - 1) / 2
        }
        set(pulse, at: index)
    }

    private mutating func sink(_ start: Int) {
        var index = start
        let pulse = heap[index]
        while true {
            var child = 2 * index + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].due < heap[child].due { child += 1 }
            guard heap[child].due < pulse.due else { break }
            set(heap[child], at: index)
            index = child
        }
        set(pulse, at: index)
    }
}

// MARK: - On the loop

extension Loop where B: ~Copyable {
    /// A turn serves at most so many pulses; the rest is due with the next.
    private static var pulsesPerTurn: Int { 256 }

    /// Calls the session when its pulse is due next.
    func follow(_ pulse: Pulse) {
        guard let due = pulse.heartbeat.deadline else { return forget(pulse) }
        pulses.put(pulse, at: due)
        armPulses()
    }

    /// Calls the session with the next tick, after what that turn received.
    func followSoon(_ pulse: Pulse, now: UInt64) {
        pulses.put(pulse, at: now)
        armPulses()
    }

    func forget(_ pulse: Pulse) { pulses.remove(pulse) }

    private func armPulses() {
        guard let time = pulses.arm() else { return }
        cancelTimer(pulseTimer)
        pulseTimer = startTimer(at: Deadline(nanoseconds: time), .pulses)
    }

    /// The timer has come. The pulses have to wait until all that this turn received was taken as life.
    func pulsesAreDue() {
        pulseTimer = nil
        pulses.disarm()
        hasDuePulses = true
    }

    /// After a turn's completions.
    func servePulses() {
        hasDuePulses = false
        let now = Deadline.now.nanoseconds
        for _ in 0..<Self.pulsesPerTurn {
            guard let pulse = pulses.takeDue(now) else { break }
            pulse.session.beat(pulse, now: now, on: self)
        }
        armPulses()
    }
}
