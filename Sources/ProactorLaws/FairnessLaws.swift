import CLiburing
import Glibc
import Proactor

/// Bounded work: one busy descriptor does not keep the others from their turn.
extension Laws {
    static func fairness<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(
                8, "A flooded multishot receive does not starve another connection",
                configuration: {
                    $0.receiveBufferSize = 256
                    $0.receiveBufferCount = 1024
                }
            ) { bench in
                let (busy, quiet) = (try bench.connection(.tcp), try bench.connection(.tcp))
                try busy.peer.send([UInt8](repeating: 1, count: 200_000))
                let flood = bench.engine.receive(busy.handle, multishot: true)
                let small = bench.engine.receive(quiet.handle, into: bench.memory(1), untilFull: true)
                try quiet.peer.send([1])
                try bench.expectSoon(small, besides: flood)
            },
            Law(8, "A flood of receives that complete at once does not starve another connection or a timer") {
                bench in
                let (busy, quiet) = (try bench.connection(.unix), try bench.connection(.unix))
                let memory = bench.memory(16)
                try busy.peer.send([UInt8](repeating: 1, count: 100_000))
                var flood = bench.engine.receive(busy.handle, into: memory, untilFull: false)
                try bench.turn()
                let small = bench.engine.receive(quiet.handle, into: bench.memory(1), untilFull: true)
                let timer = bench.engine.startTimer(at: .after(.microseconds(100)), every: nil)
                try quiet.peer.send([1])
                var (turns, pending) = (0, Set([small, timer]))
                while !pending.isEmpty, turns < 3000 {
                    turns += 1
                    let completion = try bench.next(flood)
                    try require(completion.result > 0, "flood: \(completion.result)")
                    flood = bench.engine.receive(busy.handle, into: memory, untilFull: false)
                    try bench.turn()
                    for completion in bench.backlog { pending.remove(completion.token) }
                    if pending.contains(small) { try require(turns <= 64, "not within 64 turns") }
                }
                try require(pending.isEmpty, "the timer starved")
            },
            Law(8, "A send of many MiB with a fast reader does not starve another connection") { bench in
                let (busy, quiet) = (try bench.connection(.unix), try bench.connection(.unix))
                let peer = busy.peer
                let count = 4 << 20
                let thread = try LawThread { _ = try? peer.receive(count) }
                defer { thread.join() }
                let send = bench.engine.send(busy.handle, bench.pattern(count), toCompletion: true)
                let small = bench.engine.receive(quiet.handle, into: bench.memory(1), untilFull: true)
                try quiet.peer.send([1])
                while !bench.backlog.contains(where: { $0.token == small }) { try bench.turn() }
                try bench.expect(send, Int32(count))
            },
        ]
    }
}

extension LawBench where Engine: ~Copyable {
    /// The operation completes within a few turns although the other one has much to tell.
    fileprivate mutating func expectSoon(_ token: Token, besides flood: Token) throws {
        var turns = 0
        while !backlog.contains(where: { $0.token == token }) {
            try turn()
            turns += 1
            try require(turns <= 16, "not within 16 turns")
        }
        try expect(token, 1)
        engine.cancel(flood)
        while true {
            let completion = try next(flood)
            if completion.flags.contains(.buffer) { engine.recycle(completion.buffer) }
            if !completion.hasMore { return }
        }
    }
}
