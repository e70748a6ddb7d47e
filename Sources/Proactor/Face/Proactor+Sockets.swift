/// Sockets: made, taken over, configured, closed.
extension Proactor {
    /// Listens on a tcp or Unix-domain address.
    /// - Parameters:
    ///   - address: Port 0 lets the kernel choose; `localAddress(of:)` tells.
    ///   - backlog: Connections that may wait for an accept; the kernel caps it (listen(2)).
    ///   - reusePort: Lets several sockets share the address (SO_REUSEPORT).
    /// - Throws: `system` with the cause (address in use, no permission, no descriptor).
    public mutating func listen(
        on address: SocketAddress, backlog: Int32 = 100, reusePort: Bool = false
    ) throws(ProactorError) -> Handle {
        try adopt(Descriptor.listening(on: address, backlog: backlog, reusePort: reusePort))
    }

    /// Accepts one connection: `.accepted`, adopted already.
    @discardableResult
    public mutating func accept(on listener: Handle) -> Token { backend.accept(listener, multishot: false) }

    /// Accepts every connection until cancelled: `.accepted` for each.
    @discardableResult
    public mutating func acceptAll(on listener: Handle) -> Token { backend.accept(listener, multishot: true) }

    /// Starts a connection to a tcp or Unix-domain address: `.connected`, or `.failed` with the attempt's error.
    /// - Returns: The new socket; not to be used before `.connected`.
    /// - Throws: `system` if no socket can be made.
    public mutating func connect(to address: SocketAddress) throws(ProactorError) -> Handle {
        let handle = try adopt(Descriptor.stream(for: address))
        _ = backend.connect(handle, to: address)
        return handle
    }

    /// A datagram socket bound to an address; port 0 lets the kernel choose.
    public mutating func bindDatagram(to address: SocketAddress) throws(ProactorError) -> Handle {
        let handle = try adopt(Descriptor.datagram(boundTo: address))
        sockets[Int(handle.slot)].isDatagram = true
        return handle
    }

    /// Takes over an open socket or pipe end; it is closed with `close`.
    /// - Throws: `system` where one more cannot be registered; the descriptor is closed then.
    public mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle {
        let handle = try backend.adopt(descriptor)
        note(handle)
        return handle
    }

    /// Looks after a descriptor that somebody else owns, for `poll` only. `close` it before its owner does.
    public mutating func watch(foreign descriptor: Int32) throws(ProactorError) -> Handle {
        let handle = try backend.watch(foreign: descriptor)
        note(handle)
        return handle
    }

    /// Gives the descriptor back. Nothing may be in flight on it.
    public mutating func release(_ handle: Handle) -> Descriptor {
        let descriptor = backend.release(handle)
        sockets[Int(handle.slot)] = SocketRecord()
        return descriptor
    }

    /// Ends directions at once: the peer sees the end of the stream after the bytes sent before.
    /// - Returns: The error (not connected), if any.
    @discardableResult
    public mutating func shutdown(_ socket: Handle, _ direction: ShutdownDirection = .send) -> SystemError? {
        backend.shutdown(socket, direction)
    }

    /// Cancels what is in flight, then closes: `.closed`. Closing twice is harmless: the failures of what was in
    /// flight may still be on their way to somebody who closes at each.
    public mutating func close(_ handle: Handle) {
        guard isOpen(handle) else { return }
        sockets[Int(handle.slot)].isClosing = true
        _ = backend.close(handle)
    }

    /// Cancels an operation (or timer): it ends early, with `.failed` and `.canceled`, unless its result won the
    /// race. Harmless if it has ended.
    public mutating func cancel(_ token: Token) { backend.cancel(token) }

    /// Cancels everything in flight on a handle.
    public mutating func cancelAll(_ handle: Handle) { backend.cancelAll(handle) }

    /// The address the socket is bound to.
    public func localAddress(of handle: Handle) -> SocketAddress? {
        Descriptor.localAddress(of: backend.descriptor(of: handle))
    }

    /// The address the socket is connected to.
    public func peerAddress(of handle: Handle) -> SocketAddress? {
        Descriptor.peerAddress(of: backend.descriptor(of: handle))
    }

    /// Sets an integer option (setsockopt(2)).
    public mutating func setOption(
        _ option: SocketOption, of handle: Handle, to value: Int32
    ) throws(ProactorError) {
        try Descriptor.setOption(backend.descriptor(of: handle), option, value)
    }

    /// Reads an integer option (getsockopt(2)).
    public func option(_ option: SocketOption, of handle: Handle) throws(ProactorError) -> Int32 {
        try Descriptor.option(backend.descriptor(of: handle), option)
    }

    // MARK: Records

    mutating func note(_ handle: Handle) {
        while sockets.count <= Int(handle.slot) { sockets.append(SocketRecord()) }
        sockets[Int(handle.slot)] = SocketRecord(handle: handle)
    }

    /// Whether the handle lives and nobody has closed it.
    func isOpen(_ handle: Handle) -> Bool {
        let slot = Int(handle.slot)
        return slot < sockets.count && sockets[slot].handle == handle && !sockets[slot].isClosing
    }

    /// The record of a living handle; traps on a stale one, which is the program's mistake.
    func index(_ handle: Handle) -> Int {
        let slot = Int(handle.slot)
        precondition(slot < sockets.count && sockets[slot].handle == handle, "the handle is stale: it was closed")
        return slot
    }
}
