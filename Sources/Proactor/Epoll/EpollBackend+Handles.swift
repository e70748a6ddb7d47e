import CLiburing
import Glibc

/// Taking descriptors over, cancelling what is in flight on them, and giving them back.
extension EpollBackend {
    /// Makes it non-blocking and registers it once, in both directions.
    public mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle {
        var one: Int32 = 1
        guard ioctl(descriptor.number, UInt(FIONBIO), &one) == 0 else { throw .last("O_NONBLOCK") }
        let handle = try register(descriptor.number, [])
        slots.record(handle).pointee.descriptor = descriptor.release()
        return handle
    }

    /// Registers it for `poll`; forget it (`close`) before its owner closes it.
    public mutating func watch(foreign descriptor: Int32) throws(ProactorError) -> Handle {
        do {
            return try register(descriptor, [.foreign])
        } catch {
            guard error.errno == EEXIST else { throw error }
        }
        // In the set already, as somebody's handle: a copy of the number is a member of its own.
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw .last("fcntl F_DUPFD_CLOEXEC") }
        do {
            return try register(copy, [.foreign, .copied])
        } catch {
            _ = Glibc.close(copy)
            throw error
        }
    }

    private mutating func register(_ number: Int32, _ state: EpollSocket.State) throws(ProactorError) -> Handle {
        guard let handle = slots.insert() else {
            throw .system(SystemError(code: ENFILE), during: "taking one of 2^24 slots")
        }
        let record = slots[handle.slot]
        record.pointee.reset(descriptor: number)
        record.pointee.state.formUnion(state)
        let refusal = set.add(number, mark: mark(handle.slot))
        if refusal == EPERM {
            record.pointee.state.formUnion([.outside, .notSocket])
        } else if refusal != 0 {
            slots.remove(handle.slot)
            throw .system(SystemError(code: refusal), during: "epoll_ctl")
        }
        return handle
    }

    /// Takes it out of the set; it stays non-blocking.
    public mutating func release(_ handle: Handle) -> Descriptor {
        let record = slots.record(handle)
        precondition(
            record.pointee.state.isDisjoint(with: [.receiving, .sending, .polling, .closing, .foreign]),
            "release needs an idle descriptor of one's own")
        let number = record.pointee.descriptor
        if !record.pointee.state.contains(.outside) { set.remove(number) }
        record.pointee.addresses?.deallocate()
        record.pointee.addresses = nil
        slots.remove(handle.slot)
        return Descriptor(owning: number)
    }

    /// The number, borrowed.
    public func descriptor(of handle: Handle) -> Int32 { slots.record(handle).pointee.descriptor }

    /// Ends directions at once.
    public mutating func shutdown(_ socket: Handle, _ direction: ShutdownDirection) -> SystemError? {
        counters.systemCalls += 1
        let done = Glibc.shutdown(slots.record(socket).pointee.descriptor, direction.rawValue)
        return done == 0 ? nil : SystemError(code: errno)
    }

    // MARK: Cancelling

    /// Queues the completion; bytes that went already are its result.
    public mutating func cancel(_ token: Token) {
        if token.purpose == .timer {
            guard timers.cancel(token) else { return }
            ready.append(Completion(token: token, result: -ECANCELED))
            return
        }
        guard token.slot < slots.capacity else { return }
        let record = slots[token.slot]
        if record.pointee.inbound.token == token { cancelInbound(record) }
        if record.pointee.outbound.token == token { cancelOutbound(record) }
        if record.pointee.pollToken == token { cancelPoll(record) }
    }

    /// Cancels both directions and the poll.
    public mutating func cancelAll(_ handle: Handle) {
        let record = slots.record(handle)
        cancelInbound(record)
        cancelOutbound(record)
        cancelPoll(record)
    }

    /// Bytes that went already are the result: a cancelled operation loses none.
    private mutating func cancelInbound(_ record: UnsafeMutablePointer<EpollSocket>) {
        guard record.pointee.inbound.kind != .none else { return }
        if let pause = record.pointee.inbound.pause { _ = pauses.cancel(pause) }
        let done = record.pointee.inbound.done
        finishInbound(record, done > 0 ? Int32(clamping: done) : -ECANCELED)
    }

    private mutating func cancelOutbound(_ record: UnsafeMutablePointer<EpollSocket>) {
        guard record.pointee.outbound.kind != .none else { return }
        if let pause = record.pointee.outbound.pause { _ = pauses.cancel(pause) }
        // Nobody sees the bytes of a quiet send: that its stream was cut must show up in the next operation.
        let done = record.pointee.outbound.isQuiet ? 0 : record.pointee.outbound.done
        finishOutbound(record, done > 0 ? Int32(clamping: done) : -ECANCELED)
    }

    private mutating func cancelPoll(_ record: UnsafeMutablePointer<EpollSocket>) {
        guard record.pointee.pollEvents != 0 else { return }
        record.pointee.pollEvents = 0
        ready.append(Completion(token: record.pointee.pollToken, result: -ECANCELED))
    }

    // MARK: Closing

    /// Cancels now; leaves the set, shuts down and closes when the completion is delivered.
    @discardableResult
    public mutating func close(_ handle: Handle) -> Token {
        let token = begin(handle, .close, occupying: .closing)
        cancelAll(handle)
        ready.append(Completion(token: token, result: 0))
        return token
    }

    /// Closes when the completion is delivered: after the last one of every operation.
    mutating func finishClose(_ slot: UInt32) {
        Self.close(slots[slot], set, isChild: false)
        counters.systemCalls += 4
        slots.remove(slot)
    }
}
