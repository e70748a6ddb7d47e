import CLiburing
import Glibc
import Proactor
import Synchronization

/// Ending a wait from other threads.
extension Laws {
    static func waking<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(7, "A wake from another thread ends the wait, without a completion") { bench in
                for _ in 0..<50 {
                    let waker = bench.engine.waker
                    let before = bench.engine.counters.wakeups
                    let thread = try LawThread { waker.wake() }
                    defer { thread.join() }
                    while bench.engine.counters.wakeups == before { try bench.turn() }
                    try require(bench.backlog.isEmpty, "a completion came")
                }
            },
            Law(7, "A wake before the wait ends it at once") { bench in
                bench.engine.waker.wake()
                let start = Deadline.now
                while bench.engine.counters.wakeups == 0 { try bench.turn() }
                try require(Deadline.now.since(start) < .seconds(5), "it slept")
                // It is used up: the next wait sleeps until its deadline.
                let deadline = Deadline.after(.milliseconds(3))
                try bench.turn(until: deadline)
                try require(Deadline.now >= deadline, "the wake came twice")
            },
            Law(7, "Values of wakes arrive once each, in the order of their thread") { bench in
                let (threads, values) = (3, 500)
                var running: [LawThread] = []
                for number in 0..<threads {
                    let waker = bench.engine.waker
                    running.append(
                        try LawThread {
                            for value in 0..<values { waker.wake(UInt64(number) << 32 | UInt64(value)) }
                        })
                }
                defer { for thread in running { thread.join() } }
                var next = [UInt64](repeating: 0, count: threads)
                for _ in 0..<threads * values {
                    let completion = try bench.next(.wake)
                    try require(!completion.hasMore, "it promises more")
                    let thread = Int(completion.value >> 32)
                    try requireEqual(completion.value & 0xFFFF_FFFF, next[thread], "order of thread \(thread)")
                    next[thread] += 1
                }
            },
            Law(
                7, "Wakes with values are refused beyond their bound, and never lost below",
                configuration: {
                    $0.wakeBound = 10
                }
            ) { bench in
                let waker = bench.engine.waker
                for value in 0..<10 { try require(waker.wake(UInt64(value)), "value \(value) was refused") }
                try require(!waker.wake(99), "the bound does not hold")
                for value in 0..<10 { try requireEqual(try bench.next(.wake).value, UInt64(value), "value") }
                try require(waker.wake(7), "room does not come back")
                try requireEqual(try bench.next(.wake).value, 7, "value")
            },
            Law(7, "A wake comes through while completions keep coming") { bench in
                let line = try bench.connection(.unix)
                let timer = bench.engine.startTimer(at: .distantPast, every: .nanoseconds(1))
                bench.engine.waker.wake(5)
                var turns = 0
                while !bench.backlog.contains(where: { $0.token.purpose == .wake }) {
                    try bench.turn()
                    turns += 1
                    try require(turns <= 100, "not within 100 turns")
                }
                bench.engine.cancel(timer)
                try bench.expect(bench.engine.close(line.handle), 0)
            },
            Law(7, "A thread that sleeps on a word is woken with the next wait at the latest") { bench in
                let word = bench.memory(4)
                let address = UInt(bitPattern: word.baseAddress)
                let outcome = Atomic<Int32>(0)
                let thread = try LawThread {
                    let end = Deadline.after(.seconds(5))
                    var answer: Int32 = 0
                    while answer != -EAGAIN, answer != -ETIMEDOUT {
                        answer = Futex.wait(UnsafeRawPointer(bitPattern: address)!, while: 0, until: end)
                    }
                    outcome.store(answer, ordering: .releasing)
                }
                word.storeBytes(of: 1, as: UInt32.self)
                bench.engine.wakeThread(sleepingOn: UnsafeRawPointer(word.baseAddress!))
                try bench.turn(until: .distantPast)
                thread.join()
                try requireEqual(outcome.load(ordering: .acquiring), -EAGAIN, "what ended the sleep")
            },
        ]
    }
}
