import CLiburing
import Glibc
import Proactor

/// Sending and receiving as such: once each, nothing before the wait, partial and complete forms.
extension Laws {
    static func transfers<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(1, "A receive completes exactly once, with the bytes that came") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let memory = bench.memory(100)
                    let token = bench.engine.receive(line.handle, into: memory, untilFull: false)
                    try bench.expectNothing(of: token)
                    try line.peer.send([1, 2, 3])
                    try bench.expect(token, 3)
                    try requireEqual(Array(memory.prefix(4)), [1, 2, 3, 0], "memory")
                    try line.peer.send([4])
                    try bench.expectNothing(of: token)
                    // Bytes that are there before it starts are taken as well.
                    try bench.expect(bench.engine.receive(line.handle, into: memory, untilFull: false), 1)
                    try requireEqual(memory[0], 4, "memory")
                }
            },
            Law(1, "A send completes exactly once, and its bytes arrive in order") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    for start in 0..<50 {
                        let bytes = bench.memory(7, filledWith: UInt8(start))
                        let token = bench.engine.send(
                            line.handle, UnsafeRawBufferPointer(bytes), toCompletion: start % 2 == 0)
                        try bench.expect(token, 7)
                        if start == 0 { try bench.expectNothing(of: token) }
                    }
                    let expected = (0..<50).flatMap { [UInt8](repeating: UInt8($0), count: 7) }
                    try requireEqual(try line.peer.receive(350), expected, "bytes at the peer")
                }
            },
            Law(1, "A send and a receive are in flight on one handle at the same time") { bench in
                let line = try bench.connection(.tcp)
                let memory = bench.memory(10)
                let receive = bench.engine.receive(line.handle, into: memory, untilFull: false)
                try bench.expect(bench.engine.send(line.handle, bench.pattern(10), toCompletion: true), 10)
                try line.peer.send(try line.peer.receive(10))
                try bench.expect(receive, 10)
                try requireEqual(Array(memory), LawPattern.bytes(0..<10), "echo")
            },
            Law(2, "No completion is delivered before the wait that follows its submission") { bench in
                let line = try bench.connection(.unix)
                try line.peer.send([9])
                let before = bench.engine.counters.completions
                let send = bench.engine.send(line.handle, bench.pattern(3), toCompletion: true)
                let receive = bench.engine.receive(line.handle, into: bench.memory(1), untilFull: true)
                let timer = bench.engine.startTimer(at: .distantPast, every: nil)
                try requireEqual(bench.engine.counters.completions, before, "completions before the wait")
                try require(bench.engine.isSending(line.handle), "the send is over before its completion")
                try bench.expect(send, 3)
                try bench.expect(receive, 1)
                try bench.expect(timer, 0)
                try require(!bench.engine.isSending(line.handle), "the send goes on after its completion")
            },
            Law(4, "A receive until full goes on over many pieces, and ends early only with the stream") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let memory = bench.memory(300_000)
                    let token = bench.engine.receive(line.handle, into: memory, untilFull: true)
                    for piece in 0..<30 {
                        try line.peer.send(LawPattern.bytes(piece * 10_000..<(piece + 1) * 10_000))
                        if piece < 29 { try bench.turn(until: .distantPast) }
                        try require(piece == 29 || bench.backlog.isEmpty, "complete before it is full")
                    }
                    try bench.expect(token, 300_000)
                    try require(Array(memory) == LawPattern.bytes(0..<300_000), "the pieces are out of order")
                    let rest = bench.engine.receive(line.handle, into: memory, untilFull: true)
                    try line.peer.send([1, 2])
                    try bench.turn(until: .distantPast)
                    Glibc.shutdown(line.peer.number, Int32(SHUT_WR))
                    try bench.expect(rest, 2)
                    try bench.expect(bench.engine.receive(line.handle, into: memory, untilFull: true), 0)
                }
            },
            Law(4, "A send to completion of several MiB goes on against a slow reader") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let count = 4 << 20
                    let bytes = bench.pattern(count)
                    let token = bench.engine.send(line.handle, bytes, toCompletion: true)
                    let received = try bench.drain(line.peer, count)
                    try bench.expect(token, Int32(count))
                    try require(LawPattern.isSame(received, bytes), "the bytes are out of order")
                }
            },
            Law(4, "A gather list of 1024 elements goes to completion in order") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let (count, part) = (1024, 2000)
                    let bytes = bench.pattern(count * part)
                    let token = bench.engine.send(
                        line.handle, gather: bench.list(bytes, parts: count), toCompletion: true)
                    let received = try bench.drain(line.peer, bytes.count)
                    try bench.expect(token, Int32(bytes.count))
                    try require(LawPattern.isSame(received, bytes), "the bytes are out of order")
                }
            },
            Law(4, "A partial send reports how much went, also when it had to wait for room") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let bytes = bench.pattern(4 << 20)
                    let first = try bench.next(bench.engine.send(line.handle, bytes, toCompletion: false)).result
                    try require(first > 0 && first < bytes.count, "first send: \(first)")
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[Int(first)...])
                    let token = bench.engine.send(line.handle, rest, toCompletion: false)
                    var received = 0
                    var second: Int32?
                    while second == nil {
                        received += try line.peer.receiveNow(1 << 20)?.count ?? 0
                        try bench.turn(until: .after(.milliseconds(1)))
                        if bench.backlog.contains(where: { $0.token == token }) {
                            second = try bench.next(token).result
                        }
                    }
                    try require(second! > 0, "second send: \(second!)")
                    let total = Int(first) + Int(second!)
                    received += try bench.drain(line.peer, total - received).count
                    try requireEqual(received, total, "bytes at the peer")
                }
            },
            Law(1, "A quiet send arrives without a completion, and isSending tells until when") { bench in
                let line = try bench.connection(.tcp)
                let bytes = bench.pattern(3 << 20)
                let before = bench.engine.counters.completions
                bench.engine.sendQuietly(line.handle, bytes)
                try require(bench.engine.isSending(line.handle), "3 MiB cannot be over at once")
                try require(LawPattern.isSame(try bench.drain(line.peer, bytes.count), bytes), "out of order")
                while bench.engine.isSending(line.handle) { try bench.turn(until: .after(.milliseconds(1))) }
                try requireEqual(bench.engine.counters.completions, before, "completions")
                bench.engine.sendQuietly(line.handle, bench.pattern(5))
                while bench.engine.isSending(line.handle) { try bench.turn(until: .after(.milliseconds(1))) }
                try bench.expect(bench.engine.send(line.handle, bench.pattern(5), toCompletion: true), 5)
                try requireEqual(try line.peer.receive(10).count, 10, "bytes")
            },
            Law(1, "Transfers of no bytes complete with 0") { bench in
                let line = try bench.connection(.tcp)
                let nothing = UnsafeRawBufferPointer(bench.memory(0))
                try bench.expect(bench.engine.send(line.handle, nothing, toCompletion: true), 0)
                try bench.expect(bench.engine.receive(line.handle, into: bench.memory(0), untilFull: false), 0)
            },
            Law(1, "Pipe ends receive and send like sockets") { bench in
                var ends: (Int32, Int32) = (-1, -1)
                let done = withUnsafeMutablePointer(to: &ends) { pointer in
                    pointer.withMemoryRebound(to: Int32.self, capacity: 2) { Glibc.pipe($0) }
                }
                try require(done == 0, "pipe: errno \(errno)")
                // A child that inherits the reading end would keep it from closing.
                for end in [ends.0, ends.1] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
                let output = try bench.engine.adopt(Descriptor(owning: ends.0))
                let input = try bench.engine.adopt(Descriptor(owning: ends.1))
                let memory = bench.memory(500_000)
                let receive = bench.engine.receive(output, into: memory, untilFull: true)
                try bench.expectNothing(of: receive)
                let send = bench.engine.send(input, bench.pattern(500_000), toCompletion: true)
                try bench.expect(send, 500_000)
                try bench.expect(receive, 500_000)
                try require(Array(memory) == LawPattern.bytes(0..<500_000), "out of order")
                try bench.expect(bench.engine.close(output), 0)
                try bench.expect(bench.engine.send(input, bench.pattern(5), toCompletion: true), -EPIPE)
            },
            Law(1, "Shutdown ends a direction at once") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    try require(bench.engine.shutdown(line.handle, .send) == nil, "shutdown failed")
                    try require(try line.peer.seesEnd(), "the peer sees no end")
                    try line.peer.send([1])
                    try bench.expect(bench.engine.receive(line.handle, into: bench.memory(5), untilFull: false), 1)
                    try bench.expect(bench.engine.send(line.handle, bench.pattern(1), toCompletion: false), -EPIPE)
                }
                let fresh = try bench.engine.adopt(Descriptor.stream(for: LawTransport.tcp.anyAddress()))
                try requireEqual(bench.engine.shutdown(fresh, .both)?.code, ENOTCONN, "unconnected")
            },
        ]
    }
}

extension LawBench where Engine: ~Copyable {
    /// Receives slowly at the peer while the engine turns.
    mutating func drain(_ peer: LawPeer, _ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            if let some = try peer.receiveNow(min(count - bytes.count, 100_000)) {
                try require(!some.isEmpty, "the stream ended after \(bytes.count) of \(count) bytes")
                bytes += some
                try turn(until: .distantPast)
            } else {
                try turn(until: .after(.milliseconds(1)))
            }
        }
        return bytes
    }

    /// A gather list over equal parts of a block.
    func list(_ bytes: UnsafeRawBufferPointer, parts: Int) -> UnsafeMutableBufferPointer<SendPart> {
        let size = bytes.count / parts
        let list = memory(parts * MemoryLayout<SendPart>.stride).bindMemory(to: SendPart.self)
        for index in 0..<parts {
            let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress! + index * size)
            list[index] = SendPart(start: start, count: size)
        }
        return list
    }
}
