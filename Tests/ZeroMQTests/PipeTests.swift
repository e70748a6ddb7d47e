import Glibc
import Proactor
import Synchronization
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    /// One thread plays both sides: what a pipe's fields and chains do, step by step, against a model.
    @Suite("Pipes") struct PipeTests {
        /// A pipe between two lists of the test.
        struct Bench {
            let written = ReadyList()
            let consumed = ReadyList()
            let pool = ChunkPool()
            let pipe: Pipe

            init(mark: Int = 0, start: (position: UInt64, count: UInt64) = (0, 0)) {
                pipe = Pipe(
                    mark: mark, byteMark: 0, pool: pool, readerList: consumed, writerList: written,
                    startingAt: start)
            }

            func put(_ bytes: [UInt8], more: Bool = false) {
                bytes.withUnsafeBytes { pipe.writer.pointee.put(more ? .more : [], $0) }
            }

            // Plain calls for `#expect`, which cannot hold what is not copyable.
            func look() -> Int { pipe.reader.pointee.look() }
            func rest() -> Bool { pipe.reader.pointee.rest() }
            func seize() -> Bool { pipe.reader.pointee.seize() }
            func hasRoom() -> Bool { pipe.writer.pointee.hasRoom() }
            func waitForRoom() -> Bool { pipe.writer.pointee.waitForRoom() }
            var isAtBoundary: Bool { pipe.reader.pointee.isAtBoundary }
            var isWanted: Bool { pipe.reader.pointee.isWanted }
            var remaining: Int { pipe.reader.pointee.remaining }

            func publish(keep: Bool) -> Bool { pipe.writer.pointee.publish(keep: keep) }

            /// Takes one message as an application does.
            func take() -> [[UInt8]] {
                var frames: [[UInt8]] = []
                while true {
                    let frame = pipe.reader.pointee.next()
                    frames.append(Array(frame.body))
                    if !frame.hasMore { break }
                }
                if pipe.reader.pointee.finish() { _ = pipe.reader.pointee.credit() }
                return frames
            }
        }

        @Test("A word keeps its three fields apart, also at their ends")
        func word() {
            for position in [0, 1, PipeWord.positionMask - 1, PipeWord.positionMask] {
                for count in [0, 1, PipeWord.countMask - 1, PipeWord.countMask] {
                    for flags: UInt64 in [0, 1, 15, 31] {
                        let word = PipeWord(position: position, count: count, flags: flags)
                        #expect(word.position == position && word.count == count && word.rawValue & 31 == flags)
                        #expect(
                            PipeWord(position: position + 1 << 34, count: count + 1 << 25, flags: flags) == word)
                    }
                }
            }
            #expect(PipeWord.countBound == 33_554_431 && PipeWord.byteBound == 17_179_869_183)
        }

        @Test(
            "Position and count wrap without losing a message or overrunning the mark",
            arguments: [1, 2, 3, 1000, 0], [true, false])
        func wrap(mark: Int, keep: Bool) {
            // Both fields wrap in the middle of the run: 10 bytes a message.
            let bench = Bench(mark: mark, start: (PipeWord.positionMask - 2005, PipeWord.countMask - 150))
            var isConsumer = false
            var (sent, taken) = (0, 0)
            while taken < 600 {
                // Up to the mark, or three at a time.
                while bench.hasRoom(), sent - taken < (mark == 0 ? 3 : mark), sent < 600 {
                    bench.put([UInt8](repeating: UInt8(truncatingIfNeeded: sent), count: 8))
                    if bench.publish(keep: keep) { isConsumer = true }
                    sent += 1
                }
                if mark > 0, sent < 600 { #expect(!bench.hasRoom()) }
                #expect(isConsumer)
                #expect(bench.pipe.queued.messages == sent - taken)
                #expect(bench.pipe.queued.bytes == (sent - taken) * 10)
                _ = bench.look()
                #expect(bench.remaining == sent - taken)
                while bench.remaining > 0 {
                    #expect(bench.take() == [[UInt8](repeating: UInt8(truncatingIfNeeded: taken), count: 8)])
                    taken += 1
                }
                _ = bench.pipe.reader.pointee.credit()
                #expect(bench.pipe.queued == (0, 0))
                #expect(bench.look() == 0)
                #expect(bench.rest())
                isConsumer = false
            }
            let count = bench.pipe.reader.pointee.count
            #expect(count > PipeWord.countMask)
            let position = bench.pipe.reader.pointee.position
            #expect(position > PipeWord.positionMask)
        }

        @Test("The loop's side wraps too, with sends of every size")
        func wrapOfSends() {
            let bench = Bench(mark: 4, start: (PipeWord.positionMask - 500, PipeWord.countMask - 20))
            var generator = SeededGenerator(seed: 5)
            let list = UnsafeMutableBufferPointer<SendPart>.allocate(capacity: 4)
            defer { list.deallocate() }
            var (written, sent): ([UInt8], [UInt8]) = ([], [])
            for round in 0..<100 {
                while bench.hasRoom() {
                    let body = [UInt8](repeating: UInt8(round), count: Int.random(in: 0...20, using: &generator))
                    bench.put(body)
                    _ = bench.publish(keep: false)
                    written += [0, UInt8(body.count)] + body
                }
                while bench.look() > 0 {
                    let (elements, bytes) = bench.pipe.reader.pointee.gather(into: list, limit: 1 << 20)
                    let taken = Int.random(in: 1...bytes, using: &generator)
                    let lent = (0..<elements).flatMap {
                        Array(UnsafeRawBufferPointer(start: list[$0].start, count: list[$0].count))
                    }
                    sent += lent[..<taken]
                    _ = bench.pipe.reader.pointee.advance(taken)
                }
                #expect(bench.pipe.queued == (0, 0))
                #expect(bench.rest())
            }
            #expect(sent == written)
        }

        @Test(
            "A chain of chunks and bodies, sent in pieces cut anywhere and sent again after a loss, is the same bytes"
        )
        func chains() throws {
            for seed in UInt64(1)...40 {
                var generator = SeededGenerator(seed: seed)
                let bench = Bench()
                /// Whole messages as they stand on the wire.
                var messages: [[UInt8]] = []
                /// What the present connection has received of `messages[settled...]`.
                var (settled, received): (Int, [UInt8]) = (0, [])
                let list = UnsafeMutableBufferPointer<SendPart>.allocate(
                    capacity: Int.random(in: 1...5, using: &generator))
                defer { list.deallocate() }
                var isConsumer = false
                for _ in 0..<60 {
                    if Bool.random(using: &generator) || !isConsumer {
                        var wire: [UInt8] = []
                        let parts = Int.random(in: 1...3, using: &generator)
                        for part in 1...parts {
                            let size = [0, 5, 255, 256, 900, 5000, 40_000].randomElement(using: &generator)!
                            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ size &+ messages.count) }
                            let more: FrameFlags = part < parts ? .more : []
                            let storage = Storage(count: max(size, 1))
                            storage.fillable.copyBytes(from: body)
                            bench.pipe.writer.pointee.put(
                                more, UnsafeRawBufferPointer(rebasing: storage.bytes[..<size]), owner: storage)
                            FrameHeader.append(to: &wire, flags: more, bodyCount: size)
                            wire += body
                        }
                        messages.append(wire)
                        if bench.publish(keep: Bool.random(using: &generator)) { isConsumer = true }
                        if Bool.random(using: &generator) { bench.pipe.writer.pointee.letGo() }
                    } else if bench.look() == 0 {
                        #expect(bench.rest())
                        isConsumer = false
                    } else if Int.random(in: 0..<8, using: &generator) == 0 {
                        // The connection is lost: whole messages stay settled, a half one comes again.
                        bench.pipe.reader.pointee.rewind()
                        received = []
                    } else {
                        let (elements, bytes) = bench.pipe.reader.pointee.gather(
                            into: list, limit: [1, 300, 70_000].randomElement(using: &generator)!)
                        #expect(elements >= 1 && bytes >= 1)
                        let lent = (0..<elements).flatMap {
                            Array(UnsafeRawBufferPointer(start: list[$0].start, count: list[$0].count))
                        }
                        #expect(lent.count == bytes)
                        let taken =
                            Bool.random(using: &generator) ? bytes : Int.random(in: 1...bytes, using: &generator)
                        received += lent[..<taken]
                        _ = bench.pipe.reader.pointee.advance(taken)
                        while settled < messages.count, received.count >= messages[settled].count {
                            let wire = messages[settled]
                            try #require(Array(received[..<wire.count]) == wire, "seed \(seed), message \(settled)")
                            received.removeFirst(wire.count)
                            settled += 1
                        }
                        try #require(
                            bench.pipe.queued.messages == messages.count - settled,
                            "seed \(seed), message \(settled)")
                        #expect(bench.isAtBoundary == received.isEmpty)
                    }
                }
                if settled < messages.count { #expect(messages[settled].starts(with: received)) }
            }
        }

        @Test("Every byte of a message is a place where a send may be cut")
        func everyCut() {
            for cut in 1..<2000 {
                let bench = Bench()
                bench.put([1, 2, 3], more: true)
                bench.put([UInt8](repeating: 4, count: 1200), more: true)
                bench.put([UInt8](repeating: 5, count: 780))
                _ = bench.publish(keep: true)
                bench.put([6])
                _ = bench.publish(keep: true)
                let whole = 5 + 1209 + 789
                let list = UnsafeMutableBufferPointer<SendPart>.allocate(capacity: 8)
                defer { list.deallocate() }
                _ = bench.look()
                _ = bench.pipe.reader.pointee.advance(cut)
                #expect(bench.pipe.queued.messages == (cut < whole ? 2 : 1))
                bench.pipe.reader.pointee.rewind()
                _ = bench.look()
                let (elements, bytes) = bench.pipe.reader.pointee.gather(into: list, limit: 1 << 20)
                #expect(bytes == whole + 3 && elements >= 2)
                let first = UnsafeRawBufferPointer(start: list[0].start, count: 3)
                #expect(Array(first) == [1, 3, 1])
            }
        }

        @Test("Letting go of a chain frees all of it, published or not")
        func lettingGo() {
            for isPublished in [false, true] {
                for rests in [false, true] {
                    let released = Shared(0)
                    let bench = Bench()
                    if isPublished {
                        bench.put([1])
                        _ = bench.publish(keep: true)
                        if rests {
                            _ = bench.look()
                            _ = bench.take()
                            _ = bench.look()
                            #expect(bench.rest())
                        }
                    }
                    // Parts of a message whose peer dies: large ones by reference, between them small ones.
                    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 40_000, alignment: 1)
                    defer { memory.deallocate() }
                    memory.initializeMemory(as: UInt8.self, repeating: 0)
                    for _ in 0..<3 {
                        let bytes = UnsafeRawBufferPointer(memory)
                        let owner = ForeignStorage(bytes) { _ in released.change { $0 += 1 } }
                        bench.pipe.writer.pointee.put(.more, bytes, owner: owner)
                        bench.put([1, 2, 3], more: true)
                    }
                    bench.pipe.writer.pointee.letGo()
                    if isPublished, !rests {
                        _ = bench.look()
                        #expect(bench.take() == [[1]])
                        _ = bench.look()
                        #expect(bench.rest())
                    }
                    #expect(released.value == 3)
                }
            }
        }

        @Test("Who seizes a resting pipe leaves the chain alone that its writer has let go of")
        func seizingAfterLettingGo() {
            let bench = Bench()
            let pool = bench.pool
            let spare = pool.take(1)
            bench.put([1, 2, 3])
            #expect(bench.publish(keep: true))
            #expect(bench.look() == 5)
            let isOwed = bench.pipe.reader.pointee.advance(5)
            #expect(!isOwed && bench.rest())
            pool.give(spare)
            bench.pipe.writer.pointee.letGo()
            // Both chunks are the pool's now, one linked to the other.
            #expect(bench.seize())
            let (messages, owesWake) = bench.pipe.reader.pointee.skip()
            #expect(messages == 0 && !owesWake)
            let chunks = [pool.take(1), pool.take(1), pool.take(1)]
            #expect(Set(chunks).count == 3, "a chunk was given back twice")
            for chunk in chunks { pool.give(chunk) }
        }

        @Test("Seizing takes the consuming side once, and only while nobody has it")
        func seizing() {
            let bench = Bench()
            #expect(bench.seize())
            #expect(!bench.seize())
            bench.put([1])
            #expect(!bench.publish(keep: false))
            #expect(bench.look() == 3)
            _ = bench.take()
            #expect(bench.look() == 0)
            #expect(bench.rest())
            bench.put([2])
            #expect(bench.publish(keep: false))
            #expect(!bench.seize())
        }

        @Test("A waiting writer is owed a wake when half the mark is free, once", arguments: [1, 2, 3, 10])
        func half(mark: Int) {
            let bench = Bench(mark: mark)
            for _ in 0..<mark {
                #expect(bench.hasRoom())
                bench.put([1])
                _ = bench.publish(keep: false)
            }
            #expect(!bench.hasRoom())
            #expect(bench.waitForRoom())
            #expect(bench.waitForRoom())
            _ = bench.look()
            var owed = 0
            for taken in 1...mark {
                _ = bench.pipe.reader.pointee.advance(3)
                _ = taken
                _ = bench.look()
            }
            owed += bench.pipe.words.pointee.room.load(ordering: .acquiring) & PipeWord.waiting == 0 ? 1 : 0
            #expect(owed == 1)
            #expect(bench.hasRoom())
        }
    }
}
