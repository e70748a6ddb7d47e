import CLiburing
import Glibc
import Proactor

/// Waiting for readiness, also of descriptors that somebody else owns.
extension Laws {
    static func polling<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(1, "A poll of a foreign descriptor completes once per start, also if it was ready before") {
                bench in
                let number = proactor_eventfd()
                bench.arena.own(number)
                let handle = try bench.engine.watch(foreign: number)
                for _ in 0..<3 {
                    let poll = bench.engine.poll(handle, for: .readable)
                    try bench.expectNothing(of: poll)
                    _ = proactor_eventfd_add(number)
                    let ready = PollEvents.readable.rawValue
                    try bench.expect(poll, Int32(ready))
                    try bench.expect(bench.engine.poll(handle, for: .readable), Int32(ready))
                    var count: UInt64 = 0
                    _ = Glibc.read(number, &count, 8)
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
