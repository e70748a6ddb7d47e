import CLiburing
import Glibc

/// Sending: bytes, gather lists, datagrams, and the quiet form.
extension RingEngine {
    mutating func send(_ handle: Handle, _ bytes: UnsafeRawBufferPointer, toCompletion: Bool) -> Token {
        let socket = sockets.record(handle)
        let token = beginOutput(socket, handle.slot, .send)
        precondition(bytes.count <= Int32.max, "at most 2^31 - 1 bytes at once")
        socket.output.pointee.memory = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        socket.output.pointee.count = bytes.count
        if toCompletion { socket.output.pointee.traits = .continues }
        startSend(socket)
        return token
    }

    /// The kernel tries once and stays silent if all went (5.17); else its completion starts an ordinary send, which
    /// is swallowed. So the direction is known to be free as soon as the entry that submitted it was collected.
    mutating func sendQuietly(_ handle: Handle, _ bytes: UnsafeRawBufferPointer) {
        let socket = sockets.record(handle)
        let token = beginOutput(socket, handle.slot, .send)
        precondition(bytes.count <= Int32.max, "at most 2^31 - 1 bytes at once")
        socket.output.pointee.memory = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        socket.output.pointee.count = bytes.count
        socket.output.pointee.traits = [.continues, .quiet]
        let isPlain = socket.pointee.outputError == 0 && !socket.pointee.state.contains(.pipe) && bytes.count > 0
        if isPlain, features.contains(.skipSuccess) {
            socket.output.pointee.traits.insert(.silent)
            silent.append(token.rawValue)
        }
        // An earlier error stays for the next operation that can report it.
        if socket.pointee.outputError != 0 { return completeLocally(socket.output, 0) }
        startSend(socket)
    }

    mutating func send(
        _ handle: Handle, gather list: UnsafeMutableBufferPointer<SendPart>, toCompletion: Bool
    ) -> Token {
        precondition((1...1024).contains(list.count), "a gather list has 1 to 1024 elements")
        let socket = sockets.record(handle)
        let token = beginOutput(socket, handle.slot, .gather)
        var total = 0
        for element in list { total += element.count }
        precondition(total <= Int32.max, "at most 2^31 - 1 bytes at once")
        socket.output.pointee.count = total
        if toCompletion { socket.output.pointee.traits = .continues }
        let messages = socket.messages
        messages.pointee.outputHeader = msghdr()
        messages.pointee.outputHeader.msg_iov = .init(OpaquePointer(list.baseAddress))
        messages.pointee.outputHeader.msg_iovlen = list.count
        startSend(socket)
        return token
    }

    mutating func sendDatagram(
        _ handle: Handle, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress
    ) -> Token {
        let socket = sockets.record(handle)
        let token = beginOutput(socket, handle.slot, .sendDatagram)
        let messages = socket.messages
        messages.pointee.setDestination(address)
        messages.pointee.outputVector = iovec(
            iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        messages.pointee.outputHeader = msghdr()
        messages.pointee.outputHeader.msg_name = UnsafeMutableRawPointer(messages.pointer(to: \.outputAddress))
        messages.pointee.outputHeader.msg_namelen = messages.pointee.outputLength
        messages.pointee.outputHeader.msg_iov = messages.pointer(to: \.outputVector)
        messages.pointee.outputHeader.msg_iovlen = 1
        submitSend(socket)
        return token
    }

    private mutating func beginOutput(
        _ socket: UnsafeMutablePointer<RingSocket>, _ slot: UInt32, _ kind: RingOperation.Kind
    ) -> Token {
        precondition(socket.pointee.output.isIdle, "a send is in flight on this handle already (law 8)")
        let token = begin(socket, slot, .send)
        socket.pointee.output = RingOperation(token: token.rawValue, kind: kind)
        return token
    }

    private mutating func startSend(_ socket: UnsafeMutablePointer<RingSocket>) {
        if socket.pointee.outputError != 0 {
            let error = socket.pointee.outputError
            socket.pointee.outputError = 0
            completeLocally(socket.output, -error)
        } else if socket.output.pointee.count == 0 {
            completeLocally(socket.output, 0)
        } else {
            submitSend(socket)
        }
    }

    /// Hands the send to the kernel, for the first time or again.
    mutating func submitSend(_ socket: UnsafeMutablePointer<RingSocket>) {
        let operation = socket.output
        // Written by the engine itself, as a write in the ring would raise SIGPIPE.
        if socket.pointee.state.contains(.pipe) {
            return pollFirst(operation, socket.pointee.descriptor, .writable)
        }
        let descriptor = socket.pointee.descriptor
        let token = operation.pointee.token
        let traits = operation.pointee.traits
        operation.pointee.phase = .kernel
        inKernel += 1
        var flags = Int32(MSG_NOSIGNAL)
        if traits.contains(.continues) { flags |= Int32(MSG_WAITALL) }
        if operation.pointee.kind != .send {
            let header = socket.messages.pointer(to: \.outputHeader)!
            if operation.pointee.kind == .sendDatagram, socket.messages.pointee.isForUnix {
                flags |= Int32(MSG_DONTWAIT)
            }
            ring.submitSendMessage(descriptor, header, flags: flags, token)
            return
        }
        let done = Int(operation.pointee.done)
        let memory = UnsafeRawPointer(operation.pointee.memory.unsafelyUnwrapped + done)
        let count = UInt32(min(operation.pointee.count - done, Self.largestTransfer))
        let isSilent = traits.contains(.silent)
        if isSilent { flags |= Int32(MSG_DONTWAIT) }
        ring.submitSend(descriptor, memory, count: count, flags: flags, skipSuccess: isSilent, token)
    }

    /// The kernel's answer to a send.
    mutating func sent(
        _ socket: UnsafeMutablePointer<RingSocket>, _ entry: Ring.Entry, into batch: inout CompletionBatch
    ) {
        let operation = socket.output
        let wasSilent = operation.pointee.traits.contains(.silent)
        operation.pointee.traits.remove(.silent)
        let isCancelled = operation.pointee.isCancelled
        if operation.pointee.phase == .polling {
            guard entry.result >= 0, !isCancelled else {
                return sendFailed(socket, isCancelled ? -ECANCELED : entry.result, into: &batch)
            }
            guard socket.pointee.state.contains(.pipe) else { return submitSend(socket) }
            return transferred(socket, writeToPipe(socket), into: &batch)
        }
        if wasSilent, entry.result == -EAGAIN, !isCancelled { return submitSend(socket) }
        transferred(socket, entry.result, into: &batch)
    }

    private mutating func transferred(
        _ socket: UnsafeMutablePointer<RingSocket>, _ result: Int32, into batch: inout CompletionBatch
    ) {
        let operation = socket.output
        guard result >= 0 else { return sendFailed(socket, result, into: &batch) }
        operation.pointee.done += result
        let isShort = result > 0 && Int(operation.pointee.done) < operation.pointee.count
        if isShort, operation.pointee.traits.contains(.continues), !operation.pointee.isCancelled {
            if operation.pointee.kind == .gather { advance(socket, by: Int(result)) }
            return submitSend(socket)
        }
        finishSend(socket, operation.pointee.done, into: &batch)
    }

    /// The pipe has room: what fits goes at once.
    private mutating func writeToPipe(_ socket: UnsafeMutablePointer<RingSocket>) -> Int32 {
        let operation = socket.output
        tally.systemCalls += 1
        guard operation.pointee.kind == .send else {
            let header = socket.messages.pointee.outputHeader
            return Int32(
                proactor_write_silently(socket.pointee.descriptor, header.msg_iov, Int32(header.msg_iovlen)))
        }
        let done = Int(operation.pointee.done)
        var element = iovec(
            iov_base: operation.pointee.memory.unsafelyUnwrapped + done, iov_len: operation.pointee.count - done)
        return Int32(proactor_write_silently(socket.pointee.descriptor, &element, 1))
    }

    private mutating func sendFailed(
        _ socket: UnsafeMutablePointer<RingSocket>, _ result: Int32, into batch: inout CompletionBatch
    ) {
        let operation = socket.output
        let isCancelled = operation.pointee.isCancelled
        switch -result {
        case EINTR where !isCancelled: return submitSend(socket)
        case EAGAIN
        where !isCancelled && operation.pointee.kind == .sendDatagram
            && socket.messages.pointee.isForUnix:
            // The receiver's queue is full, and an unconnected sender is not told when it has room. Waiting in the
            // kernel is no way either: its second attempt sends no bytes (seen on 6.18).
            return rest(operation, for: Self.retryPause)
        case EAGAIN where !isCancelled: return pollFirst(operation, socket.pointee.descriptor, .writable)
        case ENOTSOCK where !isCancelled && !socket.pointee.state.contains(.pipe):
            becomePipe(socket)
            return submitSend(socket)
        default: break
        }
        if operation.pointee.done > 0 {
            if !isCancelled { socket.pointee.outputError = -result }
            return finishSend(socket, operation.pointee.done, into: &batch)
        }
        finishSend(socket, isCancelled ? cancellation(of: result) : result, into: &batch)
    }

    private mutating func finishSend(
        _ socket: UnsafeMutablePointer<RingSocket>, _ result: Int32, into batch: inout CompletionBatch
    ) {
        guard socket.output.pointee.traits.contains(.quiet) else {
            return finish(socket.output, result, into: &batch)
        }
        if result < 0, !socket.output.pointee.isCancelled { socket.pointee.outputError = -result }
        endQuietly(socket)
    }

    private mutating func endQuietly(_ socket: UnsafeMutablePointer<RingSocket>) {
        let slot = Token(rawValue: socket.output.pointee.token).slot
        socket.output.pointee.token = 0
        closeIfQuiescent(slot)
    }

    /// Moves a gather list behind what was sent.
    private func advance(_ socket: UnsafeMutablePointer<RingSocket>, by sent: Int) {
        let header = socket.messages.pointer(to: \.outputHeader)!
        var rest = sent
        while rest > 0, let element = header.pointee.msg_iov {
            if rest < element.pointee.iov_len {
                element.pointee.iov_base += rest
                element.pointee.iov_len -= rest
                return
            }
            rest -= element.pointee.iov_len
            header.pointee.msg_iov = element + 1
            header.pointee.msg_iovlen -= 1
        }
    }

    // MARK: Quiet sends that went at once

    /// After an entry that took every submission: the completions of silent sends that failed are in the queue now.
    mutating func noteSilentTaken() {
        guard silentTaken == 0, !silent.isEmpty else { return }
        silentTaken = silent.count
        silentEnd = ring.completionEnd
    }

    /// After collecting: silent sends that the kernel had taken and did not complain about are done.
    mutating func settleSilent() {
        guard silentTaken > 0, ring.hasPassed(silentEnd) else { return }
        while silentTaken > 0, let token = silent.popFirst() {
            silentTaken -= 1
            let socket = sockets[Token(rawValue: token).slot]
            guard socket.output.pointee.token == token, socket.output.pointee.traits.contains(.silent)
            else { continue }
            inKernel -= 1
            endQuietly(socket)
        }
    }
}
