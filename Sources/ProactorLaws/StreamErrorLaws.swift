import CLiburing
import Glibc
import Proactor

/// Errors in the middle of a stream: progress first, the error with the next operation.
extension Laws {
    static func streamErrors<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(4, "A receive until full that fails after progress reports the bytes, the next one the error") {
                bench in
                let line = try bench.connection(.tcp)
                let memory = bench.memory(100)
                let token = bench.engine.receive(line.handle, into: memory, untilFull: true)
                try line.peer.send([UInt8](repeating: 7, count: 10))
                try bench.expectNothing(of: token)
                try line.peer.resetsOnClose()
                bench.arena.closeNow(line.peer.number)
                try bench.expect(token, 10)
                try bench.expect(bench.engine.receive(line.handle, into: memory, untilFull: true), -ECONNRESET)
            },
            Law(4, "A send to completion that fails after progress reports the bytes, the next one the error") {
                bench in
                let line = try bench.connection(.tcp)
                let bytes = bench.pattern(4 << 20)
                let token = bench.engine.send(line.handle, bytes, toCompletion: true)
                _ = try bench.drain(line.peer, 100_000)
                try bench.expectNothing(of: token)
                try line.peer.resetsOnClose()
                bench.arena.closeNow(line.peer.number)
                let completion = try bench.next(token)
                try require(
                    completion.result >= 100_000 && completion.result < bytes.count,
                    "progress: \(completion.result)")
                let next = try bench.next(bench.engine.send(line.handle, bench.pattern(1), toCompletion: true))
                try require(
                    next.result == -ECONNRESET || next.result == -EPIPE, "the next send: \(next.result)")
            },
            Law(4, "The error of a quiet send shows up in the next operation") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    try line.peer.resetsOnClose()
                    bench.arena.closeNow(line.peer.number)
                    bench.engine.sendQuietly(line.handle, bench.pattern(10))
                    while bench.engine.isSending(line.handle) { try bench.turn(until: .after(.milliseconds(1))) }
                    let next = try bench.next(bench.engine.send(line.handle, bench.pattern(1), toCompletion: true))
                    try require(
                        next.result == -ECONNRESET || next.result == -EPIPE, "\(transport): \(next.result)")
                }
            },
            Law(4, "Signals never surface as a result, and no operation is lost to one") { bench in
                // A handler without SA_RESTART: every blocking call of the thread ends with EINTR.
                var action = sigaction()
                action.__sigaction_handler.sa_handler = { _ in }
                var before = sigaction()
                sigaction(SIGUSR1, &action, &before)
                defer { sigaction(SIGUSR1, &before, nil) }
                let line = try bench.connection(.tcp)
                let token = bench.engine.receive(line.handle, into: bench.memory(100), untilFull: true)
                let target = pthread_self()
                let peer = line.peer
                let thread = try LawThread {
                    for _ in 0..<100 {
                        pthread_kill(target, SIGUSR1)
                        for _ in 0..<20 { sched_yield() }
                        try? peer.send([1])
                    }
                }
                defer { thread.join() }
                try bench.expect(token, 100)
            },
        ]
    }
}
