import Proactor

/// Connections to sockets of the same context.
extension SocketCore {
    func pair(_ id: UInt64, with core: SocketCore, _ partner: UInt64) {
        registry.withLock { $0.connections[id]?.partner = (core, partner) }
    }

    /// The other side of an inproc connection goes.
    private func partnerLeaves(_ id: UInt64, isClosing: Bool) {
        let connection = registry.withLock { $0.connections[id] }
        dismiss(id)
        if isClosing, let connection { noteDeparture(of: connection.peer, connection.inbound) }
    }

    /// Leaves inproc connections.
    /// - Parameter endpoint: only those there, and what is queued can still be taken on both sides; nil leaves all
    ///   because this socket closes, and the other sides count what nobody will take.
    func leaveInproc(endpoint: String? = nil) {
        let connections = registry.withLock { registry in
            registry.connections.filter {
                $0.value.door == nil && (endpoint == nil || $0.value.peer.endpoint == endpoint)
            }
        }
        for (id, connection) in connections {
            dismiss(id)
            if let (core, partner) = connection.partner {
                core.partnerLeaves(partner, isClosing: endpoint == nil)
                core.report(.disconnected(nil), connection.peer.endpoint)
            }
            if endpoint != nil {
                for pipe in [connection.inbound, connection.outbound] {
                    if let pipe { pipe.writerList.wake(pipe.notifyWriter(.leaving)) }
                }
            } else if let inbound = connection.inbound {
                _ = inbound.reader.pointee.seize()
                inbound.writerList.wake(inbound.notifyWriter(.ended))
            }
        }
    }
}
