import Glibc
import Synchronization

/// When the messages of a pipe were there: a few marks, each "so many were published by then".
///
/// Senders take no time. Where the loop knows that a pipe was empty it notes the first messages in the pipe's words
/// (`Pipe.noteRun`); else it sets a mark when it serves a run (messages received together, or found for the next send).
/// Statistics set one when they are asked. So a message may have been there a little longer than its mark says, never
/// shorter. Four marks, spread over the queue: when all are used every second one goes.
///
/// Sendable: everything is touched under `isTaken` only.
final class AgeMarks: @unchecked Sendable {
    struct Mark {
        var published: UInt64 = 0
        var time: UInt64 = 0
    }

    private let isTaken = Atomic<Bool>(false)
    private var marks: InlineArray<4, Mark> = .init(repeating: Mark())
    private var count = 0
    /// Least span between two marks in nanoseconds: doubles each time the marks are thinned out.
    private var spacing = AgeMarks.shortest

    private static let shortest: UInt64 = 1_000_000

    /// Sets a mark, unless the last one is as good. Gives way to whoever is here already.
    func note(published: UInt64, passed: UInt64) {
        guard published != passed, enter(patience: 0) else { return }
        set(published, passed, Self.now)
        leave()
    }

    /// How long the first message that has not passed has been there at least.
    /// - Parameter first: what came into the pipe when it was last empty.
    func age(published: UInt64, passed: UInt64, first: Mark) -> Duration? {
        guard enter(patience: 100) else { return nil }
        defer { leave() }
        let now = Self.now
        set(published, passed, now)
        guard count > 0 else { return nil }
        let waits = Int64(bitPattern: first.published &- passed) > 0
        let oldest = min(marks[0].time, waits ? first.time : now, now)
        return .nanoseconds(Int64(clamping: now &- oldest))
    }

    private func set(_ published: UInt64, _ passed: UInt64, _ now: UInt64) {
        // Marks of messages that have all passed say nothing about those that wait.
        var gone = 0
        while gone < count, Int64(bitPattern: marks[gone].published &- passed) <= 0 { gone += 1 }
        if gone > 0 {
            for index in gone..<count { marks[index - gone] = marks[index] }
            count -= gone
            if count == 0 { spacing = Self.shortest }
        }
        if count > 0 {
            guard marks[count - 1].published != published, now &- marks[count - 1].time >= spacing else { return }
        }
        if count == marks.count {
            // The first stays: it knows the oldest.
            marks[1] = marks[2]
            count = 2
            spacing *= 2
        }
        marks[count] = Mark(published: published, time: now)
        count += 1
    }

    /// Five nanoseconds for the tick of the kernel's clock: 1 to 10 ms, on the scale of CLOCK_MONOTONIC.
    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private func enter(patience: Int) -> Bool {
        var left = patience
        while isTaken.exchange(true, ordering: .acquiring) {
            guard left > 0 else { return false }
            left -= 1
            sched_yield()
        }
        return true
    }

    private func leave() { isTaken.store(false, ordering: .releasing) }
}
