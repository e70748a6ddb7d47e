import CLiburing

/// Ends an engine's `wait` from any thread. The one part of an engine that others may touch.
///
/// A wake costs one system call; values queue in order and arrive as completions of purpose `.wake`. The owner of a
/// protocol that knows whether the loop sleeps (a ready list) calls the plain `wake()` only then.
public final class Waker: Sendable {
    /// What is waiting for the loop. `signalled` keeps wakes with values to one system call per turn.
    private struct Mail: Sendable {
        var values: [UInt64] = []
        var signalled = false
    }

    private let descriptor: Descriptor
    private let mail = Locked(Mail())
    private let bound: Int

    /// - Parameter bound: values that may wait at once.
    init(bound: Int) throws(ProactorError) {
        let number = proactor_eventfd()
        guard number >= 0 else { throw .system(SystemError(code: -number), during: "eventfd") }
        descriptor = Descriptor(owning: number)
        self.bound = bound
    }

    /// The eventfd, for the engine to wait on.
    var number: Int32 { descriptor.number }

    /// Ends the present or the next `wait`, without a completion. Several wakes may become one.
    public func wake() {
        _ = proactor_eventfd_add(descriptor.number)
    }

    /// Ends the present or the next `wait` with a completion that carries the value. Values keep their order.
    /// - Returns: false if as many values as the bound allows are waiting already: nothing was queued then.
    @discardableResult
    public func wake(_ value: UInt64) -> Bool {
        enum Outcome { case refused, queued, first }
        let outcome: Outcome = mail.withLock { mail in
            guard mail.values.count < bound else { return .refused }
            mail.values.append(value)
            defer { mail.signalled = true }
            return mail.signalled ? .queued : .first
        }
        if outcome == .first { wake() }
        return outcome != .refused
    }

    /// Takes what has come; called by the engine after its eventfd was read.
    func takeValues() -> [UInt64] {
        mail.withLock { mail in
            mail.signalled = false
            defer { mail.values.removeAll(keepingCapacity: mail.values.count <= 1024) }
            return mail.values
        }
    }
}
