import Glibc
import Proactor
import Synchronization
import Testing

@testable import ZeroMQ

extension Sockets {
    /// P4 of the wake protocols: pushed by anybody, taken whole, the head is the sleep flag.
    @Suite("Ready lists") struct ReadyListStressTests {
        static let seed = UInt64.random(in: 0...(.max))

        @Test(
            "No push is missed, with several producers, nodes of several edges, and time-outs",
            arguments: [false, true])
        func pushes(timesOut: Bool) {
            print("ready list stress seed \(Self.seed)")
            let list = ReadyList()
            let pushes = 40_000
            // Each producer counts up before it pushes; the taker must come to see the last count of each.
            final class Slot: Sendable {
                let node = CallNode()
                let count = Atomic<Int>(0)
            }
            let slots = (0..<3).map { _ in Slot() }
            let sleeps = Atomic<Int>(0)
            let wakes = Atomic<Int>(0)
            var workers = slots.enumerated().map { index, slot in
                Worker {
                    var generator = SeededGenerator(seed: Self.seed &+ UInt64(index))
                    for _ in 0..<pushes {
                        slot.count.add(1, ordering: .relaxed)
                        let sleeper = list.push(slot.node.node, .call)
                        if sleeper == .thread { wakes.add(1, ordering: .relaxed) }
                        list.wake(sleeper)
                        if Int.random(in: 0..<200, using: &generator) == 0 { sched_yield() }
                    }
                }
            }
            workers.append(
                Worker {
                    var generator = SeededGenerator(seed: Self.seed &- 1)
                    while true {
                        let any = list.take { _, _, _ in }
                        if slots.allSatisfy({ $0.count.load(ordering: .relaxed) == pushes }) { break }
                        guard !any else { continue }
                        sleeps.add(1, ordering: .relaxed)
                        _ = list.sleep(
                            until: timesOut
                                ? .after(.microseconds(Int.random(in: 0...100, using: &generator))) : nil)
                    }
                })
            for worker in workers { #expect(worker.join(within: 30), "a wake-up was lost: seed \(Self.seed)") }
            #expect(wakes.load(ordering: .relaxed) <= sleeps.load(ordering: .relaxed))
        }

        @Test("A suspended task is resumed once by a push, an alarm or a cancellation, whichever comes first")
        func tasks() async {
            print("ready list stress seed \(Self.seed)")
            let list = ReadyList()
            let node = CallNode()
            let count = Atomic<Int>(0)
            let isOver = Atomic<Bool>(false)
            let pushes = 20_000
            let producer = Worker {
                for _ in 0..<pushes {
                    count.add(1, ordering: .relaxed)
                    list.wake(list.push(node.node, .call))
                }
            }
            let interrupter = Worker {
                while !isOver.load(ordering: .acquiring) {
                    list.interrupt()
                    sched_yield()
                }
            }
            while count.load(ordering: .relaxed) < pushes {
                _ = list.take { _, _, _ in }
                if count.load(ordering: .relaxed) == pushes { break }
                await list.suspend(unless: { false })
            }
            isOver.store(true, ordering: .releasing)
            #expect(producer.join() && interrupter.join())
        }

        @Test("The oldest news comes first, each node once")
        func order() {
            let list = ReadyList()
            let nodes = (0..<5).map { _ in CallNode() }
            for node in nodes { #expect(list.push(node.node, .call) == .none) }
            #expect(list.push(nodes[0].node, .room) == .none)
            var seen: [ReadyReasons] = []
            #expect(list.take { _, reasons, _ in seen.append(reasons) })
            #expect(seen == [[.call, .room], .call, .call, .call, .call])
            #expect(!list.take { _, _, _ in })
        }

        @Test("A list that was closed lets its pipes go and takes no more")
        func closing() {
            weak var gone: Pipe?
            let writerList = ReadyList()
            do {
                let list = ReadyList()
                let pipe = Pipe(mark: 1, byteMark: 0, pool: ChunkPool(), readerList: list, writerList: writerList)
                gone = pipe
                let call = CallNode()
                #expect(list.push(call.node, .call) == .none)
                _ = pipe.announce(.data)
                list.close()
                #expect(pipe.announce(.data) == .none)
                #expect(!list.hasNews && !list.fallAsleep())
                withExtendedLifetime(call) {}
            }
            #expect(gone == nil)
        }
    }
}
