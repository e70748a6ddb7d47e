public import Proactor
public import ZMTP

/// Something that happened to a socket's connections.
public struct SocketEvent: Sendable, CustomStringConvertible {
    /// What happened. The last event of each connection is `disconnected`, unless this side ended it on request; what
    /// went wrong stands before it.
    public enum Kind: Sendable, Equatable {
        /// A listener stands.
        case listening
        /// A bind failed; the call threw the same.
        case bindFailed(SystemError)
        /// A listener took a connection.
        case accepted
        /// A listener could not take one; it tries again by itself.
        case acceptFailed(SystemError)
        /// An attempt to connect is under way.
        case connectDelayed
        /// A connection stands; its handshake begins.
        case connected
        /// An attempt failed; nil where a name has no address.
        case connectFailed(SystemError?)
        /// An attempt failed or a connection was lost; the next attempt comes after the pause.
        case connectRetried(after: Duration)
        /// The handshake is done: messages flow.
        case handshakeSucceeded
        /// The connection was lost before the handshake was done; nil is an orderly end.
        case handshakeBroken(SystemError?)
        /// The peer broke the rule named, or refused us.
        case handshakeFailed(ZMTPError)
        /// The peer, or who decides for it, refused us: 300 to try later, 400 for wrong credentials, 500 for an error
        /// of its own (27/ZAP).
        case authenticationFailed(status: Int)
        /// The peer did not finish its handshake in time.
        case handshakeTimedOut
        /// A connection ended; `nil` is an orderly end.
        case disconnected(SystemError?)
        /// The peer broke the rule named in traffic; its connection was cut.
        case protocolViolation(ZMTPError)
        /// The peer was silent for longer than heartbeats allow; its connection was cut.
        case heartbeatTimedOut
        /// A second peer came to a socket that takes one, or one with an identity that is taken.
        case peerRefused(String)
        /// The listener or the attempts to connect ended, on request.
        case closed
        /// A descriptor could not be closed. Nothing can be done about it.
        case closeFailed(SystemError)
        /// Messages were given up.
        case lost(Int, LossReason)
        /// How long a peer's queues are, asked for by `Socket.reportQueues`.
        case queues(toSend: Int, toTake: Int)
    }

    /// What happened.
    public let kind: Kind
    /// The endpoint that was bound or connected.
    public let endpoint: String
    /// The peer's address, where there is one.
    public let peer: SocketAddress?
    /// Our own address, where there is a connection.
    public let local: SocketAddress?
    /// The descriptor of the listener or connection; -1 where there is none. Only to tell events apart: it may be
    /// another's already.
    public let descriptor: Int32
    /// Whether `endpoint` was bound; else it was connected, or the event is not one of a connection.
    let isBound: Bool
    /// The peer's own words, where it gave a reason (ERROR); printable ASCII.
    public let detail: String?

    /// `tcp://…: kind`.
    public var description: String {
        "\(endpoint)\(peer.map { " (\($0))" } ?? ""): \(kind)\(detail.map { " (\"\($0)\")" } ?? "")"
    }
}

/// Where an event happened, for those who report it.
struct EventPlace {
    let endpoint: String
    var peer: SocketAddress?
    var descriptor: Int32 = -1
    var isBound = false
    var detail: String?
}

extension SocketEvent {
    init(_ kind: Kind, _ place: EventPlace) {
        self.kind = kind
        endpoint = place.endpoint
        peer = place.peer
        descriptor = place.descriptor
        isBound = place.isBound
        detail = place.detail
        // Asked only where somebody listens, and while the descriptor is open.
        switch kind {
        case .closed, .closeFailed: local = nil
        default: local = place.descriptor < 0 ? nil : Descriptor.localAddress(of: place.descriptor)
        }
    }
}
