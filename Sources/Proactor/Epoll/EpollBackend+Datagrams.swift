import CLiburing
import Glibc

/// Datagrams: one call, one message, with its address.
extension EpollBackend {
    /// Tries at once where a datagram is believed to be there.
    @discardableResult
    public mutating func receiveDatagram(_ socket: Handle, into memory: UnsafeMutableRawBufferPointer) -> Token {
        var operation = PendingOperation(kind: .receiveDatagram)
        operation.token = begin(socket, .receive, occupying: .receiving)
        operation.memory = memory.baseAddress
        operation.count = memory.count
        addresses(slots.record(socket)).pointee.sourceLength = 0
        return startInbound(socket, operation)
    }

    /// Where the last one came from.
    public func source(of socket: Handle) -> SocketAddress? {
        guard let addresses = slots.record(socket).pointee.addresses, addresses.pointee.sourceLength > 0
        else { return nil }
        return SocketAddress(addresses.pointee.source, length: addresses.pointee.sourceLength)
    }

    /// Tries at once.
    @discardableResult
    public mutating func sendDatagram(
        _ socket: Handle, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress
    ) -> Token {
        var operation = PendingOperation(kind: .sendDatagram)
        operation.token = begin(socket, .send, occupying: .sending)
        operation.memory = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        operation.count = bytes.count
        addresses(slots.record(socket)).pointee.target = address
        return startOutbound(socket, operation)
    }

    mutating func receiveMessage(_ record: UnsafeMutablePointer<EpollSocket>) {
        counters.systemCalls += 1
        let addresses = addresses(record)
        var part = iovec(iov_base: record.pointee.inbound.memory, iov_len: record.pointee.inbound.count)
        let number = record.pointee.descriptor
        let result = withUnsafeMutablePointer(to: &part) { part in
            var message = msghdr()
            message.msg_name = UnsafeMutableRawPointer(addresses)  // `source` is its first field
            message.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
            message.msg_iov = part
            message.msg_iovlen = 1
            let result = Int(proactor_receive_message(number, &message, Int32(MSG_DONTWAIT)))
            if result >= 0 { addresses.pointee.sourceLength = message.msg_namelen }
            return result
        }
        if result >= 0 || !isTransient(result, record, forget: .readable) {
            finishInbound(record, Int32(clamping: result))
        }
    }

    mutating func sendMessage(_ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32) {
        counters.systemCalls += 1
        guard let target = addresses(record).pointee.target else {
            preconditionFailure("a datagram that waits has an address")
        }
        var part = iovec(iov_base: record.pointee.outbound.memory, iov_len: record.pointee.outbound.count)
        let number = record.pointee.descriptor
        let result = withUnsafeMutablePointer(to: &part) { part in
            target.withSockaddr { name, length in
                var message = msghdr()
                message.msg_name = UnsafeMutableRawPointer(mutating: name)
                message.msg_namelen = length
                message.msg_iov = part
                message.msg_iovlen = 1
                return Int(proactor_send_message(number, &message, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)))
            }
        }
        // A full queue at an unconnected Unix receiver gives its senders no edge: only a timer goes on.
        if result == -Int(EAGAIN), target.family == .unix {
            record.pointee.outbound.pause = startPause(slot, Self.retryPause, isOutbound: true)
            return
        }
        if result >= 0 || !isTransient(result, record, forget: .writable) {
            finishOutbound(record, Int32(clamping: result))
        }
    }
}
