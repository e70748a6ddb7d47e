import CLiburing

/// Serving requests: each one starts something, ends something, or is answered at once.
extension LoopThread {
    mutating func serve(_ request: LoopRequest) {
        switch request {
        case .start(let operation): start(operation)
        case .cancel(let target, let id): cancel(target, id)
        case .call(let handle, let call, let continuation):
            continuation.resume(returning: isOpen(handle) ? perform(call, on: handle) : .failed(LoopError(.closed)))
        case .close(let handle, let continuation): close(handle, continuation)
        case .end(let continuation): end(continuation)
        }
    }

    func isOpen(_ handle: Handle) -> Bool {
        let slot = Int(handle.slot)
        return slot < sockets.count && sockets[slot].handle == handle && !sockets[slot].isClosing
    }

    mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle {
        let handle = try backend.adopt(descriptor)
        while sockets.count <= Int(handle.slot) { sockets.append(LoopSocket()) }
        sockets[Int(handle.slot)] = LoopSocket(handle: handle)
        living += 1
        return handle
    }

    private mutating func start(_ operation: LoopOperation) {
        guard !isEnding else { return operation.refuse(LoopError(.shutDown)) }
        switch operation.target {
        case .inbound(let handle):
            guard isOpen(handle) else { return operation.refuse(LoopError(.closed)) }
            precondition(
                sockets[Int(handle.slot)].inbound == nil, "two tasks receive or accept on one socket at once")
            let timer = startDeadline(operation)
            sockets[Int(handle.slot)].inbound = LoopWaiter(
                operation: operation, token: startInbound(operation.action, handle), timer: timer)
        case .outbound(let handle):
            guard isOpen(handle) else { return operation.refuse(LoopError(.closed)) }
            precondition(sockets[Int(handle.slot)].outbound == nil, "two tasks send on one socket at once")
            let timer = startDeadline(operation)
            sockets[Int(handle.slot)].outbound = startOutbound(operation, handle, timer)
        case .free: startFree(operation)
        }
    }

    private mutating func startInbound(_ action: LoopOperation.Action, _ handle: Handle) -> Token {
        switch action {
        case .accept: backend.accept(handle, multishot: false)
        case .receive: backend.receive(handle, multishot: false)
        case .receiveInto(let memory, let untilFull):
            backend.receive(handle, into: memory.mutable, untilFull: untilFull)
        case .receiveDatagram(let memory): backend.receiveDatagram(handle, into: memory.mutable)
        default: preconditionFailure("not an inbound operation")
        }
    }

    private mutating func startOutbound(
        _ operation: LoopOperation, _ handle: Handle, _ timer: Token?
    ) -> LoopWaiter {
        switch operation.action {
        case .send(let memory):
            return LoopWaiter(
                operation: operation, token: backend.send(handle, memory.bytes), timer: timer,
                expected: memory.count)
        case .sendDatagram(let memory, let address):
            let token = backend.sendDatagram(handle, memory.bytes, to: address)
            return LoopWaiter(operation: operation, token: token, timer: timer, expected: memory.count)
        case .gather(let parts):
            let list = UnsafeMutableBufferPointer<SendPart>.allocate(capacity: parts.count)
            for (position, part) in parts.enumerated() {
                list.initializeElement(at: position, to: SendPart(start: part.start, count: part.count))
            }
            return LoopWaiter(
                operation: operation, token: backend.send(handle, gather: list), timer: timer, list: list,
                expected: parts.reduce(0) { $0 + $1.count })
        default: preconditionFailure("not an outbound operation")
        }
    }

    private mutating func startFree(_ operation: LoopOperation) {
        switch operation.action {
        case .sleep:
            let timer = backend.startTimer(at: operation.deadline ?? .distantPast, every: nil)
            note(LoopTimer(token: timer, operation: operation))
            free[operation.id] = .sleep(timer)
            sleeping += 1
        case .adopt(let number):
            do {
                operation.continuation.resume(returning: .handle(try adopt(Descriptor(owning: number))))
            } catch {
                operation.continuation.resume(returning: .failed(LoopError(error)))
            }
        case .connect(let address):
            do {
                let handle = try adopt(Descriptor.stream(for: address))
                let timer = startDeadline(operation)
                sockets[Int(handle.slot)].outbound = LoopWaiter(
                    operation: operation, token: backend.connect(handle, to: address), timer: timer)
                free[operation.id] = .connect(handle)
            } catch {
                operation.continuation.resume(returning: .failed(LoopError(error)))
            }
        default: preconditionFailure("not an operation without a socket")
        }
    }

    // MARK: Timers

    private mutating func startDeadline(_ operation: LoopOperation) -> Token? {
        guard let deadline = operation.deadline else { return nil }
        let timer = backend.startTimer(at: deadline, every: nil)
        note(LoopTimer(token: timer, operation: operation))
        return timer
    }

    private mutating func note(_ timer: LoopTimer) {
        while timers.count <= Int(timer.token.slot) { timers.append(nil) }
        timers[Int(timer.token.slot)] = timer
    }

    // MARK: At once

    private mutating func perform(_ call: LoopRequest.Call, on handle: Handle) -> LoopAnswer {
        do throws(ProactorError) {
            let number = backend.descriptor(of: handle)
            switch call {
            case .shutdown(let direction):
                if let error = backend.shutdown(handle, direction) { throw .system(error, during: "shutdown") }
                return .done(0)
            case .setOption(let option, let value):
                try Descriptor.setOption(number, option, value)
                return .done(0)
            case .option(let option): return .done(Int(try Descriptor.option(number, option)))
            case .localAddress: return .address(Descriptor.localAddress(of: number))
            case .peerAddress: return .address(Descriptor.peerAddress(of: number))
            }
        } catch {
            return .failed(LoopError(error))
        }
    }
}
