import CLiburing
import Glibc
import Proactor

/// Closing: last, once, and seen by the peer.
extension Laws {
    static func closing<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(6, "Closing with everything in flight completes each operation once, and the close last") { bench in
                for transport in LawTransport.allCases {
                    for isLent in [true, false] {
                        let line = try bench.connection(transport)
                        let receive =
                            isLent
                            ? bench.engine.receive(line.handle, multishot: true)
                            : bench.engine.receive(line.handle, into: bench.memory(10), untilFull: true)
                        let send = bench.engine.send(line.handle, bench.pattern(4 << 20), toCompletion: true)
                        let poll = bench.engine.poll(line.handle, for: .readable)
                        try bench.turn(for: .milliseconds(5))
                        let close = bench.engine.close(line.handle)
                        while !bench.backlog.contains(where: { $0.token == close }) { try bench.turn() }
                        let order = bench.backlog.map(\.token)
                        try requireEqual(order.count, 4, "completions")
                        try requireEqual(order.last, close, "the last completion")
                        try bench.expect(receive, -ECANCELED)
                        try bench.expect(poll, -ECANCELED)
                        try require(try bench.next(send).result > 0, "the send's bytes")
                        try bench.expect(close, 0)
                        for token in order { try bench.expectNothing(of: token) }
                    }
                }
            },
            Law(6, "Closing ends an accept and a multishot accept") { bench in
                for multishot in [true, false] {
                    let (listener, address) = try bench.listener(.tcp)
                    let accept = bench.engine.accept(listener, multishot: multishot)
                    try bench.turn(until: .distantPast)
                    let close = bench.engine.close(listener)
                    try bench.expect(accept, -ECANCELED)
                    try bench.expect(close, 0)
                    let socket = try bench.engine.adopt(Descriptor.stream(for: address))
                    try bench.expect(bench.engine.connect(socket, to: address), -ECONNREFUSED)
                }
            },
            Law(6, "The peer sees the end although a copy of the descriptor lives on") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    let copy = dup(bench.engine.descriptor(of: line.handle))
                    bench.arena.own(copy)
                    try bench.expect(bench.engine.close(line.handle), 0)
                    try require(try line.peer.seesEnd(), "the peer sees no end")
                }
            },
            Law(6, "Bytes sent before the close arrive") { bench in
                for transport in LawTransport.allCases {
                    let line = try bench.connection(transport)
                    try bench.expect(
                        bench.engine.send(line.handle, bench.pattern(50_000), toCompletion: true), 50_000)
                    try bench.expect(bench.engine.close(line.handle), 0)
                    try require(try line.peer.receive(50_000) == LawPattern.bytes(0..<50_000), "bytes")
                    try require(try line.peer.seesEnd(), "the peer sees no end")
                }
            },
            Law(6, "With a linger time of zero the close cuts the connection") { bench in
                let line = try bench.connection(.tcp)
                try Descriptor.setLinger(bench.engine.descriptor(of: line.handle), seconds: 0)
                try bench.expect(bench.engine.close(line.handle), 0)
                try requireEqual(line.peer.endOfStream(), -ECONNRESET, "the peer's receive")
            },
            Law(6, "A reused descriptor number gets a new generation, and no old event") { bench in
                var handles = Set<Handle>()
                for round in 0..<50 {
                    let line = try bench.connection(.unix)
                    try require(handles.insert(line.handle).inserted, "a handle came back")
                    let receive = bench.engine.receive(line.handle, into: bench.memory(4), untilFull: false)
                    if round % 2 == 0 { try bench.turn(until: .distantPast) }
                    try bench.expectNothing(of: receive)
                    // An edge that is on its way when the descriptor closes.
                    try line.peer.send([1])
                    let close = bench.engine.close(line.handle)
                    _ = try bench.next(receive)
                    try bench.expect(close, 0)
                }
            },
            Law(6, "A copy elsewhere does not bring a closed descriptor's events back") { bench in
                let line = try bench.connection(.unix)
                let copy = dup(bench.engine.descriptor(of: line.handle))
                bench.arena.own(copy)
                try bench.expect(bench.engine.close(line.handle), 0)
                let fresh = try bench.connection(.unix)
                let receive = bench.engine.receive(fresh.handle, into: bench.memory(4), untilFull: false)
                try bench.turn(until: .distantPast)
                let stale = bench.engine.counters.staleEvents
                bench.arena.closeNow(line.peer.number)
                try bench.expectNothing(of: receive)
                try requireEqual(bench.engine.counters.staleEvents, stale, "stale events")
            },
            Law(6, "Release gives the open descriptor back") { bench in
                let line = try bench.connection(.tcp)
                try bench.expect(bench.engine.send(line.handle, bench.pattern(3), toCompletion: true), 3)
                let descriptor = bench.engine.release(line.handle)
                let handle = try bench.engine.adopt(descriptor)
                try bench.expect(bench.engine.send(handle, bench.pattern(3), toCompletion: true), 3)
                try requireEqual(try line.peer.receive(6).count, 6, "bytes")
            },
            Law(6, "An engine that goes away closes what it owns, and what nobody took") { bench in
                let peers: (LawPeer, LawPeer)
                do {
                    var inner = try LawBench<Engine>(
                        bench.configuration, bench.arena, patience: bench.patience)
                    let line = try inner.connection(.tcp)
                    let (listener, address) = try inner.listener(.tcp)
                    peers = (line.peer, try inner.peer(connectedTo: address))
                    _ = inner.engine.receive(line.handle, into: inner.memory(10), untilFull: false)
                    _ = inner.engine.accept(listener, multishot: true)
                    try inner.turn(until: .distantPast)
                    for completion in inner.backlog where completion.result >= 0 { _ = completion.takeDescriptor() }
                }
                try require(try peers.0.seesEnd(), "the connection stays open")
                try require([0, -ECONNRESET].contains(peers.1.endOfStream()), "the accepted connection stays open")
            },
        ]
    }
}
