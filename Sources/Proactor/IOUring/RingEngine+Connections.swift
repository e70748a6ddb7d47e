import CLiburing
import Glibc

/// Accepting, connecting and polling.
extension RingEngine {
    mutating func accept(_ handle: Handle, multishot: Bool) -> Token {
        let socket = sockets.record(handle)
        precondition(socket.pointee.input.isIdle, "an accept is in flight on this handle already (law 8)")
        let token = begin(socket, handle.slot, .accept)
        socket.pointee.state.insert(.listener)
        socket.pointee.input = RingOperation(token: token.rawValue, kind: .accept)
        if multishot { socket.input.pointee.traits = .multishot }
        submitAccept(socket)
        return token
    }

    private mutating func submitAccept(_ socket: UnsafeMutablePointer<RingSocket>) {
        let multishot = socket.input.pointee.traits.contains(.multishot) && features.contains(.multishotAccept)
        socket.input.pointee.phase = .kernel
        inKernel += 1
        ring.submitAccept(socket.pointee.descriptor, multishot: multishot, socket.input.pointee.token)
    }

    private mutating func rearmAccept(_ socket: UnsafeMutablePointer<RingSocket>) {
        tally.rearms += 1
        submitAccept(socket)
    }

    /// The kernel's answer to an accept.
    mutating func accepted(
        _ socket: UnsafeMutablePointer<RingSocket>, _ entry: Ring.Entry, into batch: inout CompletionBatch
    ) {
        let operation = socket.input
        let isCancelled = operation.pointee.isCancelled
        let isMultishot = operation.pointee.traits.contains(.multishot)
        if operation.pointee.phase == .polling {
            guard entry.result >= 0, !isCancelled else {
                return finish(operation, isCancelled ? -ECANCELED : entry.result, into: &batch)
            }
            return rearmAccept(socket)
        }
        if entry.result >= 0 {
            operation.pointee.failures = 0
            guard entry.hasMore || isMultishot && !isCancelled else {
                return finish(operation, entry.result, into: &batch)
            }
            batch.append(
                Completion(token: Token(rawValue: operation.pointee.token), result: entry.result, flags: .more))
            if !entry.hasMore { rearmAccept(socket) }
            return
        }
        guard !entry.hasMore else { return }  // the kernel goes on by itself
        guard !isCancelled else { return finish(operation, cancellation(of: entry.result), into: &batch) }
        switch -entry.result {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            backOff(operation)
            tally.acceptBackoffs += 1
            if isMultishot {
                let token = Token(rawValue: operation.pointee.token)
                batch.append(Completion(token: token, result: entry.result, flags: .more))
            }
        case EAGAIN:
            pollFirst(operation, socket.pointee.descriptor, .readable)
        case EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
            ENETUNREACH:
            // Errors of one connection that is gone already (accept(2)). In a row they are something else, such as
            // a filter that forbids the operation: no turning in circles.
            operation.pointee.failures &+= 1
            if operation.pointee.failures.isMultiple(of: 16) { backOff(operation) } else { rearmAccept(socket) }
        default:
            finish(operation, entry.result, into: &batch)
        }
    }

    /// Lets an accept rest: 50 ms, doubling to 1 s while it goes on failing (law 10).
    private mutating func backOff(_ operation: UnsafeMutablePointer<RingOperation>) {
        let pause = Duration.milliseconds(min(1000, 50 << min(Int(operation.pointee.failures), 5)))
        operation.pointee.failures = min(operation.pointee.failures &+ 1, 64)
        rest(operation, for: pause)
    }

    /// Lets an operation rest without the kernel.
    mutating func rest(_ operation: UnsafeMutablePointer<RingOperation>, for pause: Duration) {
        operation.pointee.phase = .backingOff
        let timer = timers.start(at: .now + pause, every: nil)
        backoffs.append(Backoff(timer: timer, operation: operation.pointee.token))
    }

    /// Goes on with the operation whose pause this timer ended.
    /// - Returns: false if the timer is the program's.
    mutating func resumeBackoff(_ timer: Token) -> Bool {
        guard let index = backoffs.firstIndex(where: { $0.timer == timer }) else { return false }
        let token = backoffs.remove(at: index).operation
        tally.rearms += 1
        let socket = sockets[Token(rawValue: token).slot]
        if socket.input.pointee.token == token {
            submitAccept(socket)
        } else if socket.output.pointee.token == token {
            socket.output.pointee.kind == .connect ? connectHere(socket) : submitSend(socket)
        }
        if socket.poll.pointee.token == token { submitPoll(socket) }
        return true
    }

    mutating func connect(_ handle: Handle, to address: SocketAddress) -> Token {
        let socket = sockets.record(handle)
        precondition(socket.pointee.output.isIdle, "a send or connect is in flight on this handle already (law 8)")
        let token = begin(socket, handle.slot, .connect)
        socket.pointee.output = RingOperation(token: token.rawValue, kind: .connect)
        socket.messages.pointee.setDestination(address)
        if address.family == .unix {
            connectHere(socket)
        } else {
            inKernel += 1
            let messages = socket.messages
            ring.submitConnect(
                socket.pointee.descriptor, UnsafeRawPointer(messages.pointer(to: \.outputAddress)!),
                length: messages.pointee.outputLength, token.rawValue)
        }
        return token
    }

    /// A Unix-domain connect succeeds or fails at once, or finds the backlog full. In the ring that would occupy a
    /// kernel worker, out of reach of a cancel that comes at the wrong moment (seen on 6.18): so it is tried here.
    private mutating func connectHere(_ socket: UnsafeMutablePointer<RingSocket>) {
        let descriptor = socket.pointee.descriptor
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        let messages = socket.messages
        let result = proactor_connect(
            descriptor, UnsafeRawPointer(messages.pointer(to: \.outputAddress)!), messages.pointee.outputLength)
        _ = fcntl(descriptor, F_SETFL, flags)
        tally.systemCalls += 4
        if result == -EAGAIN || result == -EINTR {
            rest(socket.output, for: Self.retryPause)
        } else {
            completeLocally(socket.output, result)
        }
    }

    /// The kernel's answer to a connect.
    mutating func connected(
        _ socket: UnsafeMutablePointer<RingSocket>, _ entry: Ring.Entry, into batch: inout CompletionBatch
    ) {
        let operation = socket.output
        if operation.pointee.phase == .polling, entry.result >= 0, !operation.pointee.isCancelled {
            var error: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            tally.systemCalls += 1
            getsockopt(socket.pointee.descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
            return finish(operation, -error, into: &batch)
        }
        switch -entry.result {
        case EINTR where !operation.pointee.isCancelled, EAGAIN where !operation.pointee.isCancelled,
            EINPROGRESS where !operation.pointee.isCancelled:
            // The attempt goes on by itself; its end shows as writable, its outcome in SO_ERROR (connect(2)).
            pollFirst(operation, socket.pointee.descriptor, .writable)
        default:
            finish(
                operation, operation.pointee.isCancelled ? cancellation(of: entry.result) : entry.result,
                into: &batch)
        }
    }

    mutating func poll(_ handle: Handle, for events: PollEvents) -> Token {
        let socket = sockets.record(handle)
        precondition(socket.pointee.poll.isIdle, "a poll is in flight on this handle already")
        let token = begin(socket, handle.slot, .poll)
        socket.pointee.poll = RingOperation(token: token.rawValue, count: Int(events.rawValue), kind: .poll)
        submitPoll(socket)
        return token
    }

    private mutating func submitPoll(_ socket: UnsafeMutablePointer<RingSocket>) {
        let operation = socket.poll
        operation.pointee.phase = .kernel
        inKernel += 1
        ring.submitPoll(socket.pointee.descriptor, UInt32(operation.pointee.count), operation.pointee.token)
    }

    /// The kernel's answer to a poll of the program's.
    mutating func polledReady(
        _ socket: UnsafeMutablePointer<RingSocket>, _ entry: Ring.Entry, into batch: inout CompletionBatch
    ) {
        let isCancelled = socket.poll.pointee.isCancelled
        if entry.result == -EINTR || entry.result == -EAGAIN, !isCancelled {
            return submitPoll(socket)
        }
        guard entry.result >= 0 else {
            return finish(socket.poll, isCancelled ? cancellation(of: entry.result) : entry.result, into: &batch)
        }
        // The kernel ends every poll at POLLRDHUP too, asked for or not.
        let wanted = Int32(
            PollEvents(rawValue: UInt32(socket.poll.pointee.count)).union([.error, .hangUp]).rawValue)
        let ready = entry.result & wanted
        // With nothing else to tell it would end again at once: it rests instead of turning in circles.
        guard ready != 0 || isCancelled else { return rest(socket.poll, for: Self.halfClosedPause) }
        finish(socket.poll, ready != 0 ? ready : -ECANCELED, into: &batch)
    }
}
