import CLiburing
import Glibc

/// Descriptors of others, of which one thread asks which are ready: level-triggered, at a cost that grows with those
/// that are ready, not with those that are in it. It has a descriptor itself, which is readable while one of them is
/// ready. For the modules of this package.
///
/// `@unchecked Sendable`: members come and go by any thread (the kernel's set has its own lock); the room for events
/// belongs to the one thread that waits at a time, which the owner of the set sees to.
package final class DescriptorSet: @unchecked Sendable {
    private let members: EpollSet

    /// An empty set.
    package init() throws(ProactorError) { members = try EpollSet() }

    /// What to poll for reading, borrowed: valid as long as this value lives.
    package var number: Int32 { members.number }

    /// Adds a descriptor under a mark. It is taken out before it is closed.
    /// - Returns: 0 or a positive errno: EPERM for files that are always ready, EEXIST if it is in the set, EBADF.
    package func add(_ number: Int32, mark: UInt64, for events: PollEvents) -> Int32 {
        members.add(number, mark: mark, for: events.rawValue)
    }

    /// Changes what a member is asked for.
    /// - Returns: 0 or a positive errno.
    package func change(_ number: Int32, mark: UInt64, for events: PollEvents) -> Int32 {
        members.change(number, mark: mark, for: events.rawValue)
    }

    /// Takes a descriptor out.
    package func remove(_ number: Int32) { members.remove(number) }

    /// Waits until a member is ready, the deadline passes or a signal comes; nil waits without end. One waiter at a
    /// time.
    /// - Parameter each: gets a mark and what that member is ready for. Not all may come at once: the kernel rotates.
    /// - Returns: how many came, or a negative errno (-EINTR).
    @discardableResult
    package func wait(until deadline: Deadline?, _ each: (UInt64, PollEvents) -> Void) -> Int32 {
        let count = members.wait(until: deadline)
        guard count > 0 else { return count }
        // The bits of poll(2) and of epoll_ctl(2) are the same.
        for index in 0..<Int(count) { each(members[index].mark, PollEvents(rawValue: members[index].bits)) }
        return count
    }
}
