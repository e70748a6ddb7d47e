import Glibc
import Proactor
import Synchronization
import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    /// Sends that leave on the calling thread, beside a loop that wants the same connection.
    @Suite("Sends by the caller") struct CallerSendTests {
        static let seed = UInt64.random(in: 0...(.max))

        /// Two connected descriptors with little room between them.
        private struct Connection {
            let near: Int32
            let far: RawPeer

            init() {
                var ends: (Int32, Int32) = (0, 0)
                let result = withUnsafeMutableBytes(of: &ends) {
                    socketpair(
                        AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0,
                        $0.bindMemory(to: Int32.self).baseAddress!)
                }
                precondition(result == 0, "no socket pair")
                var size: Int32 = 4096
                setsockopt(ends.0, SOL_SOCKET, SO_SNDBUF, &size, 4)
                near = ends.0
                far = RawPeer(adopting: ends.1)
            }
        }

        @Test("A demand takes a side that nobody has, and marks one that somebody has until it rests or publishes")
        func demand() {
            let bench = PipeTests.Bench()
            let reader = bench.pipe.reader
            bench.put([1])
            let isMine = bench.publish(keep: true)
            #expect(isMine)
            let wasFree = reader.pointee.demand()
            #expect(!wasFree, "somebody has it")
            #expect(bench.look() > 0)
            #expect(bench.isWanted)
            #expect(bench.take() == [[1]])
            #expect(bench.look() == 0)
            #expect(bench.isWanted)
            #expect(bench.rest())
            let isFree = reader.pointee.demand()
            #expect(isFree, "it rested")
            #expect(bench.look() == 0)
            #expect(!bench.isWanted, "resting answered the demand")
            _ = reader.pointee.demand()
            bench.put([2])
            let isAnnounced = bench.publish(keep: true)
            #expect(!isAnnounced)
            #expect(bench.look() > 0)
            #expect(!bench.isWanted, "a publication clears it: the side is on its way to the loop already")
        }

        @Test("What the connection takes goes at once and leaves the mark; the rest is the loop's")
        func partial() throws {
            let connection = Connection()
            defer { close(connection.near) }
            let bench = PipeTests.Bench(mark: 2)
            bench.pipe.reader.pointee.descriptor = connection.near
            bench.put([1, 2, 3])
            let first = bench.publish(keep: true)
            #expect(first)
            #expect(bench.pipe.sendByCaller())
            #expect(bench.pipe.queued == (0, 0))
            #expect(try connection.far.receiveFrame().body == [1, 2, 3])

            bench.put([UInt8](repeating: 7, count: 30_000))
            let second = bench.publish(keep: true)
            #expect(second, "it rested")
            #expect(!bench.pipe.sendByCaller(), "the side is the caller's still")
            #expect(bench.pipe.queued.messages == 1)
            #expect(!bench.isAtBoundary)
        }

        @Test("A demand during the caller's send makes it hand the side over, though all has gone")
        func handsOver() throws {
            let connection = Connection()
            defer { close(connection.near) }
            let bench = PipeTests.Bench()
            bench.pipe.reader.pointee.descriptor = connection.near
            bench.put([1])
            let isMine = bench.publish(keep: true)
            #expect(isMine)
            let isLoops = bench.pipe.reader.pointee.demand()
            #expect(!isLoops)
            #expect(!bench.pipe.sendByCaller(), "the caller announces the pipe")
            #expect(bench.pipe.queued == (0, 0))
            #expect(try connection.far.receiveFrame().body == [1])
        }

        @Test("A connection that is gone, or none, leaves everything to the loop")
        func gone() {
            let bench = PipeTests.Bench()
            bench.put([1])
            let first = bench.publish(keep: true)
            #expect(first)
            #expect(!bench.pipe.sendByCaller(), "no connection")
            #expect(bench.pipe.queued.messages == 1)
            let connection = Connection()
            defer { close(connection.near) }
            shutdown(connection.near, Int32(SHUT_RDWR))
            bench.pipe.reader.pointee.descriptor = connection.near
            #expect(!bench.pipe.sendByCaller(), "a connection that is gone")
            #expect(bench.pipe.queued.messages == 1)
        }

        @Test(
            "A caller and a loop on one connection: every message once, in order, and the loop's own bytes between",
            arguments: [1, 2, 1000], [true, false])
        func stress(mark: Int, keeps: Bool) throws {
            print("caller send seed \(Self.seed)")
            let messages = 30_000
            let connection = Connection()
            defer { close(connection.near) }
            let (list, room) = (ReadyList(), ReadyList())
            let pipe = Pipe(mark: mark, byteMark: 0, pool: ChunkPool(), readerList: list, writerList: room)
            pipe.reader.pointee.descriptor = connection.near
            let isDone = Atomic<Bool>(false)
            let own = Atomic<Int>(0)
            let byCaller = Atomic<Int>(0)
            let command = RawPeer.ping()

            let writer = Worker {
                var generator = SeededGenerator(seed: Self.seed)
                for number in 0..<messages {
                    while !pipe.writer.pointee.hasRoom() {
                        if pipe.writer.pointee.waitForRoom() { _ = room.sleep(until: nil) }
                        _ = room.take { _, _, owner in owner?.release() }
                    }
                    var value = UInt64(number)
                    withUnsafeBytes(of: &value) { pipe.writer.pointee.put([], $0) }
                    if pipe.writer.pointee.publish(keep: keeps) {
                        if Int.random(in: 0..<8, using: &generator) > 0, pipe.sendByCaller() {
                            byCaller.add(1, ordering: .relaxed)
                        } else {
                            list.wake(pipe.announce(.data))
                        }
                    }
                    if Int.random(in: 0..<64, using: &generator) == 0 { pipe.writer.pointee.letGo() }
                }
                pipe.writer.pointee.letGo()
            }
            let loop = Worker {
                var generator = SeededGenerator(seed: Self.seed &+ 1)
                var (isMine, wants) = (false, false)
                /// Sends to completion; only while the side is ours.
                func send(_ bytes: UnsafeRawBufferPointer) -> Int {
                    let sent = Descriptor.sendAtOnce(connection.near, bytes)
                    if sent == -Int(EPIPE) { return bytes.count }
                    if sent < 0 { sched_yield() }
                    return max(sent, 0)
                }
                // A demand that nobody hears would keep this from its end.
                while wants || !isDone.load(ordering: .acquiring) {
                    _ = list.take { _, _, owner in
                        owner?.release()
                        isMine = true
                    }
                    if !isMine, !wants, Int.random(in: 0..<4, using: &generator) == 0 {
                        wants = true
                        isMine = pipe.reader.pointee.demand()
                    }
                    if isMine, Int.random(in: 0..<64, using: &generator) == 0 { wants = true }
                    guard isMine else {
                        _ = list.sleep(until: .after(.microseconds(50)))
                        continue
                    }
                    if wants, pipe.reader.pointee.isAtBoundary {
                        wants = false
                        command.withUnsafeBytes { bytes in
                            var done = 0
                            while done < bytes.count {
                                done += send(UnsafeRawBufferPointer(rebasing: bytes[done...]))
                            }
                        }
                        own.add(1, ordering: .relaxed)
                    }
                    let available = pipe.reader.pointee.look()
                    if available == 0 {
                        if pipe.reader.pointee.rest() { isMine = false }
                        continue
                    }
                    withUnsafeTemporaryAllocation(of: SendPart.self, capacity: 1) { parts in
                        _ = pipe.reader.pointee.gather(
                            into: parts, limit: Int.random(in: 1...64, using: &generator))
                        let sent = send(UnsafeRawBufferPointer(start: parts[0].start, count: parts[0].count))
                        if sent > 0, pipe.reader.pointee.advance(sent) { room.wake(pipe.notifyWriter(.room)) }
                    }
                }
            }
            var (expected, commands) = (UInt64(0), 0)
            while expected < messages {
                let (flags, body) = try connection.far.receiveFrame()
                if flags == 4 {
                    commands += 1
                    #expect(flags == 4 && [flags, UInt8(body.count)] + body == command)
                    continue
                }
                let value = body.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
                guard value == expected else {
                    Issue.record("message \(value) instead of \(expected): seed \(Self.seed)")
                    break
                }
                expected += 1
            }
            #expect(writer.join(), "a wake-up was lost: seed \(Self.seed)")
            isDone.store(true, ordering: .releasing)
            // What the loop says at last must not meet a full connection.
            _ = shutdown(connection.far.number, Int32(SHUT_RD))
            #expect(loop.join(), "a demand was lost: seed \(Self.seed)")
            #expect(commands <= own.load(ordering: .relaxed))
            #expect(own.load(ordering: .relaxed) > 0, "the loop wanted the connection")
            print("\(byCaller.load(ordering: .relaxed)) by the caller, \(commands) commands between")
        }

        @Test("PINGs are answered between the requests of a caller that sends itself", arguments: Setup.all)
        func pings(setup: Setup) throws {
            guard setup.wildcard.hasPrefix("tcp") else { return }
            let context = try setup.context()
            let request = try RequestSocket(context, .test)
            let endpoint = try request.bind(setup.wildcard)
            let peer = try RawPeer(endpoint)
            let answers = Shared(0)
            let replier = Worker {
                do {
                    try peer.shakeHands(as: "REP")
                    var (asked, pongs) = (0, 0)
                    try peer.send(RawPeer.ping([1]))
                    while asked < 500 {
                        let (flags, body) = try peer.receiveFrame()
                        if flags == 4 {
                            guard body == [4] + Array("PONG".utf8) + [1] else { return }
                            pongs += 1
                            continue
                        }
                        // The delimiter; the body follows it at once, nothing between.
                        guard flags == 1, body.isEmpty, case let (0, body) = try peer.receiveFrame(),
                            body == Array("\(asked)".utf8)
                        else { return }
                        asked += 1
                        try peer.send(RawPeer.ping([1]) + RawPeer.frame([], flags: 1) + RawPeer.frame(body))
                    }
                    // The answers to the last two may still be on their way.
                    if pongs >= asked - 2 { answers.value = asked }
                } catch {}
            }
            for number in 0..<500 {
                try request.send("\(number)", until: .after(.seconds(10)))
                _ = try request.receive(until: .after(.seconds(10)))
            }
            #expect(replier.join(within: 20))
            #expect(answers.value == 500)
            context.close()
        }
    }
}
