import CLiburing
import Glibc
import Proactor

/// Deadlines and timers: never early, one wait for all.
extension Laws {
    static func time<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(7, "A wait returns at its deadline, not before") { bench in
                for span in [Duration.microseconds(300), .milliseconds(1), .milliseconds(7)] {
                    let deadline = Deadline.after(span)
                    while Deadline.now < deadline {
                        let count = try bench.turn(until: deadline)
                        try requireEqual(count, 0, "completions")
                        try require(Deadline.now >= deadline, "it returned early")
                    }
                }
            },
            Law(7, "A wait until the distant past does not sleep, and still collects") { bench in
                let start = Deadline.now
                for _ in 0..<100 { try bench.turn(until: .distantPast) }
                try require(Deadline.now.since(start) < .seconds(1), "it slept")
                let line = try bench.connection(.unix)
                let receive = bench.engine.receive(line.handle, into: bench.memory(1), untilFull: false)
                try bench.turn(until: .distantPast)
                try line.peer.send([1])
                while bench.backlog.isEmpty { try bench.turn(until: .distantPast) }
                try bench.expect(receive, 1)
            },
            Law(7, "A timer completes once, at its deadline and not before") { bench in
                let deadline = Deadline.after(.milliseconds(3))
                let timer = bench.engine.startTimer(at: deadline, every: nil)
                try bench.expect(timer, 0)
                try require(Deadline.now >= deadline, "it was early")
                try bench.expectNothing(of: timer)
            },
            Law(7, "Timers complete in the order of their deadlines") { bench in
                let start = Deadline.after(.milliseconds(2))
                let order = [5, 1, 4, 2, 3, 0]
                let tokens = order.map { step in
                    bench.engine.startTimer(at: start + .milliseconds(step), every: nil)
                }
                while bench.backlog.count < order.count { try bench.turn() }
                let found = bench.backlog.map { completion in order[tokens.firstIndex(of: completion.token)!] }
                try requireEqual(found, [0, 1, 2, 3, 4, 5], "order")
            },
            Law(7, "A repeating timer goes on with more until it is cancelled, and skips what it missed") { bench in
                let timer = bench.engine.startTimer(at: .after(.milliseconds(1)), every: .milliseconds(1))
                for _ in 0..<5 { try require(try bench.next(timer).hasMore, "it promises no more") }
                // Missed points are not made up for.
                let end = Deadline.after(.milliseconds(20))
                while Deadline.now < end {}
                try bench.turn(until: .distantPast)
                let missed = bench.backlog.count { $0.token == timer }
                try require(missed <= 2, "\(missed) completions at once")
                for _ in 0..<missed { _ = try bench.next(timer) }
                bench.engine.cancel(timer)
                var last = try bench.next(timer)
                while last.hasMore { last = try bench.next(timer) }
                try requireEqual(last.result, -ECANCELED, "the last completion")
                try bench.expectNothing(of: timer)
            },
            Law(5, "A cancelled timer completes once, as cancelled") { bench in
                let timer = bench.engine.startTimer(at: .after(.seconds(60)), every: nil)
                try bench.expectNothing(of: timer)
                bench.engine.cancel(timer)
                bench.engine.cancel(timer)
                try bench.expect(timer, -ECANCELED)
                try bench.expectNothing(of: timer)
            },
        ]
    }
}
