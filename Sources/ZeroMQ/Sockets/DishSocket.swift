public import Proactor
import ZMTP

/// Receives the messages of the groups that it joins, from all peers in turn (48/RADIO-DISH), for any number of threads
/// and tasks at the same time. Receives only; messages have one frame.
public final class DishSocket: Socket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.dish, context, options)
    }

    // MARK: Groups

    /// Joins a group, at all peers there are and all that come. By any thread.
    /// - Throws: `wrongState` if it has joined already, `socketClosed`, `contextClosed`.
    public func join(_ group: Group) throws(ZeroMQError) { try core.change(group, joins: true) }

    /// Leaves a group: nothing of it is received any more. By any thread.
    /// - Throws: `wrongState` if it has not joined, `socketClosed`, `contextClosed`.
    public func leave(_ group: Group) throws(ZeroMQError) { try core.change(group, joins: false) }

    // MARK: Receiving

    /// The next message, nil if none is there.
    public func tryReceive() throws(ZeroMQError) -> GroupMessage? { try core.tryReceiveShared(Self.make) }

    /// The next message; waits for one.
    /// - Parameter deadline: nil takes the socket's `receiveTimeout`.
    /// - Throws: `timedOut`, `socketClosed`, `contextClosed`.
    public func receive(until deadline: Deadline? = nil) throws(ZeroMQError) -> GroupMessage {
        try core.receiveShared(until: deadline, Self.make)
    }

    /// Takes up to `limit` messages: waits for the first, then takes those that are there.
    public func receive(upTo limit: Int, until deadline: Deadline? = nil) throws(ZeroMQError) -> [GroupMessage] {
        var batch = [try receive(until: deadline)]
        core.drainShared(limit, into: &batch, Self.make)
        return batch
    }

    /// The next message; suspends until there is one. A cancelled task takes none.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func receive(
        until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> GroupMessage {
        try await core.receiveShared(until: deadline, Self.make)
    }

    /// Takes up to `limit` messages: suspends for the first, then takes those that are there.
    public nonisolated(nonsending) func receive(
        upTo limit: Int, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> [GroupMessage] {
        var batch = [try await receive(until: deadline)]
        core.drainShared(limit, into: &batch, Self.make)
        return batch
    }

    /// All messages from now on, until the socket or its context is closed. Several iterations may share them.
    public var messages: ReceivedSequence<GroupMessage> {
        ReceivedSequence { [self] () async throws(ZeroMQError) in try await receive() }
    }

    private static func make(_ arrival: SharedArrival) -> GroupMessage {
        // Only groups that were joined come this far.
        GroupMessage(
            group: arrival.group.flatMap { Group(received: $0) } ?? "", message: Message(arrival.frame))
    }
}
