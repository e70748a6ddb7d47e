import CLiburing
import Glibc

/// Sending: from one block or a gather list, partial or to completion, with or without a completion.
extension EpollBackend {
    /// Tries at once where room is believed to be there.
    @discardableResult
    public mutating func send(_ socket: Handle, _ bytes: UnsafeRawBufferPointer, toCompletion: Bool) -> Token {
        var operation = PendingOperation(kind: .send, continues: toCompletion)
        operation.token = begin(socket, .send, occupying: .sending)
        operation.memory = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        operation.count = bytes.count
        return startOutbound(socket, operation)
    }

    /// To completion, without a completion.
    public mutating func sendQuietly(_ socket: Handle, _ bytes: UnsafeRawBufferPointer) {
        var operation = PendingOperation(kind: .send, continues: true, isQuiet: true)
        operation.token = begin(socket, .send, occupying: .sending)
        operation.memory = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        operation.count = bytes.count
        _ = startOutbound(socket, operation)
    }

    /// Until its completion has been delivered; a quiet one until its last byte went.
    public func isSending(_ socket: Handle) -> Bool { slots.record(socket).pointee.state.contains(.sending) }

    /// Goes on with the outbound operation of a descriptor that is believed to be writable.
    mutating func advanceOutbound(_ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32) {
        var calls = 0
        while record.pointee.outbound.kind != .none, record.pointee.state.contains(.writable),
            record.pointee.outbound.pause == nil
        {
            guard calls < Self.callsPerTurn else { return enqueue(slot) }
            calls += 1
            switch record.pointee.outbound.kind {
            case .send: sendBytes(record)
            case .gather: sendList(record)
            case .connect: connectAgain(record, slot)
            case .sendDatagram: sendMessage(record, slot)
            default: preconditionFailure("not an outbound operation")
            }
        }
    }

    private mutating func sendBytes(_ record: UnsafeMutablePointer<EpollSocket>) {
        let (count, done) = (record.pointee.outbound.count, record.pointee.outbound.done)
        guard let memory = record.pointee.outbound.memory, count > 0 else { return finishOutbound(record, 0) }
        let number = record.pointee.descriptor
        let asked = min(count - done, maximumTransfer)
        counters.systemCalls += 1
        let result: Int
        if record.pointee.state.contains(.notSocket) {
            var element = iovec(iov_base: memory + done, iov_len: asked)
            result = Int(proactor_write_silently(number, &element, 1))
        } else {
            result = Int(proactor_send(number, memory + done, asked, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)))
        }
        sent(record, result, isShort: result < asked, isComplete: done + result == count)
    }

    private mutating func sendList(_ record: UnsafeMutablePointer<EpollSocket>) {
        let list = record.pointee.outbound.memory!.assumingMemoryBound(to: SendPart.self)
        let count = record.pointee.outbound.count
        let number = record.pointee.descriptor
        let asked = (0..<count).reduce(0) { $0 + list[$1].count }
        guard asked > 0 else { return finishOutbound(record, Int32(clamping: record.pointee.outbound.done)) }
        counters.systemCalls += 1
        let result: Int
        if record.pointee.state.contains(.notSocket) {
            result = Int(proactor_write_silently(number, .init(OpaquePointer(list)), Int32(count)))
        } else {
            var message = msghdr()
            message.msg_iov = .init(OpaquePointer(list))
            message.msg_iovlen = count
            result = Int(proactor_send_message(number, &message, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)))
        }
        if result > 0, result < asked, record.pointee.outbound.continues { skip(record, result) }
        sent(record, result, isShort: result < asked, isComplete: result == asked)
    }

    /// Advances the list past what went.
    private func skip(_ record: UnsafeMutablePointer<EpollSocket>, _ bytes: Int) {
        var list = record.pointee.outbound.memory!.assumingMemoryBound(to: SendPart.self)
        var left = bytes
        while left >= list.pointee.count {
            left -= list.pointee.count
            list += 1
            record.pointee.outbound.count -= 1
        }
        list.pointee.start! += left
        list.pointee.count -= left
        record.pointee.outbound.memory = UnsafeMutableRawPointer(list)
    }

    /// What one call came to. Learns from a short one that there is no room, as `receive` does.
    private mutating func sent(
        _ record: UnsafeMutablePointer<EpollSocket>, _ result: Int, isShort: Bool, isComplete: Bool
    ) {
        if result == -Int(ENOTSOCK), !record.pointee.state.contains(.notSocket) {
            record.pointee.state.insert(.notSocket)
            return
        }
        let done = record.pointee.outbound.done
        if result >= 0 {
            record.pointee.outbound.done += result
            if isShort, !record.pointee.state.contains(.hungUp), isStream(record) {
                record.pointee.state.remove(.writable)
            }
            let isOver = isComplete || !record.pointee.outbound.continues
            if isOver { finishOutbound(record, Int32(clamping: done + result)) }
        } else if !isTransient(result, record, forget: .writable) {
            if done > 0 { record.pointee.outboundError = Int32(-result) }
            let isReported = done > 0 && !record.pointee.outbound.isQuiet
            finishOutbound(record, isReported ? Int32(clamping: done) : Int32(result))
        }
    }
}
