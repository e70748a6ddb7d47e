import CLiburing
import Glibc

/// Receiving: into the caller's memory, or into buffers lent from the pool only when bytes are there.
extension EpollBackend {
    /// Tries at once where bytes are believed to be there.
    @discardableResult
    public mutating func receive(
        _ socket: Handle, into memory: UnsafeMutableRawBufferPointer, untilFull: Bool
    ) -> Token {
        var operation = PendingOperation(kind: .receive, continues: untilFull)
        operation.token = begin(socket, .receive, occupying: .receiving)
        operation.memory = memory.baseAddress
        operation.count = memory.count
        return startInbound(socket, operation)
    }

    /// Takes a buffer for each try, and gives it back where nothing is there.
    @discardableResult
    public mutating func receive(_ socket: Handle, multishot: Bool) -> Token {
        var operation = PendingOperation(kind: .lend, continues: multishot)
        operation.token = begin(socket, .receive, occupying: .receiving)
        return startInbound(socket, operation)
    }

    /// A lent buffer.
    public func buffer(_ index: UInt16) -> UnsafeMutableRawBufferPointer { pool[index] }

    /// Resting receives go on with the next `wait`.
    public mutating func recycle(_ index: UInt16) {
        pool.giveBack(index)
        counters.buffersOut = UInt64(pool.lent)
    }

    /// Goes on with the inbound operation of a descriptor that is believed to be readable.
    mutating func advanceInbound(_ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32) {
        var calls = 0
        while record.pointee.inbound.kind != .none, record.pointee.state.contains(.readable),
            record.pointee.inbound.pause == nil
        {
            guard calls < Self.callsPerTurn else { return enqueue(slot) }
            calls += 1
            switch record.pointee.inbound.kind {
            case .receive: receiveBytes(record)
            case .lend: guard receiveLent(record, slot) else { return }
            case .accept: acceptConnection(record, slot)
            case .receiveDatagram: receiveMessage(record)
            default: preconditionFailure("not an inbound operation")
            }
        }
    }

    private mutating func receiveBytes(_ record: UnsafeMutablePointer<EpollSocket>) {
        let (count, done) = (record.pointee.inbound.count, record.pointee.inbound.done)
        guard let memory = record.pointee.inbound.memory, count > 0 else { return finishInbound(record, 0) }
        let result = transferIn(record, memory + done, count - done)
        if result > 0 {
            record.pointee.inbound.done += result
            let isComplete = !record.pointee.inbound.continues || done + result == count
            if isComplete { finishInbound(record, Int32(clamping: done + result)) }
        } else if result == 0 {
            finishInbound(record, Int32(clamping: done))
        } else if !isTransient(result, record, forget: .readable) {
            // Progress is reported, and the error by the next operation (law 4).
            if done > 0 { record.pointee.inboundError = Int32(-result) }
            finishInbound(record, done > 0 ? Int32(clamping: done) : Int32(result))
        }
    }

    /// - Returns: false where no buffer is free and the operation rests.
    private mutating func receiveLent(_ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32) -> Bool {
        guard let index = pool.take() else {
            if !record.pointee.state.contains(.starved) {
                record.pointee.state.insert(.starved)
                starved.append(mark(slot))
                counters.starvations += 1
            }
            return false
        }
        let buffer = pool[index]
        let result = transferIn(record, buffer.baseAddress!, buffer.count)
        guard result > 0 else {
            pool.giveBack(index)
            let isFinal = result == 0 || !isTransient(result, record, forget: .readable)
            if isFinal { finishInbound(record, Int32(result)) }
            return true
        }
        counters.buffersLent += 1
        counters.buffersOut = UInt64(pool.lent)
        let flags: Completion.Flags = record.pointee.inbound.continues ? [.buffer, .more] : .buffer
        ready.append(
            Completion(
                token: record.pointee.inbound.token, result: Int32(result), flags: flags, buffer: index))
        if !record.pointee.inbound.continues { record.pointee.inbound.kind = .none }
        return true
    }

    /// One receive. Learns from a short one that nothing is left, which saves the call that would answer EAGAIN.
    private mutating func transferIn(
        _ record: UnsafeMutablePointer<EpollSocket>, _ memory: UnsafeMutableRawPointer, _ count: Int
    ) -> Int {
        let number = record.pointee.descriptor
        let asked = min(count, maximumTransfer)
        counters.systemCalls += 1
        if record.pointee.state.contains(.notSocket) {
            let result = Glibc.read(number, memory, asked)
            return result < 0 ? -Int(errno) : result
        }
        let result = Int(proactor_receive(number, memory, asked, Int32(MSG_DONTWAIT)))
        if result == -Int(ENOTSOCK) {
            record.pointee.state.insert(.notSocket)
            return transferIn(record, memory, count)
        }
        if result > 0, result < asked, !record.pointee.state.contains(.hungUp), isStream(record) {
            record.pointee.state.remove(.readable)
        }
        return result
    }

    /// EINTR is tried again; EAGAIN forgets the readiness, and the edge will come. Neither is a result (law 4).
    func isTransient(
        _ result: Int, _ record: UnsafeMutablePointer<EpollSocket>, forget: EpollSocket.State
    ) -> Bool {
        if result == -Int(EINTR) { return true }
        guard result == -Int(EAGAIN), !record.pointee.state.contains(.outside) else { return false }
        record.pointee.state.remove(forget)
        return true
    }

    /// What Linux transfers at most in one call (MAX_RW_COUNT); larger ones go on.
    var maximumTransfer: Int { 0x7fff_f000 }
}
