import CLiburing
import Glibc
import Proactor
import Synchronization

/// Accepting and connecting, also out of descriptors.
extension Laws {
    static func accepting<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(1, "An accept and a connect complete exactly once each") { bench in
                for transport in LawTransport.allCases {
                    let (listener, address) = try bench.listener(transport)
                    let accept = bench.engine.accept(listener, multishot: false)
                    try bench.expectNothing(of: accept)
                    let socket = try bench.engine.adopt(Descriptor.stream(for: address))
                    let connect = bench.engine.connect(socket, to: address)
                    try bench.expect(connect, 0)
                    let completion = try bench.next(accept)
                    try require(completion.result >= 0 && !completion.hasMore, "accept: \(completion.result)")
                    let descriptor = completion.takeDescriptor()
                    let flags = fcntl(descriptor.number, F_GETFD)
                    try require(flags & FD_CLOEXEC != 0, "the accepted descriptor is inherited")
                    let accepted = try bench.engine.adopt(descriptor)
                    try bench.expectNothing(of: accept)
                    try bench.expectNothing(of: connect)
                    try bench.expect(bench.engine.send(accepted, bench.pattern(5), toCompletion: true), 5)
                    let memory = bench.memory(5)
                    try bench.expect(bench.engine.receive(socket, into: memory, untilFull: true), 5)
                    try requireEqual(Array(memory), LawPattern.bytes(0..<5), "bytes")
                    // Short receives of a fresh connection must not lose the edge that follows.
                    for round in 0..<3 {
                        let receive = bench.engine.receive(socket, into: bench.memory(9), untilFull: false)
                        try bench.turn(until: .distantPast)
                        try bench.expect(bench.engine.send(accepted, bench.pattern(2), toCompletion: true), 2)
                        try bench.expect(receive, 2, line: UInt(round))
                    }
                }
            },
            Law(1, "A multishot accept yields every connection with more, and a last one when it is cancelled") {
                bench in
                for transport in LawTransport.allCases {
                    let (listener, address) = try bench.listener(transport)
                    _ = try bench.peer(connectedTo: address)
                    let accept = bench.engine.accept(listener, multishot: true)
                    for round in 0..<40 {
                        if round > 0 { _ = try bench.peer(connectedTo: address) }
                        let completion = try bench.next(accept)
                        try require(completion.result >= 0 && completion.hasMore, "accept: \(completion.result)")
                        _ = completion.takeDescriptor()
                    }
                    bench.engine.cancel(accept)
                    try bench.expect(accept, -ECANCELED)
                    try bench.expectNothing(of: accept)
                    try bench.expect(bench.engine.close(listener), 0)
                }
            },
            Law(1, "A burst of connections is accepted without another edge") { bench in
                let (listener, address) = try bench.listener(.tcp)
                for _ in 0..<60 { _ = try bench.peer(connectedTo: address) }
                let accept = bench.engine.accept(listener, multishot: true)
                for _ in 0..<60 { _ = try bench.next(accept).takeDescriptor() }
            },
            Law(1, "Connecting to a Unix listener with a full backlog waits for room") { bench in
                let name = try LawTransport.unix.anyAddress()
                let listener = try bench.engine.adopt(Descriptor.listening(on: name, backlog: 0))
                var connects: [Token] = []
                for _ in 0..<4 {
                    let socket = try bench.engine.adopt(Descriptor.stream(for: name))
                    connects.append(bench.engine.connect(socket, to: name))
                }
                try bench.turn(for: .milliseconds(5))
                let accept = bench.engine.accept(listener, multishot: true)
                for connect in connects { try bench.expect(connect, 0) }
                for _ in 0..<4 { _ = try bench.next(accept).takeDescriptor() }
            },
            Law(10, "Out of descriptors accepting backs off by timer, reports, and recovers by itself") { bench in
                try bench.withoutDescriptors(isMultishot: true)
            },
            Law(10, "Out of descriptors a single accept waits silently, and recovers by itself") { bench in
                try bench.withoutDescriptors(isMultishot: false)
            },
        ]
    }
}

extension LawBench where Engine: ~Copyable {
    /// Runs on a thread with a descriptor table of its own, so that nobody else in the process runs out.
    func withoutDescriptors(isMultishot: Bool) throws {
        let box = ScarcityBox()
        let (configuration, patience) = (configuration, patience)
        let thread = try LawThread {
            let verdict = Self.scarcity(configuration, patience, isMultishot: isMultishot)
            box.verdict.withLock { $0 = verdict }
        }
        thread.join()
        if let verdict = box.verdict.withLock({ $0 }) { throw verdict }
    }

    private static func scarcity(
        _ configuration: EngineConfiguration, _ patience: Duration, isMultishot: Bool
    ) -> LawVerdict? {
        do {
            let table = try ScarceTable()
            defer { table.restore() }
            let arena = LawArena()
            var bench = try LawBench(configuration, arena, patience: patience)
            let (listener, address) = try bench.listener(.tcp)
            let peer = try bench.peer(connectedTo: address)
            try bench.turn(until: .distantPast)
            try table.fill()
            let entries = bench.engine.counters.kernelEntries
            let accept = bench.engine.accept(listener, multishot: isMultishot)
            try bench.turn(for: .milliseconds(400))
            // Pauses of 50, 100 and 200 ms fit, where trying again at once would spin.
            try require(
                bench.engine.counters.kernelEntries - entries <= 8,
                "\(bench.engine.counters.kernelEntries - entries) kernel entries in 0.4 s")
            try require(bench.engine.counters.acceptBackoffs >= 1, "no back-off was counted")
            let reports = bench.backlog.filter { $0.token == accept }
            if isMultishot {
                try require(!reports.isEmpty, "nothing was reported")
                try require(
                    reports.allSatisfy { $0.result == -EMFILE && $0.hasMore }, "reports: \(reports.map(\.result))")
                for _ in reports { _ = try bench.next(accept) }
            } else {
                try require(reports.isEmpty, "it did not wait silently: \(reports.map(\.result))")
            }
            table.release()
            var completion = try bench.next(accept)
            while completion.result == -EMFILE, completion.hasMore { completion = try bench.next(accept) }
            try require(completion.result >= 0, "after recovery: \(completion.result)")
            let socket = try bench.engine.adopt(completion.takeDescriptor())
            try peer.send([1])
            try bench.expect(bench.engine.receive(socket, into: bench.memory(1), untilFull: true), 1)
            return nil
        } catch let verdict as LawVerdict {
            return verdict
        } catch {
            return LawVerdict(message: "\(error)")
        }
    }
}

/// Carries the verdict out of the thread.
private final class ScarcityBox: Sendable {
    let verdict = Mutex<LawVerdict?>(nil)
}
