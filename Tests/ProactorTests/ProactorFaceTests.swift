import Glibc
import Synchronization
import Testing

@testable import Proactor

private let loopback = SocketAddress(numeric: "127.0.0.1", port: 0)!

/// The server of `Proactor`'s documentation, word for word, but for a wake that ends it.
private func serveEcho(_ proactor: inout Proactor, _ listener: Handle) throws {
    proactor.acceptAll(on: listener)
    while true {
        for event in try proactor.wait() {
            switch event {
            case .accepted(let connection, _), .sent(let connection, _): proactor.receive(on: connection)
            case .received(let connection, let bytes): proactor.send(bytes, on: connection)
            case .ended(let connection, _): proactor.close(connection)
            case .failed(let failure): if let connection = failure.handle { proactor.close(connection) }
            case .woken: return
            default: break
            }
        }
    }
}

/// The events of the next turn that has some. Fails after ten seconds.
private func turn(_ proactor: inout Proactor) throws -> [Event] {
    let deadline = Deadline.after(.seconds(10))
    while Deadline.now < deadline {
        let events = try proactor.wait(until: deadline)
        if !events.isEmpty { return events }
    }
    throw ProactorError.system(.timedOut, during: "a test that waits for an event")
}

/// Waits for the first event that `pick` wants; others are dropped.
private func next<Result>(_ proactor: inout Proactor, _ pick: (Event) -> Result?) throws -> Result {
    while true {
        for event in try turn(&proactor) {
            if let result = pick(event) { return result }
        }
    }
}

/// A connected pair inside one proactor.
private func pair(_ proactor: inout Proactor) throws -> (Handle, Handle) {
    let numbers = try Descriptor.pair().release()
    return (
        try proactor.adopt(Descriptor(owning: numbers.0)), try proactor.adopt(Descriptor(owning: numbers.1))
    )
}

@Suite("The public face")
struct ProactorFaceTests {
    @Test("The echo server of the documentation echoes over tcp and unix", arguments: backends, [true, false])
    func echo(_ backend: BackendChoice, overTCP: Bool) throws {
        let address = overTCP ? loopback : SocketAddress(unix: "@proactor-face-\(backend)-\(getpid())")!
        let started = Locked<(SocketAddress, Waker)?>(nil)
        let finished = Atomic<Bool>(false)
        let (ready, done) = (Gate(), Gate())
        try SystemThread.start(named: "echo") {
            do {
                var proactor = try Proactor(backend)
                let listener = try proactor.listen(on: address)
                started.withLock { $0 = (proactor.localAddress(of: listener)!, proactor.waker) }
                ready.open()
                try serveEcho(&proactor, listener)
                finished.store(true, ordering: .relaxed)
            } catch { Issue.record(error) }
            ready.open()
            done.open()
        }
        ready.wait()
        let (bound, waker) = try #require(started.withLock { $0 })
        var client = try Proactor(backend)
        let socket = try client.connect(to: bound)
        _ = try next(&client) { if case .connected = $0 { true } else { nil } }
        for round in 0..<100 {
            let message = [UInt8]("message \(round)".utf8)
            client.send(copying: message, on: socket)
            client.receive(into: OwnedBuffer(capacity: message.count), on: socket, untilFull: true)
            let filled = try next(&client) { if case .filled(_, let buffer) = $0 { buffer } else { nil } }
            let echoed = client.take(filled).array()
            #expect(echoed == message)
            if client.isSending(socket) {
                _ = try next(&client) { if case .sent = $0 { true } else { nil } }
            }
        }
        waker.wake(1)
        done.wait()
        let isFinished = finished.load(ordering: .relaxed)
        #expect(isFinished)
    }

    @Test("A buffer comes back with its completion, also when the operation is cancelled", arguments: backends)
    func cancelledBuffer(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let (left, _) = try pair(&proactor)
        let token = proactor.receive(into: OwnedBuffer(capacity: 77), on: left)
        let none = try proactor.wait(until: .distantPast)
        #expect(none.isEmpty)
        proactor.cancel(token)
        let failure = try next(&proactor) { if case .failed(let failure) = $0 { failure } else { nil } }
        #expect(failure.token == token)
        #expect(failure.error == .canceled)
        let buffer = proactor.take(try #require(failure.buffer))
        let capacity = buffer.capacity
        #expect(capacity == 77)
    }

    @Test("Lent memory returns to the pool by itself with the next wait", arguments: backends)
    func lending(_ backend: BackendChoice) throws {
        var configuration = EngineConfiguration()
        configuration.receiveBufferCount = 8
        var proactor = try Proactor(backend, configuration: configuration)
        let (left, right) = try pair(&proactor)
        proactor.receiveAll(on: right)
        for round in 0..<50 {
            proactor.send(copying: [UInt8(round)], on: left)
            var byte: UInt8?
            while byte == nil {
                for case .received(_, let bytes) in try turn(&proactor) {
                    byte = proactor.withBytes(of: bytes) { $0.unsafeLoad(as: UInt8.self) }
                }
            }
            #expect(byte == UInt8(round))
            _ = proactor.isSending(left) ? try proactor.wait(until: .distantPast) : []
        }
        _ = try proactor.wait(until: .distantPast)
        let counters = proactor.counters
        #expect(counters.buffersOut == 0)
        #expect(counters.buffersLent == 50)
    }

    @Test("An own buffer travels: sent, back, received into, back", arguments: backends)
    func ownedBuffers(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let (left, right) = try pair(&proactor)
        let payload = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        proactor.send(OwnedBuffer(copying: payload), on: left)
        proactor.receive(into: OwnedBuffer(capacity: payload.count), on: right, untilFull: true)
        var sent: [UInt8]?
        var filled: [UInt8]?
        while sent == nil || filled == nil {
            for event in try turn(&proactor) {
                switch event {
                case .sent(_, let buffer?): sent = proactor.take(buffer).array()
                case .filled(_, let buffer): filled = proactor.take(buffer).array()
                default: Issue.record("unexpected \(event)")
                }
            }
        }
        #expect(sent == payload)
        #expect(filled == payload)
    }

    @Test("The end of the stream comes after its bytes, and a close completes once", arguments: backends)
    func ending(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let (left, right) = try pair(&proactor)
        proactor.send(copying: [1, 2, 3], on: left)
        _ = try next(&proactor) { if case .sent = $0 { true } else { nil } }
        proactor.shutdown(left)
        proactor.receiveAll(on: right)
        var seen: [UInt8] = []
        var isOver = false
        while !isOver {
            for event in try turn(&proactor) {
                switch event {
                case .received(_, let bytes): seen += proactor.copy(bytes)
                case .ended(let handle, _): isOver = handle == right
                default: break
                }
            }
        }
        #expect(seen == [1, 2, 3])
        proactor.close(right)
        proactor.close(right)
        let closed = try next(&proactor) { if case .closed(let handle) = $0 { handle } else { nil } }
        #expect(closed == right)
    }

    @Test("A connection accepted in the turn in which another is closed has a life of its own", arguments: backends)
    func slotReuse(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let listener = try proactor.listen(on: loopback)
        let address = proactor.localAddress(of: listener)!
        for _ in 0..<20 {
            let (victim, other) = try pair(&proactor)
            let client = try proactor.connect(to: address)
            _ = try next(&proactor) { if case .connected = $0 { true } else { nil } }
            // The connection waits already, so the accept completes first; both come with the next turn.
            proactor.accept(on: listener)
            proactor.close(victim)
            proactor.close(other)
            let server = try next(&proactor) { if case .accepted(let handle, _) = $0 { handle } else { nil } }
            proactor.send(copying: [1], on: client)
            proactor.receive(on: server)
            let count = try next(&proactor) { if case .received(_, let bytes) = $0 { bytes.count } else { nil } }
            #expect(count == 1)
            proactor.close(client)
            proactor.close(server)
        }
    }

    @Test("Wakes from another thread arrive with their values, in order", arguments: backends)
    func wakes(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let waker = proactor.waker
        try SystemThread.start(named: "waker") {
            for value in 0..<1000 { waker.wake(UInt64(value)) }
        }
        var seen: [UInt64] = []
        while seen.count < 1000 {
            for event in try turn(&proactor) {
                if case .woken(let value) = event { seen.append(value) }
            }
        }
        #expect(seen == (0..<1000).map { UInt64($0) })
    }

    @Test("Datagrams carry their sender, and an empty one is no end", arguments: backends)
    func datagrams(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let left = try proactor.bindDatagram(to: loopback)
        let right = try proactor.bindDatagram(to: loopback)
        let target = proactor.localAddress(of: right)!
        for payload in [[UInt8]("hello".utf8), []] {
            proactor.receiveDatagram(into: OwnedBuffer(capacity: 100), on: right)
            proactor.sendDatagram(OwnedBuffer(copying: payload), to: target, on: left)
            let filled = try next(&proactor) { if case .filled(_, let buffer) = $0 { buffer } else { nil } }
            let received = proactor.take(filled).array()
            #expect(received == payload)
            let (source, sender) = (proactor.source(of: right), proactor.localAddress(of: left))
            #expect(source == sender)
            if proactor.isSending(left) { _ = try proactor.wait(until: .after(.seconds(1))) }
        }
    }

    @Test("A refused connection fails with its reason", arguments: backends)
    func refusal(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        // A port that was bound a moment ago and has nobody now.
        let number = try Descriptor.listening(on: loopback).release()
        let address = Descriptor.localAddress(of: number)!
        close(number)
        let socket = try proactor.connect(to: address)
        let failure = try next(&proactor) { if case .failed(let failure) = $0 { failure } else { nil } }
        #expect(failure.handle == socket)
        #expect(failure.error == .connectionRefused)
        #expect(failure.token.purpose == .connect)
    }

    @Test("Timers fire in order, repeat, and end with a cancel", arguments: backends)
    func timers(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let late = proactor.startTimer(at: .after(.milliseconds(20)))
        let early = proactor.startTimer(at: .after(.milliseconds(5)))
        let repeating = proactor.startTimer(at: .after(.milliseconds(1)), every: .milliseconds(1))
        var order: [Token] = []
        var ticks = 0
        while order.count < 2 {
            for event in try proactor.wait() {
                guard case .timer(let token, let goesOn) = event else { continue }
                if token == repeating { ticks += 1 } else { order.append(token) }
                #expect(goesOn == (token == repeating))
            }
        }
        #expect(order == [early, late])
        #expect(ticks > 0)
        proactor.cancel(repeating)
        let failure = try next(&proactor) { if case .failed(let failure) = $0 { failure } else { nil } }
        #expect(failure.token == repeating && failure.error == .canceled)
    }

    @Test("A foreign descriptor is polled, and stays its owner's", arguments: backends)
    func polling(_ backend: BackendChoice) throws {
        var proactor = try Proactor(backend)
        let (left, right) = try Descriptor.pair().release()
        let first = Descriptor(owning: left)
        let second = Descriptor(owning: right)
        let handle = try proactor.watch(foreign: second.number)
        proactor.poll(handle, for: .readable)
        #expect(send(first.number, [1], 1, 0) == 1)
        let events = try next(&proactor) { if case .ready(handle, let events) = $0 { events } else { nil } }
        #expect(events.contains(.readable))
        proactor.close(handle)
        _ = try next(&proactor) { if case .closed = $0 { true } else { nil } }
        #expect(fcntl(second.number, F_GETFD) >= 0)
    }

    @Test("The report names the backend and prints", arguments: backends)
    func report(_ backend: BackendChoice) throws {
        let proactor = try Proactor(backend)
        let (report, kind) = (proactor.report, proactor.kind)
        #expect(report.backend == kind)
        #expect(report.description.contains(kind.description))
    }

    @Test(
        "A proactor that ends with operations in flight frees their memory and closes its sockets",
        arguments: backends)
    func endingWithOperations(_ backend: BackendChoice) throws {
        let numbers = try Descriptor.pair().release()
        let peer = Descriptor(owning: numbers.1)
        do {
            var proactor = try Proactor(backend)
            let socket = try proactor.adopt(Descriptor(owning: numbers.0))
            proactor.receive(into: OwnedBuffer(capacity: 1000), on: socket)
            _ = try proactor.wait(until: .distantPast)
        }
        var byte: UInt8 = 0
        #expect(recv(peer.number, &byte, 1, Int32(MSG_DONTWAIT)) == 0)
    }
}
