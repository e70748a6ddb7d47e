import CLiburing
import Glibc
import Proactor

/// A child's copy of the engine says so instead of disturbing the parent's.
extension Laws {
    /// So many are asked before their silence counts.
    private static var children: Int { 3 }

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
                let fork = unsafeBitCast(symbol, to: Fork.self)
                var batch = CompletionBatch(capacity: 8)
                var status: Int32?
                // A child has none of the other threads, but the locks that they held: one that met a lock of the
                // runtime never comes back, and tells nothing about the engine. All of them would be the engine's doing.
                for _ in 1...children where status == nil {
                    let child = fork()
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
                    status = try bench.collect(child, until: .after(bench.patience / (children + 1)))
                }
                guard let status else { throw LawVerdict(message: "none of \(children) children came back") }
                try requireEqual(status, 0, "the child's verdict (1: no error, 2: another one)")
                try line.peer.send([1])
                try bench.expect(receive, 1)
            }
        ]
    }
}

extension LawBench where Engine: ~Copyable {
    /// The child's exit status; nil if it has none at the deadline. It is ended by its id then.
    fileprivate mutating func collect(_ child: pid_t, until deadline: Deadline) throws -> Int32? {
        var status: Int32 = 0
        do {
            while waitpid(child, &status, WNOHANG) == 0 {
                guard Deadline.now < deadline else {
                    end(child)
                    return nil
                }
                try turn(until: .after(.milliseconds(1)))
            }
        } catch {
            end(child)
            throw error
        }
        return status
    }

    private func end(_ child: pid_t) {
        kill(child, SIGKILL)
        waitpid(child, nil, 0)
    }
}
