/// From completions to events: the one place that knows what each completion means for memory and handles.
extension Proactor {
    mutating func translate(_ completion: Completion) {
        let token = completion.token
        switch token.purpose {
        case .timer:
            if completion.error == nil {
                events.append(.timer(token, goesOn: completion.hasMore))
            } else {
                fail(completion, on: nil)
            }
        case .wake: events.append(.woken(completion.value))
        case .accept: accepted(completion)
        case .receive: received(completion)
        case .send: sent(completion)
        case .connect: succeed(completion) { .connected($0) }
        case .poll: succeed(completion) { .ready($0, PollEvents(rawValue: UInt32(completion.result))) }
        case .close: closed(token)
        }
    }

    private func handle(_ token: Token) -> Handle { sockets[Int(token.slot)].handle! }

    private mutating func succeed(_ completion: Completion, _ event: (Handle) -> Event) {
        let handle = handle(completion.token)
        if completion.error == nil { events.append(event(handle)) } else { fail(completion, on: handle) }
    }

    private mutating func fail(
        _ completion: Completion, on handle: Handle?, _ buffer: ReturnedBuffer? = nil,
        error: SystemError? = nil, transferred: Int = 0
    ) {
        let error = error ?? completion.error ?? .canceled
        events.append(
            .failed(
                Event.Failure(
                    token: completion.token, handle: handle, error: error, buffer: buffer,
                    transferred: transferred)))
    }

    private mutating func accepted(_ completion: Completion) {
        let listener = handle(completion.token)
        guard let error = completion.error else {
            arrivals.append((listener, completion.takeDescriptor().release()))
            return
        }
        if completion.hasMore {
            events.append(.acceptPaused(listener, error))
        } else {
            fail(completion, on: listener)
        }
    }

    mutating func adoptArrivals() {
        for (listener, number) in arrivals {
            do {
                events.append(.accepted(try adopt(Descriptor(owning: number)), on: listener))
            } catch {
                // The descriptor could not be registered and is closed: the peer sees the end.
                events.append(.acceptPaused(listener, SystemError(code: error.errno)))
            }
        }
        arrivals.removeAll(keepingCapacity: true)
    }

    private mutating func received(_ completion: Completion) {
        let slot = Int(completion.token.slot)
        let handle = handle(completion.token)
        if completion.flags.contains(.buffer) {
            leases[Int(completion.buffer)] = turn
            lent.append(completion.buffer)
            let bytes = LentBytes(index: completion.buffer, turn: turn, count: Int(completion.result))
            events.append(.received(handle, bytes))
            return
        }
        var buffer: ReturnedBuffer?
        if var place = sockets[slot].inbound {
            sockets[slot].inbound = nil
            place.count += max(0, Int(completion.result))
            buffer = ticket(place)
        }
        if completion.error != nil {
            fail(completion, on: handle, buffer)
        } else if let buffer, completion.result > 0 || sockets[slot].isDatagram {
            events.append(.filled(handle, buffer))
        } else {
            events.append(.ended(handle, buffer))
        }
    }

    private mutating func sent(_ completion: Completion) {
        let slot = Int(completion.token.slot)
        let handle = handle(completion.token)
        if let index = sockets[slot].outboundLent {
            sockets[slot].outboundLent = nil
            backend.recycle(index)
        }
        var buffer: ReturnedBuffer?
        if let place = sockets[slot].outbound {
            sockets[slot].outbound = nil
            if sockets[slot].isCopy {
                _ = OwnedBuffer(place)
            } else {
                buffer = ticket(place)
            }
        }
        sockets[slot].isCopy = false
        let transferred = max(0, Int(completion.result))
        // A send to completion is short only where it was cut by a cancel or an error that the next one reports.
        if completion.error != nil || transferred < sockets[slot].outboundCount {
            fail(completion, on: handle, buffer, transferred: transferred)
        } else {
            events.append(.sent(handle, buffer))
        }
    }

    private mutating func closed(_ token: Token) {
        let handle = handle(token)
        sockets[Int(token.slot)] = SocketRecord()
        events.append(.closed(handle))
    }
}
