import CLiburing
import Glibc

/// Accepting and connecting, with the pauses that they need where the kernel gives no edge.
extension EpollBackend {
    /// Out of descriptors or memory accepting pauses this long at first, doubling up to `longestPause` (law 10).
    private static var firstPause: Int64 { 50 }
    private static var longestPause: Int64 { 1000 }
    /// A full backlog of a Unix listener answers EAGAIN and never gives an edge.
    static var retryPause: Int64 { 10 }

    /// Tries at once; goes on with each edge.
    @discardableResult
    public mutating func accept(_ listener: Handle, multishot: Bool) -> Token {
        var operation = PendingOperation(kind: .accept, continues: multishot)
        operation.token = begin(listener, .accept, occupying: .receiving)
        slots.record(listener).pointee.state.insert(.listening)
        return startInbound(listener, operation)
    }

    mutating func acceptConnection(_ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32) {
        counters.systemCalls += 1
        let result = proactor_accept(record.pointee.descriptor, Int32(SOCK_CLOEXEC.rawValue))
        if result >= 0 {
            record.pointee.acceptPause = 0
            guard record.pointee.inbound.continues else { return finishInbound(record, result) }
            ready.append(Completion(token: record.pointee.inbound.token, result: result, flags: .more))
            return
        }
        switch -result {
        case ECONNABORTED, EPROTO:
            break  // the peer left before its turn; the next one may be there
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            backOff(record, slot, result)
        default:
            if !isTransient(Int(result), record, forget: .readable) { finishInbound(record, result) }
        }
    }

    private mutating func backOff(_ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32, _ result: Int32) {
        counters.acceptBackoffs += 1
        let last = record.pointee.acceptPause
        record.pointee.acceptPause = last == 0 ? Self.firstPause : min(last * 2, Self.longestPause)
        record.pointee.inbound.pause = startPause(slot, record.pointee.acceptPause, isOutbound: false)
        if record.pointee.inbound.continues {
            ready.append(Completion(token: record.pointee.inbound.token, result: result, flags: .more))
        }
    }

    // MARK: Connecting

    /// Starts at once; after the edge the same call tells the outcome.
    @discardableResult
    public mutating func connect(_ socket: Handle, to address: SocketAddress) -> Token {
        var operation = PendingOperation(kind: .connect)
        operation.token = begin(socket, .connect, occupying: .sending)
        let record = slots.record(socket)
        record.pointee.outbound = operation
        connectOnce(record, socket.slot, address, isFirst: true)
        return operation.token
    }

    mutating func connectAgain(_ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32) {
        guard let target = addresses(record).pointee.target else {
            preconditionFailure("a connect that waits has an address")
        }
        connectOnce(record, slot, target, isFirst: false)
    }

    /// connect(2) itself tells what became of an attempt: the error, once, EALREADY after a spurious edge, or
    /// success. SO_ERROR would leave the socket "connecting", and the next connect would succeed instead of EISCONN.
    private mutating func connectOnce(
        _ record: UnsafeMutablePointer<EpollSocket>, _ slot: UInt32, _ address: SocketAddress, isFirst: Bool
    ) {
        counters.systemCalls += 1
        let number = record.pointee.descriptor
        switch -address.withSockaddr({ proactor_connect(number, $0, $1) }) {
        case 0:
            connected(record)
        case EISCONN where !isFirst:
            connected(record)
        case EINPROGRESS, EINTR:  // interrupted, it goes on all the same
            addresses(record).pointee.target = address
            record.pointee.state.remove(.writable)
        case EALREADY where !isFirst:
            record.pointee.state.remove(.writable)
        case EAGAIN:
            addresses(record).pointee.target = address
            record.pointee.outbound.pause = startPause(slot, Self.retryPause, isOutbound: true)
        case let error:
            finishOutbound(record, -error)
        }
    }

    private mutating func connected(_ record: UnsafeMutablePointer<EpollSocket>) {
        // `hungUp` stays as it is: unconnected sockets count as hung up (EPOLLHUP), but the connection may have ended
        // by now as well. The next event tells; until then it only costs a call.
        record.pointee.state.formUnion([.readable, .writable])
        record.pointee.addresses?.deallocate()
        record.pointee.addresses = nil
        finishOutbound(record, 0)
    }

    // MARK: Pauses

    func addresses(
        _ record: UnsafeMutablePointer<EpollSocket>
    ) -> UnsafeMutablePointer<EpollSocket.Addresses> {
        if let known = record.pointee.addresses { return known }
        let made = UnsafeMutablePointer<EpollSocket.Addresses>.allocate(capacity: 1)
        made.initialize(to: EpollSocket.Addresses())
        record.pointee.addresses = made
        return made
    }

    mutating func startPause(_ slot: UInt32, _ milliseconds: Int64, isOutbound: Bool) -> Token {
        let token = pauses.start(at: .after(.milliseconds(milliseconds)), every: nil)
        while pauseOwners.count <= Int(token.slot) { pauseOwners.append((0, false)) }
        pauseOwners[Int(token.slot)] = (mark(slot), isOutbound)
        return token
    }

    /// The pause is over: the operation is worth a try again.
    mutating func endPause(_ token: Token) {
        let (mark, isOutbound) = pauseOwners[Int(token.slot)]
        guard let record = record(marked: mark) else { return }
        counters.rearms += 1
        if isOutbound {
            record.pointee.outbound.pause = nil
            record.pointee.state.insert(.writable)
        } else {
            record.pointee.inbound.pause = nil
            record.pointee.state.insert(.readable)
        }
        enqueue(UInt32(truncatingIfNeeded: mark))
    }
}
