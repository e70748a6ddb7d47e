import CLiburing

/// Answering: the one place that knows what each completion means to the task that waits for it.
extension LoopThread {
    mutating func complete(_ completion: Completion) {
        switch completion.token.purpose {
        case .accept, .receive: completeInbound(completion)
        case .send, .connect: completeOutbound(completion)
        case .timer: completeTimer(completion)
        case .close: completeClose(completion.token)
        case .poll, .wake: break  // this face starts no polls and sends no values
        }
    }

    private mutating func completeInbound(_ completion: Completion) {
        let slot = Int(completion.token.slot)
        guard let waiter = sockets[slot].inbound, waiter.token == completion.token else {
            preconditionFailure("a completion without its waiter")
        }
        sockets[slot].inbound = nil
        stopDeadline(waiter)
        if case .accept = waiter.operation.action, completion.error == nil {
            arrivals.append((waiter.operation, completion.takeDescriptor().release()))
            return
        }
        waiter.operation.continuation.resume(returning: inboundAnswer(waiter, completion, slot))
    }

    mutating func adoptArrivals() {
        for (operation, number) in arrivals {
            let descriptor = Descriptor(owning: number)
            guard !isEnding else {
                operation.refuse(LoopError(.shutDown))
                continue
            }
            do {
                operation.continuation.resume(returning: .handle(try adopt(descriptor)))
            } catch {
                operation.continuation.resume(returning: .failed(LoopError(error)))
            }
        }
        arrivals.removeAll(keepingCapacity: true)
    }

    private mutating func inboundAnswer(_ waiter: LoopWaiter, _ completion: Completion, _ slot: Int) -> LoopAnswer {
        let count = Int(completion.result)
        let isDatagram = if case .receiveDatagram = waiter.operation.action { true } else { false }
        let isEnd = count == 0 && !isDatagram
        guard count >= 0, !(isEnd && isClosed(waiter)) else { return .failed(failure(waiter, completion)) }
        switch waiter.operation.action {
        case .receive:
            guard completion.flags.contains(.buffer) else { return .bytes(nil) }
            let bytes = Array(backend.buffer(completion.buffer)[..<count])
            backend.recycle(completion.buffer)
            return .bytes(bytes)
        case .receiveDatagram:
            // The close of a handle may be delivered in the same batch; it is stale then.
            let handle = sockets[slot].isClosing ? nil : sockets[slot].handle
            return .datagram(count: count, source: handle.flatMap { backend.source(of: $0) })
        default: return .done(count)
        }
    }

    private mutating func completeOutbound(_ completion: Completion) {
        let slot = Int(completion.token.slot)
        guard var waiter = sockets[slot].outbound, waiter.token == completion.token else {
            preconditionFailure("a completion without its waiter")
        }
        let count = waiter.transferred ?? max(0, Int(completion.result))
        if case .connect = waiter.operation.action { return completeConnect(waiter, completion, slot) }
        let isShort = completion.error == nil && count < waiter.expected
        if isShort, waiter.reason == nil, waiter.transferred == nil, let handle = sockets[slot].handle {
            // A send to completion that ends short has met an error, which the next operation reports (law 4).
            waiter.transferred = count
            waiter.token = backend.send(handle, UnsafeRawBufferPointer(start: nil, count: 0))
            sockets[slot].outbound = waiter
            return
        }
        sockets[slot].outbound = nil
        stopDeadline(waiter)
        waiter.list?.deallocate()
        if completion.error == nil, !isShort {
            waiter.operation.continuation.resume(returning: .done(count))
        } else {
            let failure = failure(waiter, completion)
            let answer = LoopError(failure.code, system: failure.system, transferred: count)
            waiter.operation.continuation.resume(returning: .failed(answer))
        }
    }

    private mutating func completeConnect(_ waiter: LoopWaiter, _ completion: Completion, _ slot: Int) {
        sockets[slot].outbound = nil
        stopDeadline(waiter)
        free[waiter.operation.id] = nil
        let handle = sockets[slot].handle!
        guard completion.error == nil, !sockets[slot].isClosing else {
            close(handle, nil)
            waiter.operation.continuation.resume(returning: .failed(failure(waiter, completion)))
            return
        }
        waiter.operation.continuation.resume(returning: .handle(handle))
    }

    /// Why an operation failed: the reason it was cancelled for, or what the system says.
    private func failure(_ waiter: LoopWaiter, _ completion: Completion) -> LoopError {
        let isCancelled = completion.error == nil || completion.error == .canceled
        if let reason = waiter.reason, isCancelled || isClosed(waiter) { return LoopError(reason) }
        return LoopError(.system, system: completion.error ?? .brokenPipe)
    }

    /// Whether this side has closed the socket, or ended the loop. An end or a broken pipe is of its own making then:
    /// the peer may be a socket of the same loop, closed a moment before. After a mere cancel it is the peer's.
    private func isClosed(_ waiter: LoopWaiter) -> Bool { waiter.reason == .closed || waiter.reason == .shutDown }

    // MARK: Timers and closes

    private mutating func stopDeadline(_ waiter: LoopWaiter) {
        guard let timer = waiter.timer, timers[Int(timer.slot)]?.token == timer else { return }
        timers[Int(timer.slot)] = nil
        backend.cancel(timer)
    }

    private mutating func completeTimer(_ completion: Completion) {
        let slot = Int(completion.token.slot)
        // A deadline that was stopped leaves a completion behind; its slot may have a newer owner.
        guard let timer = timers[slot], timer.token == completion.token else { return }
        timers[slot] = nil
        guard case .sleep = timer.operation.action else {
            return cancel(timer.operation.target, timer.operation.id, because: .deadlinePassed)
        }
        free[timer.operation.id] = nil
        sleeping -= 1
        let answer: LoopAnswer =
            completion.error == nil ? .done(0) : .failed(LoopError(timer.reason ?? .cancelled))
        timer.operation.continuation.resume(returning: answer)
    }

    private mutating func completeClose(_ token: Token) {
        let closers = sockets[Int(token.slot)].closers
        sockets[Int(token.slot)] = LoopSocket()
        living -= 1
        for closer in closers { closer.resume(returning: .done(0)) }
    }
}
