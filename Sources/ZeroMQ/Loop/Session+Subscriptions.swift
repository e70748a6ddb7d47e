import Proactor
import ZMTP

/// What a session does for publishers and subscribers.
extension Session {
    /// Begins to serve a subscriber.
    func serve<B: Backend & ~Copyable>(
        _ connection: SocketCore.Registry.Connection, _ publisher: Publisher, _ info: PeerInfo, on loop: Loop<B>
    ) {
        let kept = dialer?.feed
        let subscriber =
            kept?.subscriber ?? Subscriber(id: connection.peer.id, fanout: loop.fanout(of: core), pipe: nil)
        let feed = kept ?? Feed(subscriber, core)
        feed.attach(self, on: loop)
        outflow.feed = feed
        upstream = Upstream(core, publisher, subscriber, connection.inbound)
        core.note(subscriber, of: connection.peer.id)
        if kept == nil {
            if let message = core.options.welcomeMessage { feed.begin(with: message, pool: loop.pool, on: loop) }
            publisher.arrived(subscriber)
        }
        // A subscriber of ZMTP 1.0 filters for itself.
        if info.subscribesToEverything { publisher.take(.subscribe, Frame(), of: subscriber) }
    }

    /// Tells a publisher that has come of all subscriptions.
    func tellAll(_ version: ProtocolVersion) {
        guard let subscriptions = core.subscriptions else { return }
        let (prefixes, number) = subscriptions.snapshot
        for prefix in prefixes {
            prefix.withUnsafeBytes {
                Subscription.subscribe.appendFrame(prefix: $0, for: version, to: &outflow.control)
            }
        }
        told = (number, version)
    }

    /// Tells the publisher of a change.
    func tell<B: Backend & ~Copyable>(_ change: Subscriptions.Change, on loop: Loop<B>) {
        guard phase == .running, let told, change.version > told.version else { return }
        change.prefix.withUnsafeBytes {
            change.change.appendFrame(prefix: $0, for: told.protocolVersion, to: &outflow.control)
        }
        self.told?.version = change.version
        outflow.flush(self, on: loop)
    }

    /// Asks the publisher whether it has what it was told. Older peers have no PING (37/ZMTP, Connection Heartbeating).
    func askForConfirmation<B: Backend & ~Copyable>(_ version: UInt64, on loop: Loop<B>) {
        guard answersPings else { return confirm(version) }
        withUnsafeBytes(of: version) { Command.appendPing(ttl: 0, context: $0, to: &outflow.control) }
        outflow.flush(self, on: loop)
    }

    private func confirm(_ version: UInt64) {
        guard let peer else { return }
        core.subscriptions?.confirm(peer.id, endpoint: endpoint, version: version)
    }

    /// An answer to a PING that stood behind our subscriptions.
    func noteConfirmation(_ context: UnsafeRawBufferPointer) {
        guard told != nil, context.count == MemoryLayout<UInt64>.size else { return }
        confirm(context.loadUnaligned(as: UInt64.self))
    }
}
