import CLiburing
import Glibc
import Proactor

/// The same error for the same cause on every engine.
extension Laws {
    static func errors<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(9, "Connecting where nobody listens is refused") { bench in
                let free: SocketAddress
                do {
                    let listener = try Descriptor.listening(on: LawTransport.tcp.anyAddress())
                    free = Descriptor.localAddress(of: listener.number)!
                }
                let socket = try bench.engine.adopt(Descriptor.stream(for: free))
                try bench.expect(bench.engine.connect(socket, to: free), -ECONNREFUSED)
                let missing = SocketAddress(unix: "/nonexistent/proactor-laws")!
                let local = try bench.engine.adopt(Descriptor.stream(for: missing))
                try bench.expect(bench.engine.connect(local, to: missing), -ENOENT)
                let name = try LawTransport.unix.anyAddress()
                let abstract = try bench.engine.adopt(Descriptor.stream(for: name))
                try bench.expect(bench.engine.connect(abstract, to: name), -ECONNREFUSED)
            },
            Law(9, "Connecting twice answers EISCONN") { bench in
                let (_, address) = try bench.listener(.tcp)
                let socket = try bench.engine.adopt(Descriptor.stream(for: address))
                try bench.expect(bench.engine.connect(socket, to: address), 0)
                try bench.expect(bench.engine.connect(socket, to: address), -EISCONN)
            },
            Law(9, "Sending to a peer that is gone answers EPIPE or ECONNRESET, and never a signal") { bench in
                let local = try bench.connection(.unix)
                bench.arena.closeNow(local.peer.number)
                try bench.expect(bench.engine.send(local.handle, bench.pattern(1), toCompletion: true), -EPIPE)
                let line = try bench.connection(.tcp)
                try line.peer.resetsOnClose()
                bench.arena.closeNow(line.peer.number)
                try bench.expect(
                    bench.engine.receive(line.handle, into: bench.memory(1), untilFull: false), -ECONNRESET)
                try bench.expect(bench.engine.send(line.handle, bench.pattern(1), toCompletion: true), -EPIPE)
                try bench.expect(
                    bench.engine.send(
                        line.handle, gather: bench.list(bench.pattern(4), parts: 2), toCompletion: true),
                    -EPIPE)
            },
            Law(9, "A waiting receive learns of a reset") { bench in
                for isLent in [true, false] {
                    let line = try bench.connection(.tcp)
                    let token =
                        isLent
                        ? bench.engine.receive(line.handle, multishot: true)
                        : bench.engine.receive(line.handle, into: bench.memory(1), untilFull: false)
                    try bench.turn(until: .distantPast)
                    try line.peer.resetsOnClose()
                    bench.arena.closeNow(line.peer.number)
                    try bench.expect(token, -ECONNRESET)
                }
            },
            Law(9, "Misplaced operations answer what the system call answers") { bench in
                let fresh = try bench.engine.adopt(Descriptor.stream(for: LawTransport.tcp.anyAddress()))
                try bench.expect(bench.engine.receive(fresh, into: bench.memory(1), untilFull: false), -ENOTCONN)
                try bench.expect(bench.engine.send(fresh, bench.pattern(1), toCompletion: false), -EPIPE)
                try bench.expect(bench.engine.accept(fresh, multishot: false), -EINVAL)
                let (listener, _) = try bench.listener(.tcp)
                try bench.expect(bench.engine.receive(listener, into: bench.memory(1), untilFull: false), -ENOTCONN)
            },
        ]
    }

    /// What was sent before the end comes before the end.
    static func hangUp<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(11, "Hang-up with unread data delivers the data first, then the end") { bench in
                for transport in LawTransport.allCases {
                    for isWaiting in [true, false] {
                        let line = try bench.connection(transport)
                        let memory = bench.memory(1000)
                        var token: Token?
                        if isWaiting {
                            token = bench.engine.receive(line.handle, into: memory, untilFull: false)
                            try bench.turn(until: .distantPast)
                        }
                        try line.peer.send(LawPattern.bytes(0..<50_000))
                        bench.arena.closeNow(line.peer.number)
                        if !isWaiting { try bench.turn(for: .milliseconds(2)) }
                        var received: [UInt8] = []
                        while true {
                            let started = token ?? bench.engine.receive(line.handle, into: memory, untilFull: false)
                            token = nil
                            let result = try bench.next(started).result
                            try require(result >= 0, "result \(result) after \(received.count) bytes")
                            if result == 0 { break }
                            received += memory.prefix(Int(result))
                        }
                        try require(received == LawPattern.bytes(0..<50_000), "\(received.count) bytes came")
                    }
                }
            },
            Law(11, "A multishot receive delivers all data before the end of a closed peer") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let token = bench.engine.receive(line.handle, multishot: true)
                    try bench.turn(until: .distantPast)
                    try line.peer.send(LawPattern.bytes(0..<100_000))
                    bench.arena.closeNow(line.peer.number)
                    var received: [UInt8] = []
                    while true {
                        let completion = try bench.next(token)
                        try require(completion.result >= 0, "result \(completion.result)")
                        if completion.result == 0 { break }
                        received += try bench.take(completion)
                    }
                    try require(received == LawPattern.bytes(0..<100_000), "\(received.count) bytes came")
                }
            },
        ]
    }
}
