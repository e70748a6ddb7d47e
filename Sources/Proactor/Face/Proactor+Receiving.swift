/// Receiving: into memory that the proactor lends, or into a buffer of one's own.
extension Proactor {
    /// Receives what comes next, into lent memory: `.received`, or `.ended`. A waiting receive holds no memory.
    @discardableResult
    public mutating func receive(on socket: Handle) -> Token { backend.receive(socket, multishot: false) }

    /// Receives all that comes until the end or a cancel, into lent memory: `.received` for each piece.
    @discardableResult
    public mutating func receiveAll(on socket: Handle) -> Token { backend.receive(socket, multishot: true) }

    /// Receives into an own buffer, behind what it holds already: `.filled`, or `.ended`, with the buffer.
    /// - Parameters:
    ///   - buffer: Needs room for at least one byte.
    ///   - socket: A connected socket.
    ///   - untilFull: Goes on until it is full or the stream ends.
    @discardableResult
    public mutating func receive(
        into buffer: consuming OwnedBuffer, on socket: Handle, untilFull: Bool = false
    ) -> Token {
        let slot = index(socket)
        let place = buffer.release()
        precondition(place.count < place.capacity, "a full buffer receives nothing")
        precondition(sockets[slot].inbound == nil, "one receive at a time: another is in flight")
        sockets[slot].inbound = place
        let room = UnsafeMutableRawBufferPointer(rebasing: place.whole[place.count...])
        return backend.receive(socket, into: room, untilFull: untilFull)
    }

    /// Receives one datagram into an own buffer, from its start: `.filled`; `source(of:)` tells its sender until
    /// the next one is started. What does not fit is cut off.
    @discardableResult
    public mutating func receiveDatagram(into buffer: consuming OwnedBuffer, on socket: Handle) -> Token {
        let slot = index(socket)
        var place = buffer.release()
        precondition(sockets[slot].inbound == nil, "one receive at a time: another is in flight")
        place.count = 0
        sockets[slot].inbound = place
        return backend.receiveDatagram(socket, into: place.whole)
    }

    /// Where the datagram last received on the handle came from; nil if it tells no address or is being closed.
    public func source(of socket: Handle) -> SocketAddress? {
        isOpen(socket) ? backend.source(of: socket) : nil
    }

    /// Calls with bytes received this turn.
    public borrowing func withBytes<Result, Failure: Error>(
        of bytes: LentBytes, _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        check(bytes)
        let memory = UnsafeRawBufferPointer(backend.buffer(bytes.index))
        return try body(UnsafeRawBufferPointer(rebasing: memory[..<bytes.count]).bytes)
    }

    /// A copy of bytes received this turn.
    public borrowing func copy(_ bytes: LentBytes) -> [UInt8] {
        check(bytes)
        return Array(backend.buffer(bytes.index)[..<bytes.count])
    }

    /// The buffer that came back with an event of this turn; once.
    public mutating func take(_ buffer: ReturnedBuffer) -> OwnedBuffer {
        precondition(buffer.turn == turn, "a returned buffer is to be taken before the next wait")
        guard let place = returned[buffer.position] else { preconditionFailure("the buffer was taken already") }
        returned[buffer.position] = nil
        return OwnedBuffer(place)
    }

    // MARK: Tickets

    func check(_ bytes: LentBytes) {
        precondition(
            bytes.turn == turn && leases[Int(bytes.index)] == turn,
            "lent bytes are to be used before the next wait, and before they are sent")
    }

    /// What nobody took in its turn goes back to where it belongs.
    mutating func endTickets() {
        for index in lent where leases[Int(index)] == turn {
            leases[Int(index)] = 0
            backend.recycle(index)
        }
        lent.removeAll(keepingCapacity: true)
        for place in returned { if let place { _ = OwnedBuffer(place) } }
        returned.removeAll(keepingCapacity: true)
        turn += 1
    }

    mutating func ticket(_ place: OwnedBuffer.Place) -> ReturnedBuffer {
        returned.append(place)
        return ReturnedBuffer(position: returned.count - 1, turn: turn, count: place.count)
    }
}
