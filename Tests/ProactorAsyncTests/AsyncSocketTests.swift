import Glibc
import Testing

@testable import Proactor

@Suite("Async sockets", .timeLimit(.minutes(2)))
struct AsyncSocketTests {
    @Test("Bytes come back from an echo server, over tcp and unix", arguments: backends, [true, false])
    func echoing(_ backend: BackendChoice, overTCP: Bool) async throws {
        try await withLoop(backend) { loop in
            let unix = SocketAddress(unix: "@proactor-async-\(backend)-\(getpid())")!
            let listener = try await loop.listen(on: overTCP ? loopback : unix)
            let server = Task {
                for try await connection in listener.connections {
                    Task(executorPreference: loop.executor) { try await echo(connection) }
                }
            }
            let client = try await loop.connect(to: listener.localAddress!, until: .after(.seconds(10)))
            for size in [1, 100, 100_000] {
                let message = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                // An echo of more than the kernel's buffers needs a receiver while the sender is at it.
                async let sent: Void = client.send(message)
                var buffer = OwnedBuffer(capacity: size)
                let count = try await client.receive(into: &buffer, untilFull: true, until: .after(.seconds(20)))
                try await sent
                #expect(count == size)
                let received = buffer.array()
                #expect(received == message)
            }
            try await client.shutdown()
            #expect(try await client.receive(until: .after(.seconds(10))) == nil)
            await listener.close()
            try await server.value
        }
    }

    @Test("Many connections at once, from tasks on the loop and elsewhere", arguments: backends, [true, false])
    func manyConnections(_ backend: BackendChoice, onLoop: Bool) async throws {
        try await withLoop(backend) { loop in
            let listener = try await loop.listen(on: loopback)
            let server = Task(executorPreference: loop.executor) {
                for try await connection in listener.connections {
                    Task(executorPreference: loop.executor) { try await echo(connection) }
                }
            }
            let address = listener.localAddress!
            let correct = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<200 {
                    group.addTask(executorPreference: onLoop ? loop.executor : nil) {
                        let client = try await loop.connect(to: address, until: .after(.seconds(20)))
                        for round in 0..<5 {
                            let message = [UInt8]("\(number) \(round)".utf8)
                            guard try await roundTrip(client, message) == message else { return false }
                        }
                        await client.close()
                        return true
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(correct == 200)
            await listener.close()
            try await server.value
        }
    }

    @Test("Several buffers leave as one, in order", arguments: backends)
    func gathering(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            let total = 50 * 10_000
            async let sent: Void = {
                var list = BufferList()
                for part in 0..<50 {
                    list.append(OwnedBuffer(copying: [UInt8](repeating: UInt8(part), count: 10_000)))
                }
                try await left.send(list)
            }()
            var buffer = OwnedBuffer(capacity: total)
            try await right.receive(into: &buffer, untilFull: true, until: .after(.seconds(20)))
            try await sent
            let bytes = buffer.array()
            let expected = (0..<total).map { UInt8($0 / 10_000) }
            #expect(bytes == expected)
        }
    }

    @Test("Datagrams carry their sender; an empty one is no end", arguments: backends)
    func datagrams(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let left = try await loop.bindDatagram(to: loopback)
            let right = try await loop.bindDatagram(to: loopback)
            for payload in [[UInt8]("hello".utf8), [], [1, 2, 3]] {
                async let received = right.receive(until: .after(.seconds(10)))
                try await left.send(payload, to: right.localAddress!)
                let datagram = try await received
                #expect(datagram.bytes == payload)
                #expect(datagram.source == left.localAddress)
            }
            #expect(await failure { _ = try await right.receive(until: .distantPast) } == .deadlinePassed)
        }
    }

    @Test("A refused connection tells why", arguments: backends)
    func refusal(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let number = try Descriptor.listening(on: loopback).release()
            let address = Descriptor.localAddress(of: number)!
            Glibc.close(number)
            do {
                _ = try await loop.connect(to: address)
                Issue.record("connected to nobody")
            } catch {
                #expect((error as? LoopError)?.system == .connectionRefused)
            }
        }
    }

    @Test("The last reference closes", arguments: backends)
    func lastReference(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let (left, right) = try await pair(loop)
            try await { [left] in try await left.send([1]) }()
            _ = consume left
            var bytes: [UInt8] = []
            for try await chunk in right.chunks { bytes += chunk }
            #expect(bytes == [1])
        }
    }

    @Test("Options and addresses are read and set on the loop", arguments: backends)
    func options(_ backend: BackendChoice) async throws {
        try await withLoop(backend) { loop in
            let listener = try await loop.listen(on: loopback)
            async let accepted = listener.accept(until: .after(.seconds(10)))
            let client = try await loop.connect(to: listener.localAddress!)
            try await client.setOption(.noDelay, to: 1)
            #expect(try await client.option(.noDelay) != 0)
            #expect(try await client.peerAddress() == listener.localAddress)
            let server = try await accepted
            #expect(try await server.peerAddress() == client.localAddress())
        }
    }
}
