import CLiburing
import Glibc
import Synchronization

/// Cancelling, closing, and the end of everything.
extension RingEngine {
    mutating func cancel(_ token: Token) {
        if token.purpose == .timer {
            guard timers.cancel(token) else { return }
            ready.append(Completion(token: token, result: -ECANCELED))
            return
        }
        guard token.slot < sockets.capacity else { return }
        let socket = sockets[token.slot]
        switch token.purpose {
        case .accept, .receive: cancel(socket.input, token.rawValue)
        case .connect, .send: cancel(socket.output, token.rawValue)
        case .poll: cancel(socket.poll, token.rawValue)
        case .close, .timer, .wake: break
        }
    }

    private mutating func cancel(_ operation: UnsafeMutablePointer<RingOperation>, _ token: UInt64) {
        guard operation.pointee.token == token, mark(operation) else { return }
        ring.submitCancel(token, skipSuccess: features.contains(.skipSuccess))
    }

    /// Marks an operation as cancelled; ends it at once if the kernel does not have it.
    /// - Returns: whether the kernel must be asked.
    private mutating func mark(_ operation: UnsafeMutablePointer<RingOperation>) -> Bool {
        guard !operation.pointee.isIdle, !operation.pointee.isCancelled else { return false }
        operation.pointee.traits.insert(.cancelled)
        switch operation.pointee.phase {
        case .kernel, .polling: return true
        case .starved: starvedCount -= 1
        case .backingOff:
            let token = operation.pointee.token
            if let index = backoffs.firstIndex(where: { $0.operation == token }) {
                _ = timers.cancel(backoffs.remove(at: index).timer)
            }
        }
        completeLocally(operation, -ECANCELED)
        return false
    }

    mutating func cancelAll(_ handle: Handle) {
        cancelAll(sockets.record(handle))
    }

    private mutating func cancelAll(_ socket: UnsafeMutablePointer<RingSocket>) {
        let skip = features.contains(.skipSuccess)
        let tokens = (
            mark(socket.input) ? socket.input.pointee.token : 0,
            mark(socket.output) ? socket.output.pointee.token : 0,
            mark(socket.poll) ? socket.poll.pointee.token : 0
        )
        let count = (tokens.0 == 0 ? 0 : 1) + (tokens.1 == 0 ? 0 : 1) + (tokens.2 == 0 ? 0 : 1)
        // One submission for several operations (5.19). A watched descriptor may be watched twice: token by token.
        if count > 1, features.contains(.cancelByDescriptor), !socket.pointee.state.contains(.foreign) {
            return ring.submitCancelAll(socket.pointee.descriptor, skipSuccess: skip)
        }
        if tokens.0 != 0 { ring.submitCancel(tokens.0, skipSuccess: skip) }
        if tokens.1 != 0 { ring.submitCancel(tokens.1, skipSuccess: skip) }
        if tokens.2 != 0 { ring.submitCancel(tokens.2, skipSuccess: skip) }
    }

    mutating func shutdown(_ handle: Handle, _ direction: ShutdownDirection) -> SystemError? {
        let socket = sockets.record(handle)
        tally.systemCalls += 1
        return Glibc.shutdown(socket.pointee.descriptor, direction.rawValue) == 0 ? nil : SystemError(code: errno)
    }

    // MARK: Closing

    mutating func close(_ handle: Handle) -> Token {
        let socket = sockets.record(handle)
        let token = begin(socket, handle.slot, .close)
        socket.pointee.state.insert(.closing)
        socket.pointee.closeToken = token.rawValue
        // The marking below may end the last operation, and then the close runs from within: once only.
        cancelAll(socket)
        closeIfQuiescent(handle.slot)
        return token
    }

    /// Closes a closing handle's descriptor after its last operation, and completes the close.
    mutating func closeIfQuiescent(_ slot: UInt32) {
        let socket = sockets[slot]
        guard socket.pointee.state.contains(.closing), socket.pointee.isQuiescent, socket.pointee.closeToken != 0
        else { return }
        let token = Token(rawValue: socket.pointee.closeToken)
        socket.pointee.closeToken = 0
        end(socket)
        ready.append(Completion(token: token, result: 0))
    }

    /// Shutdown precedes close: a forked child's copy would keep the peer connected (law 6).
    private mutating func end(_ socket: UnsafeMutablePointer<RingSocket>) {
        let descriptor = socket.pointee.descriptor
        socket.pointee.descriptor = -1
        guard !socket.pointee.state.contains(.foreign), descriptor >= 0 else { return }
        // In a child the connection is the parent's: only the copy of the descriptor goes.
        let isWhole = !ring.isForked && !socket.pointee.state.contains(.listener) && !resets(descriptor)
        if isWhole { _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }
        _ = Glibc.close(descriptor)
        tally.systemCalls += isWhole ? 3 : 2
    }

    /// Whether closing resets the connection (SO_LINGER of zero): a shutdown would send an orderly end first.
    private func resets(_ descriptor: Int32) -> Bool {
        var value = linger()
        var size = socklen_t(MemoryLayout<linger>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, &size) == 0 else { return false }
        return value.l_onoff != 0 && value.l_linger == 0
    }

    // MARK: The end

    /// Entries that the end may take to reap what is in flight, 10 ms each at most.
    private static var lastEntries: Int { 64 }

    /// Cancels everything, reaps it, closes what the engine owns and ends the ring.
    /// - Returns: whether nothing is in flight any more: only then may the memory be freed.
    mutating func shutDown() -> Bool {
        let isForked = ring.isForked
        if !isForked { reapAll() }
        for slot in 0..<sockets.capacity where sockets[slot].pointee.owner & 1 == 1 {
            end(sockets[slot])
        }
        ring.exit()
        guard inKernel == 0, !isWakerArmed else {
            if !isForked { Self.abandoned.add(1, ordering: .relaxed) }
            return false
        }
        for slot in 0..<sockets.capacity { sockets[slot].pointee.messages?.deallocate() }
        return true
    }

    private mutating func reapAll() {
        if features.contains(.cancelByDescriptor) {
            ring.submitCancelAll(-1, skipSuccess: features.contains(.skipSuccess))
        } else {
            for slot in 0..<sockets.capacity where sockets[slot].pointee.owner & 1 == 1 {
                cancelAll(sockets[slot])
            }
            if isWakerArmed { ring.submitCancel(Ring.Internal.wake.rawValue, skipSuccess: false) }
        }
        var pause = __kernel_timespec(tv_sec: 0, tv_nsec: 10_000_000)
        for _ in 0..<Self.lastEntries where inKernel > 0 || isWakerArmed || ring.pending > 0 {
            // The first entries only hand over: silent sends have nothing to wait for.
            let answer = ring.enter(minimum: ring.pending > 0 || ring.hasCompletion ? 0 : 1, timeout: &pause)
            if answer >= 0, ring.pending == 0 { noteSilentTaken() }
            while let entry = ring.takeCompletion() { discard(entry) }
            settleSilent()
        }
    }

    /// The end of an operation whose completion nobody will see: nothing it carries may leak.
    private mutating func discard(_ entry: Ring.Entry) {
        guard entry.userData >> 56 < 0x80 else {
            if entry.userData == Ring.Internal.wake.rawValue { isWakerArmed = false }
            return
        }
        let token = Token(rawValue: entry.userData)
        let socket = sockets[token.slot]
        if !entry.hasMore { inKernel -= 1 }
        switch token.purpose {
        case .accept where entry.result >= 0 && socket.input.pointee.phase != .polling:
            _ = Glibc.close(entry.result)
        case .send: socket.output.pointee.traits.remove(.silent)
        default: break
        }
    }
}
