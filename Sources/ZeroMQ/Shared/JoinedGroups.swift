import Proactor
import ZMTP

/// The groups that a DISH has joined: state, told to every peer that comes and never dropped.
final class JoinedGroups: Sendable {
    let set = Locked<Set<Frame>>([])
}

extension SocketCore {
    /// Joins or leaves, and tells all peers: those behind loops by JOIN and LEAVE, inproc ones directly.
    func change(_ group: Group, joins: Bool) throws(ZeroMQError) {
        try checkOpen()
        guard let joined else { preconditionFailure("only a DISH joins groups") }
        // Orders are posted under the lock, so that loops get them in the order of the changes.
        let isChange = joined.set.withLock { set in
            guard joins ? set.insert(group.name).inserted : set.remove(group.name) != nil else { return false }
            for door in context.allDoors { door.post(.group(self, group.name, joins: joins)) }
            for connection in registry.withLock({ Array($0.connections.values) }) {
                connection.partner?.core.tell(connection.partner!.id, group.name, isMember: joins)
            }
            return true
        }
        guard isChange else {
            throw ZeroMQError(
                .wrongState, "this DISH socket has \(joins ? "already" : "not") joined the group \(group)")
        }
        if let callerDriver, callerDriver.isOnThread { try callerDriver.turn(until: .distantPast) }
    }

    /// RADIO: what an inproc DISH wants.
    private func tell(_ connection: UInt64, _ group: Frame, isMember: Bool) {
        guard let pipe = registry.withLock({ $0.connections[connection]?.outbound }) else { return }
        groups?.set(pipe, group, isMember: isMember)
    }

    /// A DISH and a RADIO were joined by inproc: all that holds so far.
    func tellGroups(to radio: SocketCore, _ connection: UInt64) {
        joined?.set.withLock { set in
            for group in set { radio.tell(connection, group, isMember: true) }
        }
    }

    /// The next message of a pipe if it is of a group that is joined; else nil, and it was passed over. A message
    /// that is not a group and one body ends its connection (48/RADIO-DISH; the reference does the same).
    func takeGrouped(_ pipe: Pipe) -> SharedArrival? {
        let first = pipe.reader.pointee.next()
        let group = Frame(first)
        guard first.hasMore, Group(received: group) != nil else {
            if first.hasMore { pipe.reader.pointee.passRest() }
            return refuse(pipe)
        }
        let second = pipe.reader.pointee.next()
        guard !second.hasMore else {
            pipe.reader.pointee.passRest()
            return refuse(pipe)
        }
        // A LEAVE may have crossed it.
        guard joined?.set.withLock({ $0.contains(group) }) == true else { return nil }
        return SharedArrival(group: group, frame: Frame(second), peer: pipe.peer)
    }

    private func refuse(_ pipe: Pipe) -> SharedArrival? {
        losses.add(1, .unexpected)
        guard let peer = pipe.peer else { return nil }
        let door = registry.withLock { $0.connections[peer.id]?.door }
        door?.post(.cut(self, peer: peer.id, .protocolViolation(.malformedGroup)))
        return nil
    }
}

/// What a session of a DISH has told its peer.
struct Announced {
    private var groups: Set<Frame> = []

    /// The command for a change; nothing if the peer knows, since a snapshot and the orders after it may overlap.
    mutating func change(_ group: Frame, joins: Bool, to output: inout [UInt8]) {
        guard joins ? groups.insert(group).inserted : groups.remove(group) != nil else { return }
        if joins {
            Command.appendJoin(group: group.bytes, to: &output)
        } else {
            Command.appendLeave(group: group.bytes, to: &output)
        }
    }
}
