import CLiburing
import Glibc

/// Waiting for readiness itself.
extension EpollBackend {
    /// Asks poll(2) at once, then after each edge.
    @discardableResult
    public mutating func poll(_ handle: Handle, for events: PollEvents) -> Token {
        let token = begin(handle, .poll, occupying: .polling)
        let record = slots.record(handle)
        record.pointee.pollToken = token
        // Errors and hang-up are always reported, also to an empty question.
        record.pointee.pollEvents = events.union([.error, .hangUp]).rawValue
        advancePoll(record)
        return token
    }

    /// Asks poll(2): an edge may be past already, or may have been for somebody else.
    mutating func advancePoll(_ record: UnsafeMutablePointer<EpollSocket>) {
        counters.systemCalls += 1
        var question = pollfd(
            fd: record.pointee.descriptor, events: Int16(truncatingIfNeeded: record.pointee.pollEvents), revents: 0)
        let answer = Glibc.poll(&question, 1, 0)
        guard answer != 0, !(answer < 0 && errno == EINTR) else { return }
        record.pointee.pollEvents = 0
        let isInvalid = question.revents & Int16(POLLNVAL) != 0
        let result = answer < 0 ? -errno : isInvalid ? -EBADF : Int32(question.revents)
        ready.append(Completion(token: record.pointee.pollToken, result: result))
    }
}
