import CLiburing
import Glibc

/// The kernel's set of descriptors, and the room for its events. Each member is registered once, edge-triggered in
/// both directions: nothing on the hot path changes the set.
struct EpollSet: ~Copyable {
    /// One look fetches at most this many events; the kernel keeps the rest and rotates, so nobody starves.
    static var eventCount: Int { 256 }
    /// The mark of the waker, which no slot and generation can form: generations of owned slots are odd.
    static var wakerMark: UInt64 { 0 }

    /// An eventfd has always room to write: asking for that would make a wake of its registration.
    static var wakerInterest: UInt32 { EPOLLIN.rawValue | EPOLLET.rawValue }
    static var interest: UInt32 {
        EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLPRI.rawValue | EPOLLET.rawValue
    }

    private let descriptor: Descriptor
    private let events: UnsafeMutablePointer<epoll_event>
    /// Whether epoll_pwait2 (5.11) is there: deadlines in nanoseconds. Otherwise they are rounded up to milliseconds.
    let hasNanoseconds: Bool

    /// - Parameter allowNanoseconds: false stands for a kernel without epoll_pwait2.
    init(allowNanoseconds: Bool = true) throws(ProactorError) {
        let number = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard number >= 0 else { throw .last("epoll_create1") }
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Self.eventCount)
        // Probed by doing: ENOSYS below 5.11, EPERM under a filter that does not know it.
        var zero = timespec()
        hasNanoseconds = allowNanoseconds && proactor_epoll_wait_ns(number, events, 1, &zero) >= 0
        descriptor = Descriptor(owning: number)
        self.events = events
    }

    deinit { events.deallocate() }

    /// Adds a descriptor under a mark.
    /// - Returns: 0 or a positive errno: EPERM for files that are always ready, EEXIST if it is in the set.
    func add(_ number: Int32, mark: UInt64, for interest: UInt32 = interest) -> Int32 {
        var event = epoll_event(events: interest, data: epoll_data(u64: mark))
        return epoll_ctl(descriptor.number, EPOLL_CTL_ADD, number, &event) == 0 ? 0 : errno
    }

    /// The set itself, which is readable while it has an event.
    var number: Int32 { descriptor.number }

    /// Changes what a member is asked for.
    /// - Returns: 0 or a positive errno.
    func change(_ number: Int32, mark: UInt64, for interest: UInt32) -> Int32 {
        var event = epoll_event(events: interest, data: epoll_data(u64: mark))
        return epoll_ctl(descriptor.number, EPOLL_CTL_MOD, number, &event) == 0 ? 0 : errno
    }

    /// Takes a descriptor out. To be done before it is closed: a copy in another process would keep it registered.
    func remove(_ number: Int32) {
        var event = epoll_event()
        _ = epoll_ctl(descriptor.number, EPOLL_CTL_DEL, number, &event)
    }

    /// Waits at most until the deadline; nil waits without end.
    /// - Returns: how many events came, or a negated errno.
    func wait(until deadline: Deadline?) -> Int32 {
        let room = Int32(Self.eventCount)
        guard let deadline else { return proactor_epoll_wait_ms(descriptor.number, events, room, -1) }
        guard deadline > .distantPast else { return proactor_epoll_wait_ms(descriptor.number, events, room, 0) }
        let now = Deadline.now.nanoseconds
        let left = deadline.nanoseconds > now ? deadline.nanoseconds - now : 0
        if hasNanoseconds {
            var time = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
            return proactor_epoll_wait_ns(descriptor.number, events, room, &time)
        }
        // Rounded up: rounding down would spin through the last millisecond.
        let milliseconds = left / 1_000_000 + (left % 1_000_000 > 0 ? 1 : 0)
        return proactor_epoll_wait_ms(descriptor.number, events, room, Int32(clamping: milliseconds))
    }

    /// An event of the last wait.
    subscript(position: Int) -> (bits: UInt32, mark: UInt64) {
        (events[position].events, events[position].data.u64)
    }
}
