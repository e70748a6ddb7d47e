import CLiburing
import Glibc
import Proactor

/// A child's copy of the engine says so instead of disturbing the parent's.
extension Laws {
    static func fork<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(12, "A forked child gets `forked` from wait, and the parent's engine goes on") { bench in
                let line = try bench.connection(.unix)
                let receive = bench.engine.receive(line.handle, into: bench.memory(5), untilFull: false)
                try bench.turn(until: .distantPast)
                // Hidden from Swift because children of threaded programs may do next to nothing: this one asks
                // and leaves.
                typealias Fork = @convention(c) () -> pid_t
                guard let symbol = dlsym(nil, "fork") else { throw LawVerdict.skip("no fork") }
                var batch = CompletionBatch(capacity: 8)
                let child = unsafeBitCast(symbol, to: Fork.self)()
                if child == 0 {
                    do throws(ProactorError) {
                        try bench.engine.wait(until: .distantPast, into: &batch)
                        _exit(1)
                    } catch {
                        guard case .forked = error else { _exit(2) }
                        _exit(0)
                    }
                }
                guard child > 0 else { throw LawVerdict.skip("fork: errno \(errno)") }
                let status = try bench.collect(child)
                try requireEqual(status, 0, "the child's verdict (1: no error, 2: another one)")
                try line.peer.send([1])
                try bench.expect(receive, 1)
            }
        ]
    }
}

extension LawBench where Engine: ~Copyable {
    /// The child's exit status; it is ended by its id at the watchdog's deadline.
    fileprivate mutating func collect(_ child: pid_t) throws -> Int32 {
        var status: Int32 = 0
        do {
            while waitpid(child, &status, WNOHANG) == 0 { try turn(until: .after(.milliseconds(1))) }
        } catch {
            kill(child, SIGKILL)
            waitpid(child, &status, 0)
            throw error
        }
        return status
    }
}
