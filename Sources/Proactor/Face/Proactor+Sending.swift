/// Sending: every send goes to its completion, and the memory is the proactor's until then.
extension Proactor {
    /// Sends an own buffer's bytes; `.sent` brings the buffer back.
    @discardableResult
    public mutating func send(_ buffer: consuming OwnedBuffer, on socket: Handle) -> Token {
        let slot = claimSend(socket)
        let place = buffer.release()
        sockets[slot].outbound = place
        sockets[slot].outboundCount = place.count
        return backend.send(socket, place.filled)
    }

    /// Sends bytes of an array: copied once, so that the array stays the caller's.
    @discardableResult
    public mutating func send(copying bytes: [UInt8], on socket: Handle) -> Token {
        let slot = claimSend(socket)
        let place = OwnedBuffer(copying: bytes).release()
        sockets[slot].outbound = place
        sockets[slot].outboundCount = place.count
        sockets[slot].isCopy = true
        return backend.send(socket, place.filled)
    }

    /// Sends received bytes from the memory they came in: nothing is copied, and the pool has it back when all
    /// went. The ticket ends here.
    @discardableResult
    public mutating func send(_ bytes: LentBytes, on socket: Handle) -> Token {
        check(bytes)
        let slot = claimSend(socket)
        leases[Int(bytes.index)] = 0
        sockets[slot].outboundLent = bytes.index
        sockets[slot].outboundCount = bytes.count
        let memory = UnsafeRawBufferPointer(backend.buffer(bytes.index))
        return backend.send(socket, UnsafeRawBufferPointer(rebasing: memory[..<bytes.count]))
    }

    /// Sends one datagram; `.sent` brings the buffer back.
    @discardableResult
    public mutating func sendDatagram(
        _ buffer: consuming OwnedBuffer, to address: SocketAddress, on socket: Handle
    ) -> Token {
        let slot = claimSend(socket)
        let place = buffer.release()
        sockets[slot].outbound = place
        sockets[slot].outboundCount = place.count
        return backend.sendDatagram(socket, place.filled, to: address)
    }

    /// Whether a send or connect is in flight on the socket.
    public func isSending(_ socket: Handle) -> Bool { backend.isSending(socket) }

    // MARK: Time and readiness

    /// `.timer` at the deadline; with an interval (at least 1 ns) again and again until cancelled. Missed intervals
    /// are skipped. O(log timers).
    @discardableResult
    public mutating func startTimer(at deadline: Deadline, every interval: Duration? = nil) -> Token {
        backend.startTimer(at: deadline, every: interval)
    }

    /// `.ready` once, when the descriptor is ready.
    @discardableResult
    public mutating func poll(_ handle: Handle, for events: PollEvents) -> Token {
        backend.poll(handle, for: events)
    }

    private mutating func claimSend(_ socket: Handle) -> Int {
        let slot = index(socket)
        precondition(
            sockets[slot].outbound == nil && sockets[slot].outboundLent == nil && !backend.isSending(socket),
            "one send at a time: another is in flight")
        return slot
    }
}
