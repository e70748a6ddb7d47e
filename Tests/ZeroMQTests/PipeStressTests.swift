import Glibc
import Proactor
import Synchronization
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    /// The protocols of DESIGN 5.1 to 5.3 with real threads. A lost wake-up shows as a hang, which the watchdog turns
    /// into a failure; a lost or doubled message as a wrong number.
    @Suite("Pipes under stress") struct PipeStressTests {
        /// The halves that one thread each owns.
        final class Half: @unchecked Sendable {
            let sender: UnsafeMutablePointer<SendSide>
            let receiver: UnsafeMutablePointer<ReceiveSide>
            let pool = ChunkPool()
            init() {
                sender = .allocate(capacity: 1)
                receiver = .allocate(capacity: 1)
                sender.initialize(to: SendSide(losses: LossCounters()))
                receiver.initialize(to: ReceiveSide())
            }
            deinit {
                sender.pointee.list.close()
                receiver.pointee.list.close()
                sender.deinitialize(count: 1)
                receiver.deinitialize(count: 1)
                sender.deallocate()
                receiver.deallocate()
            }
        }

        static let seed = UInt64.random(in: 0...(.max))

        /// How one run goes.
        struct Run: Sendable, CustomTestStringConvertible {
            let mark: Int
            let producers: Int
            let keeps: Bool
            let timesOut: Bool
            var testDescription: String {
                "mark \(mark), \(producers) producers\(keeps ? ", kept" : "")\(timesOut ? ", time-outs" : "")"
            }
            static let all: [Run] = [1, 2, 3, 1000, 0].flatMap { mark in
                [(1, true, false), (1, false, true), (3, false, false), (3, true, true)].map {
                    Run(mark: mark, producers: $0.0, keeps: $0.1, timesOut: $0.2)
                }
            }
        }

        /// A deadline that mostly passes early.
        static func deadline(_ run: Run, _ generator: inout SeededGenerator) -> Deadline? {
            run.timesOut ? .after(.microseconds(Int.random(in: 0...200, using: &generator))) : nil
        }

        @Test(
            "Applications on both ends (inproc): every message once, in order, whatever the mark",
            arguments: Run.all)
        func applications(run: Run) {
            let messages = run.mark == 0 || run.mark == 1000 ? 30_000 : 8_000
            print("pipe stress seed \(Self.seed)")
            let consumer = Half()
            let next = Shared([Int](repeating: 0, count: run.producers))
            let wrong = Atomic<Int>(0)
            var workers: [Worker] = []
            for producer in 0..<run.producers {
                let half = Half()
                let peer = Peer(
                    id: UInt64(producer), endpoint: "", address: nil, socketType: nil, routingID: Frame(),
                    outbound: nil)
                let pipe = Pipe(
                    mark: run.mark, byteMark: 0, pool: half.pool, readerList: consumer.receiver.pointee.list,
                    writerList: half.sender.pointee.list, peer: peer)
                half.sender.pointee.list.wake(pipe.notifyWriter(.attached))
                workers.append(
                    Worker {
                        var generator = SeededGenerator(seed: Self.seed &+ UInt64(producer))
                        for number in 0..<messages {
                            var chosen = half.sender.pointee.choose()
                            while chosen == nil {
                                if half.sender.pointee.prepareToWait() {
                                    _ = half.sender.pointee.list.sleep(until: Self.deadline(run, &generator))
                                }
                                chosen = half.sender.pointee.choose()
                            }
                            let pipe = chosen!
                            var value = UInt64(number)
                            let size = Int.random(in: 8...70, using: &generator)
                            withUnsafeMutableBytes(of: &value) { _ in }
                            withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { body in
                                body.initializeMemory(as: UInt8.self, repeating: 0)
                                body.storeBytes(of: value, as: UInt64.self)
                                pipe.writer.pointee.put([], UnsafeRawBufferPointer(body))
                            }
                            if pipe.writer.pointee.publish(keep: run.keeps) {
                                pipe.readerList.wake(pipe.announce(.data))
                            }
                            if Int.random(in: 0..<64, using: &generator) == 0 { pipe.writer.pointee.letGo() }
                        }
                        pipe.writer.pointee.letGo()
                    })
            }
            workers.append(
                Worker {
                    var generator = SeededGenerator(seed: Self.seed &- 1)
                    var counts = [Int](repeating: 0, count: run.producers)
                    var taken = 0
                    while taken < messages * run.producers {
                        guard let pipe = consumer.receiver.pointee.choose() else {
                            _ = consumer.receiver.pointee.list.sleep(until: Self.deadline(run, &generator))
                            continue
                        }
                        let frame = pipe.reader.pointee.next()
                        let producer = Int(pipe.peer!.id)
                        let number = frame.body.loadUnaligned(as: UInt64.self)
                        if number != UInt64(counts[producer]) { wrong.add(1, ordering: .relaxed) }
                        if run.mark > 0, pipe.queued.messages > run.mark { wrong.add(1, ordering: .relaxed) }
                        counts[producer] += 1
                        taken += 1
                        consumer.receiver.pointee.finish(pipe)
                    }
                    next.value = counts
                })
            for worker in workers { #expect(worker.join(within: 30), "a wake-up was lost: seed \(Self.seed)") }
            #expect(next.value == [Int](repeating: messages, count: run.producers), "seed \(Self.seed)")
            #expect(wrong.load(ordering: .relaxed) == 0, "seed \(Self.seed)")
        }

        @Test(
            "A loop on the consuming end (sends cut anywhere, losses, seizing): every message once",
            arguments: Run.all)
        func loop(run: Run) {
            let messages = run.mark == 0 || run.mark == 1000 ? 30_000 : 8_000
            print("pipe stress seed \(Self.seed)")
            let list = ReadyList()
            var workers: [Worker] = []
            let wrong = Atomic<Int>(0)
            let pipes = (0..<run.producers).map { producer -> (Half, Pipe) in
                let half = Half()
                let peer = Peer(
                    id: UInt64(producer), endpoint: "", address: nil, socketType: nil, routingID: Frame(),
                    outbound: nil)
                return (
                    half,
                    Pipe(
                        mark: run.mark, byteMark: 0, pool: half.pool, readerList: list,
                        writerList: half.sender.pointee.list, peer: peer)
                )
            }
            let finished = Atomic<Int>(0)
            for (producer, (half, pipe)) in pipes.enumerated() {
                half.sender.pointee.list.wake(pipe.notifyWriter(.attached))
                workers.append(
                    Worker {
                        var generator = SeededGenerator(seed: Self.seed &+ UInt64(producer))
                        for number in 0..<messages {
                            var chosen = half.sender.pointee.choose()
                            while chosen == nil {
                                if half.sender.pointee.prepareToWait() {
                                    _ = half.sender.pointee.list.sleep(until: Self.deadline(run, &generator))
                                }
                                chosen = half.sender.pointee.choose()
                            }
                            let pipe = chosen!
                            var value = UInt64(number).littleEndian
                            withUnsafeBytes(of: &value) { pipe.writer.pointee.put([], $0) }
                            if pipe.writer.pointee.publish(keep: run.keeps) {
                                pipe.readerList.wake(pipe.announce(.data))
                            }
                            if Int.random(in: 0..<64, using: &generator) == 0 { pipe.writer.pointee.letGo() }
                        }
                        pipe.writer.pointee.letGo()
                        finished.add(1, ordering: .acquiringAndReleasing)
                    })
            }
            let owned = pipes.map(\.1)
            workers.append(
                Worker {
                    var generator = SeededGenerator(seed: Self.seed &- 1)
                    let gathered = UnsafeMutableBufferPointer<SendPart>.allocate(capacity: 3)
                    defer { gathered.deallocate() }
                    /// What the present connection of each pipe has received beyond whole messages.
                    var received = [[UInt8]](repeating: [], count: owned.count)
                    var counts = [UInt64](repeating: 0, count: owned.count)
                    var mine = Set<Int>()
                    while counts.contains(where: { $0 < messages }) {
                        var arrived: [Int] = []
                        _ = list.take { _, reasons, owner in
                            guard let owner else { return }
                            let pipe = owner.takeRetainedValue()
                            if reasons.contains(.data) { arrived.append(Int(pipe.peer!.id)) }
                        }
                        for index in arrived where !mine.insert(index).inserted { wrong.add(1, ordering: .relaxed) }
                        // The loop wants a connection for bytes of its own now and then.
                        for index in owned.indices where Int.random(in: 0..<16, using: &generator) == 0 {
                            if owned[index].reader.pointee.seize(), !mine.insert(index).inserted {
                                wrong.add(1, ordering: .relaxed)
                            }
                        }
                        for index in mine {
                            let pipe = owned[index]
                            guard pipe.reader.pointee.look() > 0 else {
                                if pipe.reader.pointee.rest() { mine.remove(index) }
                                continue
                            }
                            if Int.random(in: 0..<50, using: &generator) == 0 {
                                pipe.reader.pointee.rewind()
                                received[index] = []
                                continue
                            }
                            let (elements, bytes) = pipe.reader.pointee.gather(into: gathered, limit: 1 << 16)
                            let taken =
                                Bool.random(using: &generator)
                                ? bytes : Int.random(in: 1...bytes, using: &generator)
                            var left = taken
                            for element in gathered[..<elements] {
                                let part = min(left, element.count)
                                received[index].append(
                                    contentsOf: UnsafeRawBufferPointer(start: element.start, count: part))
                                left -= part
                            }
                            if pipe.reader.pointee.advance(taken) { pipe.writerList.wake(pipe.notifyWriter(.room)) }
                            var at = 0
                            while received[index].count - at >= 10 {
                                let value = received[index][(at + 2)..<(at + 10)].reversed().reduce(UInt64(0)) {
                                    $0 << 8 | UInt64($1)
                                }
                                if value != counts[index] { wrong.add(1, ordering: .relaxed) }
                                counts[index] += 1
                                at += 10
                            }
                            received[index].removeFirst(at)
                        }
                        if mine.isEmpty, counts.contains(where: { $0 < messages }) {
                            _ = list.sleep(until: Self.deadline(run, &generator))
                        }
                    }
                })
            for worker in workers { #expect(worker.join(within: 30), "a wake-up was lost: seed \(Self.seed)") }
            #expect(wrong.load(ordering: .relaxed) == 0, "seed \(Self.seed)")
            for (_, pipe) in pipes { #expect(pipe.queued == (0, 0)) }
        }
    }
}
