/// Sockets of a loop: made on the caller's thread, adopted on the loop's.
extension ProactorLoop {
    /// Listens on a tcp or Unix-domain address.
    /// - Parameters:
    ///   - address: Port 0 lets the kernel choose; the listener's `localAddress` tells.
    ///   - backlog: Connections that may wait for an accept; the kernel caps it (listen(2)).
    ///   - reusePort: Lets several sockets share the address (SO_REUSEPORT).
    /// - Throws: `system` with the cause, `shutDown`.
    public nonisolated(nonsending) func listen(
        on address: SocketAddress, backlog: Int32 = 100, reusePort: Bool = false
    ) async throws(LoopError) -> AsyncListener {
        let number: Int32
        do {
            number = try Descriptor.listening(on: address, backlog: backlog, reusePort: reusePort).release()
        } catch { throw LoopError(error) }
        let local = Descriptor.localAddress(of: number)
        return AsyncListener(AsyncSocket(self, try await adopt(number)), local)
    }

    /// Connects to a tcp or Unix-domain address.
    /// - Parameters:
    ///   - address: Where to.
    ///   - deadline: Nil leaves it to the kernel (minutes).
    /// - Throws: `system` with the attempt's error (refused, unreachable), `deadlinePassed`, `cancelled`, `shutDown`.
    public nonisolated(nonsending) func connect(
        to address: SocketAddress, until deadline: Deadline? = nil
    ) async throws(LoopError) -> AsyncConnection {
        switch await core.perform(.connect(address), .free, until: deadline) {
        case .handle(let handle): return AsyncConnection(AsyncSocket(self, handle))
        case .failed(let error): throw error
        default: preconditionFailure("a connect is answered with a handle")
        }
    }

    /// A datagram socket bound to an address; port 0 lets the kernel choose.
    /// - Throws: `system` with the cause, `shutDown`.
    public nonisolated(nonsending) func bindDatagram(
        to address: SocketAddress
    ) async throws(LoopError) -> AsyncDatagramSocket {
        let number: Int32
        do { number = try Descriptor.datagram(boundTo: address).release() } catch { throw LoopError(error) }
        let local = Descriptor.localAddress(of: number)
        return AsyncDatagramSocket(AsyncSocket(self, try await adopt(number)), local)
    }

    /// Takes over a connected socket or a pipe end.
    /// - Throws: `system` where it cannot be registered, `shutDown`; it is closed then.
    public nonisolated(nonsending) func adopt(
        _ descriptor: consuming Descriptor
    ) async throws(LoopError) -> AsyncConnection {
        AsyncConnection(AsyncSocket(self, try await adopt(descriptor.release())))
    }

    private nonisolated(nonsending) func adopt(_ number: Int32) async throws(LoopError) -> Handle {
        switch await core.perform(.adopt(number), .free, until: nil) {
        case .handle(let handle): return handle
        case .failed(let error): throw error
        default: preconditionFailure("an adopt is answered with a handle")
        }
    }
}
