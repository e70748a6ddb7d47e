import CLiburing
import Glibc

/// A point on CLOCK_MONOTONIC. Deadlines are points, timeouts are spans (`Duration`): they never mix.
@frozen
public struct Deadline: Hashable, Comparable, Sendable {
    /// Nanoseconds on CLOCK_MONOTONIC.
    public let nanoseconds: UInt64

    /// A point given in nanoseconds on CLOCK_MONOTONIC.
    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Long past: "do not wait at all".
    public static let distantPast = Deadline(nanoseconds: 0)

    /// The present.
    public static var now: Deadline {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Deadline(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    /// A span from now; negative spans are now, spans beyond 292 years are the end of time.
    public static func after(_ timeout: Duration) -> Deadline { now + timeout }

    /// Later (or, for a negative span, earlier), clamped to the range of the clock.
    public static func + (deadline: Deadline, span: Duration) -> Deadline {
        let (seconds, attoseconds) = span.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return Deadline(nanoseconds: seconds < 0 ? 0 : .max) }
        let (delta, tooFar) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        guard !tooFar else { return Deadline(nanoseconds: delta < 0 ? .max : 0) }
        if delta < 0 {
            let magnitude = delta.magnitude
            return Deadline(nanoseconds: deadline.nanoseconds > magnitude ? deadline.nanoseconds - magnitude : 0)
        }
        let (sum, beyond) = deadline.nanoseconds.addingReportingOverflow(UInt64(delta))
        return Deadline(nanoseconds: beyond ? .max : sum)
    }

    /// The span between two points, zero if `earlier` is the later one.
    public func since(_ earlier: Deadline) -> Duration {
        nanoseconds > earlier.nanoseconds
            ? .nanoseconds(Int64(clamping: nanoseconds - earlier.nanoseconds)) : .zero
    }

    /// Earlier is less.
    @inlinable
    public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }
}
