import Glibc
import Proactor
import ZMTP

/// What a session does where the memory budget has no room: it receives no more, and goes on when memory comes back; TCP
/// holds the peer back meanwhile. In the middle of a message that cannot be had whole it ends the connection.
extension Inflow {
    /// Whether what comes would need memory that is not there.
    func isShort(_ session: Session) -> Bool {
        session.core.memory.isExhausted && session.phase == .running && pipe != nil
    }

    /// Before a receive: whether it has to wait for memory, or the connection had to go for want of it. The return of
    /// memory brings `memoryCame`.
    func hungers<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) -> Bool {
        let budget = session.core.memory
        var need = 0
        if let body {
            // What it has been given already it may fill.
            if body.grow() { return false }
            budget.enlistHungry(loop.door)
            // Once more: what came back before it was entered woke nobody.
            if body.grow() { return false }
            need = body.need
        } else {
            guard isShort(session), !isPaused, let writer = pipe?.writer else { return false }
            let isInside = scanner.isInsideMessage || filled > 0
            // What it holds for more to come is no longer of use.
            if isInside { writer.pointee.shrink(behind: filled) } else { writer.pointee.letGo() }
            if !budget.enlist(loop.door) { return false }
            need = isInside ? Self.hotMinimum : 0
        }
        let held = need > 0 ? assemblyBytes : 0
        if need > 0, !budget.stick(holding: held, need: need) {
            budget.countCut()
            session.end(.disconnected(SystemError(code: ENOMEM)), losing: .memory, on: loop)
            return true
        }
        hunger = held
        budget.countPause()
        loop.starved[ObjectIdentifier(session)] = session
        session.pausePulse()
        return true
    }

    /// What a half-received message occupies: the chunks that its parts lie in, with what stayed empty behind them, and
    /// its large body.
    private var assemblyBytes: Int { chunkBytes + (body?.capacity ?? 0) }

    /// Memory has come back.
    func memoryCame<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        forgetHunger(session, on: loop)
        guard session.phase == .running else { return }
        session.resumePulse(on: loop)
        goOn(session, on: loop)
    }

    func forgetHunger<B: Backend & ~Copyable>(_ session: Session, on loop: Loop<B>) {
        guard let held = hunger else { return }
        hunger = nil
        session.core.memory.unstick(held)
        loop.starved[ObjectIdentifier(session)] = nil
    }
}
