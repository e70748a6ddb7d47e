import CLiburing
import Glibc

/// Completions emulated over edge-triggered readiness, for kernels, containers and sandboxes without io_uring.
///
/// An operation is tried at once where the descriptor is believed to be ready; what is done then waits in `ready`.
/// Otherwise it is remembered and tried again when its edge comes. So the hot path costs one system call per
/// transfer, none that changes the set, and an entry into the kernel only when there is nothing to deliver (and
/// every `turnsPerLook` turns besides, so that the descriptors without completions are not starved).
public struct EpollBackend: Backend, ~Copyable {
    /// `epoll`.
    public static var kind: BackendKind { .epoll }

    /// Law 8: transfers or accepts of one descriptor and direction in one turn, before others have theirs.
    static var callsPerTurn: Int { 16 }
    /// With completions waiting, only every so many turns look into the kernel.
    static var turnsPerLook: Int { 8 }

    let set: EpollSet
    let forkPage: ForkPage
    /// Ends a `wait` from any thread.
    public let waker: Waker
    var slots = SlotTable<EpollSocket>()
    /// Completions wait here until the next `wait`, even if the call finished at once: a caller that is still
    /// submitting must never be re-entered.
    var ready = GrowingRing<Completion>(capacity: 256)
    /// Marks of descriptors that can go on, in their turn.
    var runnable = GrowingRing<UInt64>(capacity: 64)
    /// Marks of descriptors whose receive rests until buffers come back.
    var starved = GrowingRing<UInt64>(capacity: 64)
    var pool: LendingPool
    var timers = TimerHeap()
    /// Retries of what gives no edge: accepting out of descriptors, connecting to a full backlog…
    var pauses = TimerHeap()
    /// Whose pause it is and in which direction, by the timer's slot.
    var pauseOwners: [(mark: UInt64, isOutbound: Bool)] = []
    var turnsSinceLook = 0
    /// What was counted so far.
    public internal(set) var counters = EngineCounters()
    /// Which engine this is, and with what.
    public let report: EngineReport

    /// Makes an engine for the calling thread.
    public init(_ configuration: EngineConfiguration) throws(ProactorError) {
        try self.init(configuration, allowNanoseconds: true)
    }

    /// - Parameter allowNanoseconds: false stands for a kernel without epoll_pwait2.
    init(_ configuration: EngineConfiguration, allowNanoseconds: Bool) throws(ProactorError) {
        let set = try EpollSet(allowNanoseconds: allowNanoseconds)
        let forkPage = try ForkPage()
        let waker = try Waker(bound: configuration.wakeBound)
        // Edge-triggered, so the eventfd is never read: each wake is an edge of its own.
        let refusal = set.add(waker.number, mark: EpollSet.wakerMark, for: EpollSet.wakerInterest)
        guard refusal == 0 else { throw .system(SystemError(code: refusal), during: "epoll_ctl of the waker") }
        let nanoseconds = set.hasNanoseconds
        pool = LendingPool(size: configuration.receiveBufferSize, count: configuration.receiveBufferCount)
        self.set = set
        self.forkPage = forkPage
        self.waker = waker
        report = EngineReport(
            backend: .epoll, reason: "completions emulated over readiness",
            features: [
                EngineReport.Feature(
                    name: "nanosecond-waits", since: "5.11", isUsed: nanoseconds,
                    reason: nanoseconds ? "" : "no epoll_pwait2: deadlines are rounded up to milliseconds")
            ])
    }

    deinit {
        // A child's copies share the set and the connections with its parent: it may only close its numbers.
        let isChild = forkPage.isChild
        for slot in 0..<slots.capacity {
            let record = slots[slot]
            if record.pointee.owner & 1 == 1 { Self.close(record, set, isChild: isChild) }
        }
        for position in 0..<ready.count where ready[position].token.purpose == .accept {
            if ready[position].result >= 0 { _ = Glibc.close(ready[position].result) }
        }
    }

    /// Leaves the set, shuts down, and closes, in this order.
    static func close(_ record: UnsafeMutablePointer<EpollSocket>, _ set: borrowing EpollSet, isChild: Bool) {
        let (number, state) = (record.pointee.descriptor, record.pointee.state)
        if !isChild {
            if !state.contains(.outside) { set.remove(number) }
            // So that the peer sees the end even while a forked child holds a copy.
            let isConnection = state.isDisjoint(with: [.foreign, .listening, .notSocket])
            if isConnection, !resets(number) { _ = Glibc.shutdown(number, Int32(SHUT_RDWR)) }
        }
        let isOurs = !state.contains(.foreign) || state.contains(.copied)
        if isOurs { _ = Glibc.close(number) }
        record.pointee.addresses?.deallocate()
        record.pointee.addresses = nil
    }

    /// Whether closing resets the connection (SO_LINGER of zero): a shutdown would send an orderly end first.
    private static func resets(_ number: Int32) -> Bool {
        var value = linger()
        var size = socklen_t(MemoryLayout<linger>.size)
        guard getsockopt(number, SOL_SOCKET, SO_LINGER, &value, &size) == 0 else { return false }
        return value.l_onoff != 0 && value.l_linger == 0
    }

    // MARK: What the capabilities share

    func mark(_ slot: UInt32) -> UInt64 { UInt64(slots[slot].pointee.owner) << 32 | UInt64(slot) }

    /// The record that a mark still names.
    func record(marked mark: UInt64) -> UnsafeMutablePointer<EpollSocket>? {
        let slot = UInt32(truncatingIfNeeded: mark)
        guard slot < slots.capacity, slots[slot].pointee.owner == UInt32(mark >> 32) else { return nil }
        return slots[slot]
    }

    /// Lets the descriptor go on in its turn.
    mutating func enqueue(_ slot: UInt32) {
        let record = slots[slot]
        guard !record.pointee.state.contains(.queued) else { return }
        record.pointee.state.insert(.queued)
        runnable.append(mark(slot))
    }

    /// The token of a new operation.
    mutating func begin(_ handle: Handle, _ purpose: Purpose, occupying: EpollSocket.State) -> Token {
        let record = slots.record(handle)
        precondition(!record.pointee.state.contains(.closing), "the handle is closing")
        precondition(
            record.pointee.state.isDisjoint(with: occupying), "one \(purpose) at a time: another is in flight")
        record.pointee.state.formUnion(occupying)
        record.pointee.operations &+= 1
        counters.submissions += 1
        return Token(slot: handle.slot, generation: record.pointee.operations, purpose: purpose)
    }

    /// Starts the inbound operation, or reports the error that the last one left behind.
    mutating func startInbound(_ handle: Handle, _ operation: PendingOperation) -> Token {
        let record = slots.record(handle)
        record.pointee.inbound = operation
        if record.pointee.inboundError != 0 {
            finishInbound(record, -record.pointee.inboundError)
            record.pointee.inboundError = 0
        } else if record.pointee.state.contains(.readable) {
            advanceInbound(record, handle.slot)
        }
        return operation.token
    }

    /// Starts the outbound operation, or reports the error that the last one left behind.
    mutating func startOutbound(_ handle: Handle, _ operation: PendingOperation) -> Token {
        let record = slots.record(handle)
        record.pointee.outbound = operation
        if record.pointee.outboundError != 0 {
            let error = record.pointee.outboundError
            record.pointee.outboundError = 0
            finishOutbound(record, -error)
        } else if record.pointee.state.contains(.writable) {
            advanceOutbound(record, handle.slot)
        }
        return operation.token
    }

    /// Queues the final completion of the inbound operation.
    mutating func finishInbound(_ record: UnsafeMutablePointer<EpollSocket>, _ result: Int32) {
        ready.append(Completion(token: record.pointee.inbound.token, result: result))
        record.pointee.inbound.kind = .none
    }

    /// Queues the final completion of the outbound operation; a quiet one only keeps its error.
    mutating func finishOutbound(_ record: UnsafeMutablePointer<EpollSocket>, _ result: Int32) {
        record.pointee.outbound.kind = .none
        if record.pointee.outbound.isQuiet {
            record.pointee.state.remove(.sending)
            if result < 0 { record.pointee.outboundError = -result }
        } else {
            ready.append(Completion(token: record.pointee.outbound.token, result: result))
        }
    }

    /// Whether the descriptor is a byte stream; asked for at the first short transfer only.
    func isStream(_ record: UnsafeMutablePointer<EpollSocket>) -> Bool {
        if !record.pointee.state.contains(.typeKnown) {
            record.pointee.state.insert(.typeKnown)
            var type: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            let isKnown = getsockopt(record.pointee.descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0
            if isKnown, type == Int32(SOCK_STREAM.rawValue) { record.pointee.state.insert(.stream) }
        }
        return record.pointee.state.contains(.stream)
    }
}
