import CLiburing
import Glibc
import Proactor

/// Receiving into lent buffers: only when bytes are there, resting without, in order always.
extension Laws {
    static func pool<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(1, "A multishot receive yields many completions with more, then one without") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let token = bench.engine.receive(line.handle, multishot: true)
                    for round in 0..<100 {
                        try line.peer.send([UInt8(round), 1, 2])
                        let bytes = try bench.take(try bench.next(token))
                        try requireEqual(bytes, [UInt8(round), 1, 2], "round \(round)")
                    }
                    Glibc.shutdown(line.peer.number, Int32(SHUT_WR))
                    try bench.expect(token, 0)
                    try bench.expectNothing(of: token)
                    try requireEqual(bench.engine.counters.buffersOut, 0, "buffers out")
                }
            },
            Law(1, "A single receive from the pool takes one buffer and ends") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let token = bench.engine.receive(line.handle, multishot: false)
                    try bench.expectNothing(of: token)
                    try line.peer.send([5, 6])
                    let completion = try bench.next(token)
                    try require(!completion.hasMore, "it promises more")
                    try requireEqual(try bench.take(completion), [5, 6], "bytes")
                    let end = bench.engine.receive(line.handle, multishot: false)
                    Glibc.shutdown(line.peer.number, Int32(SHUT_WR))
                    let last = try bench.next(end)
                    try require(last.result == 0 && !last.flags.contains(.buffer), "the end holds a buffer")
                }
            },
            Law(3, "A waiting receive from the pool holds no buffer", configuration: { $0.receiveBufferCount = 8 })
            {
                bench in
                var lines: [LawConnection] = []
                var tokens: [Token] = []
                for index in 0..<20 {
                    lines.append(try bench.connection(.unix))
                    tokens.append(bench.engine.receive(lines[index].handle, multishot: index % 2 == 0))
                }
                try bench.turn(for: .milliseconds(2))
                try requireEqual(bench.engine.counters.buffersOut, 0, "buffers out")
                for index in 0..<20 {
                    try lines[index].peer.send([UInt8(index)])
                    try requireEqual(try bench.take(try bench.next(tokens[index])), [UInt8(index)], "bytes")
                }
            },
            Law(
                1, "Out of buffers a receive rests, and goes on by itself in order when they come back",
                configuration: {
                    $0.receiveBufferCount = 8
                    $0.receiveBufferSize = 256
                }
            ) { bench in
                for multishot in [true, false] {
                    let line = try bench.connection(.tcp)
                    let sent = LawPattern.bytes(0..<60_000)
                    try line.peer.send(sent)
                    var received: [UInt8] = []
                    var held: [Completion] = []
                    var token = bench.engine.receive(line.handle, multishot: multishot)
                    while received.count < sent.count {
                        let isOut = held.count == 8
                        if isOut {
                            try bench.expectNothing(of: token)
                            try requireEqual(bench.engine.counters.buffersOut, 8, "buffers out")
                        }
                        if isOut || received.count + held.reduce(0, { $0 + Int($1.result) }) == sent.count {
                            for completion in held { received += try bench.take(completion) }
                            held = []
                            continue
                        }
                        let completion = try bench.next(token)
                        try require(completion.result > 0, "result \(completion.result)")
                        held.append(completion)
                        if !completion.hasMore { token = bench.engine.receive(line.handle, multishot: multishot) }
                    }
                    try require(received == sent, "the bytes are out of order")
                    try require(bench.engine.counters.starvations > 0, "no starvation was counted")
                    bench.engine.cancel(token)
                    try bench.expect(token, -ECANCELED)
                }
            },
            Law(
                1, "One buffer at a time is enough to go on", configuration: { $0.receiveBufferCount = 8 }
            ) { bench in
                let line = try bench.connection(.unix)
                let other = try bench.connection(.unix)
                // Seven stay out for good.
                var held: [Completion] = []
                let hog = bench.engine.receive(other.handle, multishot: true)
                for _ in 0..<7 {
                    try other.peer.send([1])
                    held.append(try bench.next(hog))
                }
                let token = bench.engine.receive(line.handle, multishot: true)
                for round in 0..<20 {
                    try line.peer.send([UInt8(round)])
                    let completion = try bench.next(token)
                    try line.peer.send([UInt8(round), 9])
                    try bench.expectNothing(of: token)
                    try requireEqual(try bench.take(completion), [UInt8(round)], "round \(round)")
                    try requireEqual(try bench.take(try bench.next(token)), [UInt8(round), 9], "round \(round)")
                }
                for completion in held { bench.engine.recycle(completion.buffer) }
            },
            Law(5, "A cancelled receive from the pool ends once and keeps no buffer") { bench in
                for multishot in [true, false] {
                    let line = try bench.connection(.unix)
                    let token = bench.engine.receive(line.handle, multishot: multishot)
                    try bench.turn(until: .distantPast)
                    bench.engine.cancel(token)
                    try bench.expect(token, -ECANCELED)
                    try bench.expectNothing(of: token)
                    try line.peer.send([3])
                    let next = try bench.next(bench.engine.receive(line.handle, multishot: false))
                    try requireEqual(try bench.take(next), [3], "bytes after the cancel")
                    try requireEqual(bench.engine.counters.buffersOut, 0, "buffers out")
                }
            },
        ]
    }
}

extension LawBench where Engine: ~Copyable {
    /// The bytes of a completion with a buffer, which goes back.
    mutating func take(_ completion: Completion) throws -> [UInt8] {
        try require(
            completion.flags.contains(.buffer) && completion.result > 0, "no buffer, result \(completion.result)")
        let bytes = Array(engine.buffer(completion.buffer).prefix(Int(completion.result)))
        engine.recycle(completion.buffer)
        return bytes
    }
}
