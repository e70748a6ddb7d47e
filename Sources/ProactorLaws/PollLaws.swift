import CLiburing
import Glibc
import Proactor

/// Waiting for readiness, also of descriptors that somebody else owns.
extension Laws {
    static func polling<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(1, "A poll of a foreign descriptor completes once per start, also if it was ready before") {
                bench in
                let (number, far) = try Descriptor.pair().release()
                for end in [number, far] { bench.arena.own(end) }
                let peer = LawPeer(number: far)
                let handle = try bench.engine.watch(foreign: number)
                for _ in 0..<3 {
                    let poll = bench.engine.poll(handle, for: .readable)
                    try bench.expectNothing(of: poll)
                    try peer.send([1])
                    let ready = PollEvents.readable.rawValue
                    try bench.expect(poll, Int32(ready))
                    try bench.expect(bench.engine.poll(handle, for: .readable), Int32(ready))
                    _ = try LawPeer(number: number).receive(1)
                }
                let poll = bench.engine.poll(handle, for: .readable)
                try bench.turn(until: .distantPast)
                bench.engine.cancel(poll)
                try bench.expect(poll, -ECANCELED)
                try bench.expect(bench.engine.close(handle), 0)
                try require(fcntl(number, F_GETFD) >= 0, "the foreign descriptor was closed")
            },
            Law(1, "A poll reports the ready subset, and hang-up always") { bench in
                let line = try bench.connection(.unix)
                let both: PollEvents = [.readable, .writable]
                try bench.expect(bench.engine.poll(line.handle, for: both), Int32(PollEvents.writable.rawValue))
                let poll = bench.engine.poll(line.handle, for: .readable)
                try bench.turn(until: .distantPast)
                bench.arena.closeNow(line.peer.number)
                let result = try bench.next(poll).result
                try require(result >= 0, "result \(result)")
                let events = PollEvents(rawValue: UInt32(result))
                try require(events.contains([.readable, .hangUp]), "events \(events.rawValue)")
            },
            Law(9, "A poll reports no event that nobody asked for, besides errors and hang-up") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let ready = bench.engine.poll(line.handle, for: .readable)
                    try bench.turn(until: .distantPast)
                    // The end of one direction is POLLRDHUP in the kernel, which is no event of ours.
                    Glibc.shutdown(line.peer.number, Int32(SHUT_WR))
                    try bench.expect(ready, Int32(PollEvents.readable.rawValue))
                    try bench.expect(
                        bench.engine.poll(line.handle, for: .writable), Int32(PollEvents.writable.rawValue))
                }
            },
            Law(9, "The end of the other direction does not end a poll for room, nor turn in circles") { bench in
                let line = try bench.connection(.unix)
                let bytes = bench.pattern(4 << 20)
                let went = try bench.next(bench.engine.send(line.handle, bytes, toCompletion: false)).result
                try require(went > 0 && went < bytes.count, "the first send: \(went)")
                Glibc.shutdown(line.peer.number, Int32(SHUT_WR))
                let room = bench.engine.poll(line.handle, for: .writable)
                let entries = bench.engine.counters.kernelEntries
                try bench.turn(for: .milliseconds(50))
                try require(bench.backlog.isEmpty, "there is no room, and the poll ends")
                let turns = bench.engine.counters.kernelEntries - entries
                try require(turns <= 20, "\(turns) kernel entries in 50 ms")
                _ = try bench.drain(line.peer, Int(went))
                try bench.expect(room, Int32(PollEvents.writable.rawValue))
                // Nor does it keep a send from completing.
                let send = bench.engine.send(line.handle, bytes, toCompletion: true)
                _ = try bench.drain(line.peer, bytes.count)
                try bench.expect(send, Int32(bytes.count))
            },
            Law(1, "A descriptor that the engine owns may be watched as a foreign one as well") { bench in
                let line = try bench.connection(.unix)
                let watch = try bench.engine.watch(foreign: bench.engine.descriptor(of: line.handle))
                let poll = bench.engine.poll(watch, for: .readable)
                try bench.expectNothing(of: poll)
                try line.peer.send([1])
                try bench.expect(poll, Int32(PollEvents.readable.rawValue))
                try bench.expect(bench.engine.close(watch), 0)
                try bench.expect(bench.engine.receive(line.handle, into: bench.memory(1), untilFull: true), 1)
                let receive = bench.engine.receive(line.handle, into: bench.memory(1), untilFull: true)
                try bench.turn(until: .distantPast)
                try line.peer.send([1])
                try bench.expect(receive, 1)
            },
        ]
    }
}
