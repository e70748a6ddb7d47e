import Proactor
import ZMTP

/// Sends each message to all peers that have joined its group (48/RADIO-DISH), from any number of threads and tasks at
/// the same time. Sends only; messages have one frame.
///
/// Never waits: for a peer at its mark the message is dropped and counted.
public final class RadioSocket: Socket, @unchecked Sendable {
    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.radio, context, options)
    }

    override func canSend() -> Bool { true }

    /// Sends a message to a group. O(peers in the group).
    /// - Returns: how many peers it is on its way to.
    /// - Throws: `invalidMessage` if it has more than one frame, `socketClosed`, `contextClosed`.
    @discardableResult
    public func send(_ message: Message, to group: Group) throws(ZeroMQError) -> Int {
        try core.radiate(.message(core.single(message)), to: group)
    }

    /// Sends a copy of the bytes to a group.
    /// - Returns: how many peers it is on its way to.
    @discardableResult
    public func send(_ bytes: UnsafeRawBufferPointer, to group: Group) throws(ZeroMQError) -> Int {
        try core.radiate(.bytes(bytes), to: group)
    }

    /// Sends a copy of the bytes to a group.
    /// - Returns: how many peers it is on its way to.
    @discardableResult
    public func send(_ bytes: [UInt8], to group: Group) throws(ZeroMQError) -> Int {
        try bytes.withTypedBytes { (bytes) throws(ZeroMQError) in try send(bytes, to: group) }
    }

    /// Sends the text in UTF-8 to a group.
    /// - Returns: how many peers it is on its way to.
    @discardableResult
    public func send(_ text: String, to group: Group) throws(ZeroMQError) -> Int {
        try send(Message(text), to: group)
    }
}

extension SocketCore {
    fileprivate func radiate(_ content: SharedContent, to group: Group) throws(ZeroMQError) -> Int {
        guard let crowd = sendList.crowd, let groups else { preconditionFailure("not a RADIO") }
        var (taken, lost) = (0, 0)
        var departure = SendSide.Departure.gathered
        crowd.lock.lock()
        guard isOpen else {
            crowd.lock.unlock()
            throw closedError
        }
        // A pipe that is in the table may have news that has not been taken yet, of its coming or of its end.
        if sendList.hasNews { sender.pointee.settle() }
        for pipe in groups.pipes(for: group.name) where sender.pointee.finds(pipe) {
            guard pipe.writer.pointee.hasRoom() else {
                lost += 1
                continue
            }
            group.name.withUnsafeBytes { pipe.writer.pointee.put(.more, $0) }
            content.put(into: pipe)
            if sender.pointee.publish(pipe) == .announced { departure = .announced }
            taken += 1
        }
        crowd.lock.unlock()
        losses.add(lost, .mark)
        if let callerDriver { try callerDriver.afterSend(content.count * taken, departure) }
        return taken
    }
}
