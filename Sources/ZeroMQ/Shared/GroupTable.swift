import Proactor
import ZMTP

/// Which peers of a RADIO want which groups. Loops change it as JOIN and LEAVE come, senders look groups up; its lock
/// is held for a look-up only. O(1) for each group and peer.
final class GroupTable: Sendable {
    /// Groups of one peer; a peer that joins more breaks a limit.
    static let bound = 65_536

    private struct Membership {
        let pipe: Pipe
        /// Joins add up, as in the reference.
        var count: Int
    }

    private struct State: Sendable {
        var members: [Frame: [ObjectIdentifier: Membership]] = [:]
        var groups: [ObjectIdentifier: Set<Frame>] = [:]

        mutating func remove(_ pipe: ObjectIdentifier, from group: Frame) {
            members[group]?[pipe] = nil
            if members[group]?.isEmpty == true { members[group] = nil }
            groups[pipe]?.remove(group)
        }
    }

    private let state = Locked(State())

    /// The pipes towards those who want the group.
    func pipes(for group: Frame) -> [Pipe] {
        state.withLock { $0.members[group]?.values.map(\.pipe) ?? [] }
    }

    /// One JOIN.
    func join(_ pipe: Pipe, _ group: Frame) throws(ZMTPError) {
        let fits = state.withLock { state in
            let id = ObjectIdentifier(pipe)
            guard state.groups[id, default: []].count < Self.bound || state.members[group]?[id] != nil else {
                return false
            }
            state.members[group, default: [:]][id, default: Membership(pipe: pipe, count: 0)].count += 1
            state.groups[id, default: []].insert(group)
            return true
        }
        guard fits else { throw .tooManyGroups }
    }

    /// One LEAVE; without a JOIN it means nothing.
    func leave(_ pipe: Pipe, _ group: Frame) {
        state.withLock { state in
            let id = ObjectIdentifier(pipe)
            guard let membership = state.members[group]?[id] else { return }
            if membership.count > 1 {
                state.members[group]?[id]?.count -= 1
            } else {
                state.remove(id, from: group)
            }
        }
    }

    /// Membership of an inproc peer, which says what holds and not what changes.
    func set(_ pipe: Pipe, _ group: Frame, isMember: Bool) {
        state.withLock { state in
            let id = ObjectIdentifier(pipe)
            guard isMember else { return state.remove(id, from: group) }
            state.members[group, default: [:]][id] = Membership(pipe: pipe, count: 1)
            state.groups[id, default: []].insert(group)
        }
    }

    /// The peer has gone.
    func remove(_ pipe: Pipe) {
        state.withLock { state in
            let id = ObjectIdentifier(pipe)
            for group in state.groups[id] ?? [] { state.remove(id, from: group) }
            state.groups[id] = nil
        }
    }
}
