import Proactor

/// Messages and bytes (headers included) that went one way.
struct Traffic: Sendable {
    var messages: UInt64 = 0
    var bytes: UInt64 = 0

    static func - (left: Traffic, right: Traffic) -> Traffic {
        Traffic(messages: left.messages &- right.messages, bytes: left.bytes &- right.bytes)
    }

    static func += (left: inout Traffic, right: Traffic) {
        left.messages &+= right.messages
        left.bytes &+= right.bytes
    }

    /// As the statistics tell it.
    var pair: (messages: Int, bytes: Int) { (Int(clamping: messages), Int(clamping: bytes)) }
}

/// Both ways.
struct Exchange: Sendable {
    var sent = Traffic()
    var received = Traffic()

    static func += (left: inout Exchange, right: Exchange) {
        left.sent += right.sent
        left.received += right.received
    }
}

/// What is counted for an endpoint, beyond the life of its connections.
struct EndpointTally: Sendable {
    /// Handshakes that were done.
    var connections = 0
    /// Those that a dialer made again.
    var reconnects = 0
    var losses: [LossReason: Int] = [:]

    /// A socket counts for this many endpoints; what happens at further ones is in the socket's totals alone.
    static let bound = 1024
}

extension SocketCore.Registry.Connection {
    /// What went over the connection so far.
    var exchange: Exchange {
        Exchange(sent: outbound.map { $0.passed - before } ?? Traffic(), received: inbound?.published ?? Traffic())
    }
}

extension SocketCore.Registry {
    mutating func tally(_ endpoint: String, _ change: (inout EndpointTally) -> Void) {
        guard tallies[endpoint] != nil || tallies.count < EndpointTally.bound else { return }
        change(&tallies[endpoint, default: EndpointTally()])
    }
}

extension SocketCore {
    func tally(_ endpoint: String, _ change: (inout EndpointTally) -> Void) {
        guard !endpoint.isEmpty else { return }
        registry.withLock { $0.tally(endpoint, change) }
    }

    /// Counts a message of a peer that was dropped on the way; rare, so finding the peer may cost a look-up.
    func drop(_ reason: LossReason, of peer: Peer?) {
        losses.add(1, reason)
        peer?.losses.add(1, reason)
    }

    /// The peer of that name (ROUTER).
    func peer(named name: Frame) -> Peer? {
        registry.withLock { registry in registry.routes[name].flatMap { registry.connections[$0.id]?.peer } }
    }
}
