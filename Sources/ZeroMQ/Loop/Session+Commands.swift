import Proactor
import ZMTP

/// Commands of the peer.
extension Session {
    /// Reacts to a command in the traffic. Unknown ones are ignored (37/ZMTP, Framing: their meaning is open).
    func obey<B: Backend & ~Copyable>(_ body: UnsafeRawBufferPointer, on loop: Loop<B>) throws(ZMTPError) {
        let command = try Command(parsing: body)
        switch command.name {
        case .ping: try answer(command, body, on: loop)
        case .pong:
            let context = UnsafeRawBufferPointer(rebasing: body[try command.pongContext()])
            if let peer, context.elementsEqual(Self.confirmation) { core.confirm(peer.id) }
            noteConfirmation(context)
            notePong(context)
        case .subscribe, .cancel:
            guard let upstream, let (change, prefix) = Subscription.parse(command: command) else { return }
            try upstream.note(change, Frame(copying: UnsafeRawBufferPointer(rebasing: body[prefix])))
        case .error: throw .refusedByPeer
        // The mechanism has had it: a handshake is not begun again (37/ZMTP, Formal Grammar).
        case .ready: throw .unexpectedCommand
        case .join:
            guard let groups = core.groups, let pipe = outflow.pipe else { return }
            try groups.join(pipe, Frame(copying: UnsafeRawBufferPointer(rebasing: body[command.group(in: body)])))
        case .leave:
            guard let groups = core.groups, let pipe = outflow.pipe else { return }
            groups.leave(pipe, Frame(copying: UnsafeRawBufferPointer(rebasing: body[try command.group(in: body)])))
        default: break
        }
    }

    /// Answers a PING, or takes a PONG, that stands behind messages that wait at the mark.
    /// - Returns: false for other commands, and for a broken one: their turn comes.
    func answerAhead<B: Backend & ~Copyable>(_ body: UnsafeRawBufferPointer, on loop: Loop<B>) -> Bool {
        guard let command = try? Command(parsing: body), command.name == .ping || command.name == .pong else {
            return false
        }
        return (try? obey(body, on: loop)) != nil
    }

    private func answer<B: Backend & ~Copyable>(
        _ command: Command, _ body: UnsafeRawBufferPointer, on loop: Loop<B>
    ) throws(ZMTPError) {
        let (ttl, context) = try command.ping(in: body)
        notePing(ttl: ttl, on: loop)
        // A flood of PINGs meets a peer that does not read: answer only while few answers wait.
        guard outflow.control.count < Outflow.controlBound else { return }
        Command.appendPong(context: body[context], to: &outflow.control)
    }

    /// A group was joined or left; a peer whose handshake is not done hears of all groups after it.
    func announce<B: Backend & ~Copyable>(_ group: Frame, joins: Bool, on loop: Loop<B>) {
        guard phase == .running else { return }
        announced.change(group, joins: joins, to: &outflow.control)
        outflow.flush(self, on: loop)
    }
}
