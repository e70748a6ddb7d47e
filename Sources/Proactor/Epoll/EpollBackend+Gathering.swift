/// Sending from a list.
extension EpollBackend {
    /// Tries at once; continuing advances the list in place.
    @discardableResult
    public mutating func send(
        _ socket: Handle, gather list: UnsafeMutableBufferPointer<SendPart>, toCompletion: Bool
    ) -> Token {
        precondition(list.count >= 1 && list.count <= 1024, "a gather list has 1 to 1024 elements")
        var operation = PendingOperation(kind: .gather, continues: toCompletion)
        operation.token = begin(socket, .send, occupying: .sending)
        operation.memory = UnsafeMutableRawPointer(list.baseAddress)
        operation.count = list.count
        return startOutbound(socket, operation)
    }
}
