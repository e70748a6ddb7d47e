import CLiburing
import Glibc

/// Receiving: into the caller's memory, from the pool, and datagrams.
extension RingEngine {
    mutating func receive(_ handle: Handle, into memory: UnsafeMutableRawBufferPointer, untilFull: Bool) -> Token {
        let socket = sockets.record(handle)
        let token = beginInput(socket, handle.slot, .receive)
        socket.input.pointee.memory = memory.baseAddress
        socket.input.pointee.count = memory.count
        precondition(memory.count <= Int32.max, "at most 2^31 - 1 bytes at once")
        if untilFull { socket.input.pointee.traits = .continues }
        if memory.count == 0 {
            completeLocally(socket.input, 0)
        } else if socket.pointee.inputError != 0 {
            completeWithInputError(socket)
        } else {
            submitReceive(socket)
        }
        return token
    }

    mutating func receive(_ handle: Handle, multishot: Bool) -> Token {
        let socket = sockets.record(handle)
        let token = beginInput(socket, handle.slot, .receivePool)
        if multishot { socket.input.pointee.traits = .multishot }
        if socket.pointee.inputError != 0 {
            completeWithInputError(socket)
        } else {
            submitReceive(socket)
        }
        return token
    }

    mutating func receiveDatagram(_ handle: Handle, into memory: UnsafeMutableRawBufferPointer) -> Token {
        let socket = sockets.record(handle)
        let token = beginInput(socket, handle.slot, .receiveDatagram)
        let messages = socket.messages
        messages.pointee.hasSource = false
        messages.pointee.inputVector = iovec(iov_base: memory.baseAddress, iov_len: memory.count)
        submitReceive(socket)
        return token
    }

    func source(of handle: Handle) -> SocketAddress? {
        guard let messages = sockets.record(handle).pointee.messages, messages.pointee.hasSource else { return nil }
        return SocketAddress(messages.pointee.inputAddress, length: messages.pointee.inputHeader.msg_namelen)
    }

    private mutating func beginInput(
        _ socket: UnsafeMutablePointer<RingSocket>, _ slot: UInt32, _ kind: RingOperation.Kind
    ) -> Token {
        precondition(socket.pointee.input.isIdle, "a receive is in flight on this handle already (law 8)")
        let token = begin(socket, slot, .receive)
        socket.pointee.input = RingOperation(token: token.rawValue, kind: kind)
        return token
    }

    private mutating func completeWithInputError(_ socket: UnsafeMutablePointer<RingSocket>) {
        let error = socket.pointee.inputError
        socket.pointee.inputError = 0
        completeLocally(socket.input, -error)
    }

    /// Hands the receive to the kernel, for the first time or again.
    mutating func submitReceive(_ socket: UnsafeMutablePointer<RingSocket>) {
        let operation = socket.input
        let descriptor = socket.pointee.descriptor
        let token = operation.pointee.token
        let pollFirst = canPollFirst && socket.pointee.state.contains(.drained)
        operation.pointee.phase = .kernel
        inKernel += 1
        switch operation.pointee.kind {
        case .receivePool where !pool.isRing:
            operation.pointee.phase = .polling
            ring.submitPoll(descriptor, PollEvents.readable.rawValue, token)
        case .receivePool where socket.pointee.state.contains(.pipe):
            ring.submitReadSelecting(descriptor, token)
        case .receivePool:
            let multishot = operation.pointee.traits.contains(.multishot) && features.contains(.multishotReceive)
            ring.submitReceiveSelecting(descriptor, multishot: multishot, pollFirst: pollFirst, token)
        case .receiveDatagram:
            let messages = socket.messages
            messages.pointee.inputHeader = msghdr()
            messages.pointee.inputHeader.msg_name = UnsafeMutableRawPointer(messages.pointer(to: \.inputAddress))
            messages.pointee.inputHeader.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
            messages.pointee.inputHeader.msg_iov = messages.pointer(to: \.inputVector)
            messages.pointee.inputHeader.msg_iovlen = 1
            ring.submitReceiveMessage(descriptor, messages.pointer(to: \.inputHeader)!, token)
        default:
            let done = Int(operation.pointee.done)
            let memory = operation.pointee.memory.unsafelyUnwrapped + done
            let count = UInt32(min(operation.pointee.count - done, Self.largestTransfer))
            if socket.pointee.state.contains(.pipe) {
                ring.submitRead(descriptor, into: memory, count: count, token)
            } else {
                // No MSG_WAITALL: the kernel's own continuing (5.19) swallows an error that comes after progress,
                // and a reset would look like an orderly end (law 4).
                ring.submitReceive(descriptor, into: memory, count: count, flags: 0, pollFirst: pollFirst, token)
            }
        }
    }

    /// The kernel's answer to a receive.
    mutating func received(
        _ socket: UnsafeMutablePointer<RingSocket>, _ entry: Ring.Entry, into batch: inout CompletionBatch
    ) {
        let operation = socket.input
        if operation.pointee.phase == .polling { return polled(socket, entry.result, into: &batch) }
        if operation.pointee.kind == .receivePool {
            return receivedFromPool(socket, entry, into: &batch)
        }
        guard entry.result >= 0 else { return receiveFailed(socket, entry.result, into: &batch) }
        if operation.pointee.kind == .receiveDatagram {
            socket.messages.pointee.hasSource = socket.messages.pointee.inputHeader.msg_namelen > 0
            return finish(operation, entry.result, into: &batch)
        }
        let asked = min(operation.pointee.count - Int(operation.pointee.done), Self.largestTransfer)
        operation.pointee.done += entry.result
        note(drained: Int(entry.result) < asked && !entry.isSocketNonempty, socket)
        let isShort = entry.result > 0 && Int(operation.pointee.done) < operation.pointee.count
        if isShort, operation.pointee.traits.contains(.continues), !operation.pointee.isCancelled {
            return submitReceive(socket)
        }
        finish(operation, operation.pointee.done, into: &batch)
    }

    private mutating func receivedFromPool(
        _ socket: UnsafeMutablePointer<RingSocket>, _ entry: Ring.Entry, into batch: inout CompletionBatch
    ) {
        let operation = socket.input
        guard entry.result > 0, entry.hasBuffer else {
            // 5.19 may name a buffer with the end of the stream or an error: it goes straight back.
            if entry.hasBuffer { pool.putBack(entry.buffer) }
            guard entry.result < 0 else { return finish(operation, 0, into: &batch) }
            return receiveFailed(socket, entry.result, into: &batch)
        }
        pool.lend(entry.buffer)
        note(drained: Int(entry.result) < pool.size && !entry.isSocketNonempty, socket)
        let goesOn =
            entry.hasMore || operation.pointee.traits.isSuperset(of: .multishot) && !operation.pointee.isCancelled
        guard goesOn else {
            return finish(operation, entry.result, flags: .buffer, buffer: entry.buffer, into: &batch)
        }
        let token = Token(rawValue: operation.pointee.token)
        batch.append(
            Completion(token: token, result: entry.result, flags: [.more, .buffer], buffer: entry.buffer))
        if !entry.hasMore { rearmReceive(socket) }
    }

    private func note(drained: Bool, _ socket: UnsafeMutablePointer<RingSocket>) {
        if drained {
            socket.pointee.state.insert(.drained)
        } else {
            socket.pointee.state.remove(.drained)
        }
    }

    mutating func rearmReceive(_ socket: UnsafeMutablePointer<RingSocket>) {
        tally.rearms += 1
        submitReceive(socket)
    }

    private mutating func receiveFailed(
        _ socket: UnsafeMutablePointer<RingSocket>, _ result: Int32, into batch: inout CompletionBatch
    ) {
        let operation = socket.input
        let isCancelled = operation.pointee.isCancelled
        switch -result {
        case EINTR where !isCancelled: return submitReceive(socket)
        case EAGAIN where !isCancelled: return pollFirst(operation, socket.pointee.descriptor, .readable)
        case ENOTSOCK where !isCancelled && !socket.pointee.state.contains(.pipe):
            // A pipe end: only its first operation finds out, sockets pay nothing.
            becomePipe(socket)
            return submitReceive(socket)
        case ENOBUFS where operation.pointee.kind == .receivePool && !isCancelled: return starve(operation)
        default: break
        }
        if operation.pointee.done > 0 {
            // Bytes first; the error belongs to the next receive (law 4).
            if !isCancelled { socket.pointee.inputError = -result }
            return finish(operation, operation.pointee.done, into: &batch)
        }
        finish(operation, isCancelled ? cancellation(of: result) : result, into: &batch)
    }

    /// The engine's own reads and writes must not wait; in the ring a pipe then polls first.
    mutating func becomePipe(_ socket: UnsafeMutablePointer<RingSocket>) {
        socket.pointee.state.insert(.pipe)
        tally.systemCalls += 2
        let flags = fcntl(socket.pointee.descriptor, F_GETFL)
        if flags >= 0 { _ = fcntl(socket.pointee.descriptor, F_SETFL, flags | O_NONBLOCK) }
    }

    /// What a cancelled operation reports: kernels up to 6.4 answer some cancelled receives with ENOENT or ENOBUFS.
    func cancellation(of result: Int32) -> Int32 {
        switch -result {
        case ENOENT, ENOBUFS, EINTR, EAGAIN, ENOTSOCK, ECANCELED: -ECANCELED
        default: result
        }
    }

    /// Asks the kernel when to try (again).
    mutating func pollFirst(
        _ operation: UnsafeMutablePointer<RingOperation>, _ descriptor: Int32, _ events: PollEvents
    ) {
        operation.pointee.phase = .polling
        inKernel += 1
        ring.submitPoll(descriptor, events.rawValue, operation.pointee.token)
    }

    /// The socket became readable (or the poll ended) for a receive that polls first.
    private mutating func polled(
        _ socket: UnsafeMutablePointer<RingSocket>, _ result: Int32, into batch: inout CompletionBatch
    ) {
        let operation = socket.input
        guard result >= 0, !operation.pointee.isCancelled else {
            return receiveFailed(socket, operation.pointee.isCancelled ? -ECANCELED : result, into: &batch)
        }
        guard operation.pointee.kind == .receivePool, !pool.isRing else { return submitReceive(socket) }
        receiveIntoPool(socket, into: &batch)
    }

    /// Below 5.19: something is there, so a pool buffer is taken only now, and received into at once.
    private mutating func receiveIntoPool(
        _ socket: UnsafeMutablePointer<RingSocket>, into batch: inout CompletionBatch
    ) {
        let operation = socket.input
        guard let index = pool.take() else { return starve(operation) }
        let buffer = pool.buffer(index)
        tally.systemCalls += 1
        let isPipe = socket.pointee.state.contains(.pipe)
        let result = Int32(
            isPipe
                ? proactor_read(socket.pointee.descriptor, buffer.baseAddress, buffer.count)
                : proactor_receive(
                    socket.pointee.descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT)))
        guard result > 0 else {
            pool.untake(index)
            return result == 0 ? finish(operation, 0, into: &batch) : receiveFailed(socket, result, into: &batch)
        }
        guard operation.pointee.traits.contains(.multishot) else {
            return finish(operation, result, flags: .buffer, buffer: index, into: &batch)
        }
        let token = Token(rawValue: operation.pointee.token)
        batch.append(Completion(token: token, result: result, flags: [.more, .buffer], buffer: index))
        rearmReceive(socket)
    }
}
