import CLiburing
import Glibc
import Proactor

/// Cancelling: once, harmless when late, and nothing is lost.
extension Laws {
    static func cancelling<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(5, "A cancelled receive completes once, as cancelled") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let token = bench.engine.receive(line.handle, into: bench.memory(10), untilFull: false)
                    try bench.turn(until: .distantPast)
                    bench.engine.cancel(token)
                    bench.engine.cancel(token)
                    try bench.expect(token, -ECANCELED)
                    bench.engine.cancel(token)
                    try bench.expectNothing(of: token)
                }
            },
            Law(3, "Memory of a cancelled receive is not written after its completion") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let memory = bench.memory(10, filledWith: 0xEE)
                    let token = bench.engine.receive(line.handle, into: memory, untilFull: false)
                    try bench.turn(until: .distantPast)
                    bench.engine.cancel(token)
                    try bench.expect(token, -ECANCELED)
                    try line.peer.send([1, 2, 3])
                    try bench.turn(for: .milliseconds(5))
                    try require(memory.allSatisfy { $0 == 0xEE }, "the memory was written")
                    try bench.expect(bench.engine.receive(line.handle, into: bench.memory(9), untilFull: false), 3)
                }
            },
            Law(5, "A cancelled send completes once and tells what went") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let bytes = bench.pattern(4 << 20)
                    let token = bench.engine.send(line.handle, bytes, toCompletion: true)
                    try bench.turn(for: .milliseconds(5))
                    bench.engine.cancel(token)
                    let completion = try bench.next(token)
                    try require(!completion.hasMore, "it promises more")
                    try require(completion.result > 0, "bytes went, and it says \(completion.result)")
                    try bench.expectNothing(of: token)
                    try bench.expect(bench.engine.close(line.handle), 0)
                    let received = try bench.drain(line.peer, Int(completion.result))
                    try require(received.elementsEqual(bytes.prefix(received.count)), "out of order")
                    try require(try line.peer.seesEnd(), "more bytes went than it told")
                }
            },
            Law(5, "A cancel that races with data loses no byte") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let memory = bench.memory(4)
                    var received: [UInt8] = []
                    for round in 0..<200 {
                        let token = bench.engine.receive(line.handle, into: memory, untilFull: round % 2 == 0)
                        if round % 3 != 0 { try bench.turn(until: .distantPast) }
                        try line.peer.send([UInt8(round)])
                        if round % 5 == 0 { try bench.turn(until: .distantPast) }
                        bench.engine.cancel(token)
                        let completion = try bench.next(token)
                        try require(
                            completion.result == -ECANCELED || completion.result > 0, "\(completion.result)")
                        received += memory.prefix(Int(max(completion.result, 0)))
                    }
                    while received.count < 200 {
                        let token = bench.engine.receive(line.handle, into: memory, untilFull: false)
                        received += memory.prefix(Int(max(try bench.next(token).result, 0)))
                    }
                    try requireEqual(received, (0..<200).map { UInt8($0) }, "bytes")
                }
            },
            Law(5, "A cancel that races with data loses no lent buffer and no byte") { bench in
                for multishot in [true, false] {
                    let line = try bench.connection(.unix)
                    var received: [UInt8] = []
                    func collect(_ token: Token, _ bench: inout LawBench<Engine>) throws {
                        while true {
                            let completion = try bench.next(token)
                            if completion.flags.contains(.buffer) { received += try bench.take(completion) }
                            if !completion.hasMore { return }
                        }
                    }
                    for round in 0..<100 {
                        let token = bench.engine.receive(line.handle, multishot: multishot)
                        if round % 3 != 0 { try bench.turn(until: .distantPast) }
                        try line.peer.send([UInt8(round)])
                        if round % 5 == 0 { try bench.turn(until: .distantPast) }
                        bench.engine.cancel(token)
                        try collect(token, &bench)
                    }
                    while received.count < 100 {
                        try collect(bench.engine.receive(line.handle, multishot: false), &bench)
                    }
                    try requireEqual(received, (0..<100).map { UInt8($0) }, "bytes")
                    try requireEqual(bench.engine.counters.buffersOut, 0, "buffers out")
                }
            },
            Law(5, "A cancel that races with a connection loses no accepted descriptor") { bench in
                for transport in LawTransport.allCases {
                    let (listener, address) = try bench.listener(transport)
                    var accepted = 0
                    for round in 0..<40 {
                        let token = bench.engine.accept(listener, multishot: round % 2 == 0)
                        if round % 3 != 0 { try bench.turn(until: .distantPast) }
                        _ = try bench.peer(connectedTo: address)
                        bench.engine.cancel(token)
                        var completion: Completion
                        repeat {
                            completion = try bench.next(token)
                            guard completion.result >= 0 else { continue }
                            _ = completion.takeDescriptor()
                            accepted += 1
                        } while completion.hasMore
                    }
                    while accepted < 40 {
                        _ = try bench.next(bench.engine.accept(listener, multishot: false)).takeDescriptor()
                        accepted += 1
                    }
                }
            },
            Law(5, "Cancelling a finished token is harmless to the next operation") { bench in
                let line = try bench.connection(.tcp)
                try line.peer.send([1])
                let first = bench.engine.receive(line.handle, into: bench.memory(1), untilFull: true)
                try bench.expect(first, 1)
                let second = bench.engine.receive(line.handle, into: bench.memory(1), untilFull: true)
                bench.engine.cancel(first)
                try bench.expectNothing(of: second)
                try line.peer.send([2])
                try bench.expect(second, 1)
                let timer = bench.engine.startTimer(at: .distantPast, every: nil)
                try bench.expect(timer, 0)
                let later = bench.engine.startTimer(at: .after(.milliseconds(2)), every: nil)
                bench.engine.cancel(timer)
                try bench.expect(later, 0)
            },
            Law(5, "Cancelling all ends both directions and the poll, once each") { bench in
                let line = try bench.connection(.tcp)
                let receive = bench.engine.receive(line.handle, into: bench.memory(1), untilFull: false)
                let send = bench.engine.send(line.handle, bench.pattern(4 << 20), toCompletion: true)
                let poll = bench.engine.poll(line.handle, for: .readable)
                try bench.turn(for: .milliseconds(5))
                bench.engine.cancelAll(line.handle)
                try bench.expect(receive, -ECANCELED)
                try bench.expect(poll, -ECANCELED)
                try require(try bench.next(send).result > 0, "the send's bytes")
                bench.engine.cancelAll(line.handle)
                for token in [receive, send, poll] { try bench.expectNothing(of: token) }
                try line.peer.send([1])
                try bench.expect(bench.engine.receive(line.handle, into: bench.memory(1), untilFull: false), 1)
            },
            Law(5, "A cancelled connect completes once") { bench in
                // A listener that accepts nothing and whose backlog is full keeps a connect in progress.
                let name = try LawTransport.unix.anyAddress()
                let listener = try bench.engine.adopt(Descriptor.listening(on: name, backlog: 0))
                var pending: [Token] = []
                for _ in 0..<3 {
                    let socket = try bench.engine.adopt(Descriptor.stream(for: name))
                    pending.append(bench.engine.connect(socket, to: name))
                }
                try bench.turn(for: .milliseconds(5))
                for token in pending { bench.engine.cancel(token) }
                let results = try pending.map { try bench.next($0).result }
                try require(results.allSatisfy { $0 == 0 || $0 == -ECANCELED }, "results \(results)")
                try require(results.contains(-ECANCELED), "none was cancelled: \(results)")
                try bench.expect(bench.engine.close(listener), 0)
            },
        ]
    }
}
