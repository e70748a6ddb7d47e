import CLiburing

/// Ending early: cancels, closes, and the loop's own end.
extension LoopThread {
    /// Cancels an operation that is still in flight; it answers with its completion.
    mutating func cancel(_ target: LoopOperation.Target, _ id: UInt64, because reason: LoopError.Code = .cancelled)
    {
        switch target {
        case .inbound(let handle):
            guard isOpen(handle), let waiter = sockets[Int(handle.slot)].inbound, waiter.operation.id == id
            else { return }
            sockets[Int(handle.slot)].inbound?.reason = waiter.reason ?? reason
            backend.cancel(waiter.token)
        case .outbound(let handle):
            guard isOpen(handle), let waiter = sockets[Int(handle.slot)].outbound, waiter.operation.id == id
            else { return }
            sockets[Int(handle.slot)].outbound?.reason = waiter.reason ?? reason
            backend.cancel(waiter.token)
        case .free:
            switch free[id] {
            case .sleep(let timer):
                timers[Int(timer.slot)]?.reason = reason
                backend.cancel(timer)
            case .connect(let handle): cancel(.outbound(handle), id, because: reason)
            case nil: break
            }
        }
    }

    /// Closes; what is in flight ends with `.closed`.
    mutating func close(
        _ handle: Handle, _ continuation: LoopContinuation?, because reason: LoopError.Code = .closed
    ) {
        let slot = Int(handle.slot)
        guard slot < sockets.count, sockets[slot].handle == handle else {
            continuation?.resume(returning: .done(0))
            return
        }
        if let continuation { sockets[slot].closers.append(continuation) }
        guard !sockets[slot].isClosing else { return }
        sockets[slot].isClosing = true
        if sockets[slot].inbound?.reason == nil { sockets[slot].inbound?.reason = reason }
        if sockets[slot].outbound?.reason == nil { sockets[slot].outbound?.reason = reason }
        _ = backend.close(handle)
    }

    /// Ends every wait: closes all sockets, cancels all sleeps.
    mutating func end(_ continuation: LoopContinuation?) {
        if let continuation { enders.append(continuation) }
        guard !isEnding else { return }
        isEnding = true
        for slot in sockets.indices {
            if let handle = sockets[slot].handle { close(handle, nil, because: .shutDown) }
        }
        for operation in free.values {
            guard case .sleep(let timer) = operation else { continue }
            timers[Int(timer.slot)]?.reason = .shutDown
            backend.cancel(timer)
        }
    }

    /// Ends the engine and gathers whom to answer afterwards: nothing may be answered while the kernel could still
    /// use its memory.
    consuming func remains(_ error: LoopError) -> LoopRemains {
        var remains = LoopRemains()
        for request in core.close() {
            switch request {
            case .start(let operation): operation.refuse(error)
            case .call(_, _, let continuation): remains.answers.append((continuation, .failed(error)))
            case .close(_, let continuation?), .end(let continuation?):
                remains.answers.append((continuation, .done(0)))
            default: break
            }
        }
        for socket in sockets {
            for waiter in [socket.inbound, socket.outbound] {
                if let waiter { remains.answers.append((waiter.operation.continuation, .failed(error))) }
            }
            for closer in socket.closers { remains.answers.append((closer, .done(0))) }
        }
        for case .sleep(let timer) in free.values {
            guard let sleep = timers[Int(timer.slot)] else { continue }
            remains.answers.append((sleep.operation.continuation, .failed(error)))
        }
        for ender in enders { remains.answers.append((ender, .done(0))) }
        return remains
    }
}
