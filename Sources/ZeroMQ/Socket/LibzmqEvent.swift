import Proactor
import ZMTP

/// An event in the numbers of zmq.h: what libzmq's monitor sends for it, in both versions.
public struct LibzmqEvent: Sendable, Hashable {
    /// One of ZMQ_EVENT_…, a single bit.
    public let id: UInt64
    /// Version 1 has one value, of which it sends the low 32 bits; version 2 sends all. Only ZMQ_EVENT_PIPES_STATS has
    /// two: messages to send, messages to take.
    public let values: [UInt64]

    /// What ends every monitor (ZMQ_EVENT_MONITOR_STOPPED). Here a monitor just ends: `SocketMonitor.next` gives nil.
    public static let monitorStopped = LibzmqEvent(id: 0x0400, values: [0])
    /// Every event of version 1 (ZMQ_EVENT_ALL).
    public static let allIDs: UInt64 = 0xFFFF
    /// Every event of version 2 (ZMQ_EVENT_ALL_V2).
    public static let allIDsOfVersion2: UInt64 = 0x1_FFFF
}

extension SocketEvent {
    /// The event as libzmq tells it; nil for what libzmq has no event for: losses, refused peers, violations and silence
    /// (where only the `disconnected` behind them is told), the end of attempts to connect, all of inproc.
    public var libzmq: LibzmqEvent? {
        guard !endpoint.hasPrefix("inproc://") else { return nil }
        func event(_ id: UInt64, _ value: some BinaryInteger) -> LibzmqEvent {
            LibzmqEvent(id: id, values: [UInt64(truncatingIfNeeded: value)])
        }
        switch kind {
        case .connected: return event(0x0001, descriptor)
        // The manual leaves the value open; libzmq gives EINPROGRESS.
        case .connectDelayed: return event(0x0002, SystemError.inProgress.code)
        case .connectRetried(let pause): return event(0x0004, pause.nanoseconds / 1_000_000)
        case .listening: return event(0x0008, descriptor)
        case .bindFailed(let error): return event(0x0010, error.code)
        case .accepted: return event(0x0020, descriptor)
        case .acceptFailed(let error): return event(0x0040, error.code)
        case .closed, .connectFailed: return descriptor < 0 ? nil : event(0x0080, descriptor)
        case .closeFailed(let error): return event(0x0100, error.code)
        case .disconnected: return event(0x0200, descriptor)
        case .handshakeBroken(let error): return event(0x0800, (error ?? .brokenPipe).code)
        case .handshakeTimedOut: return event(0x0800, SystemError.timedOut.code)
        case .handshakeSucceeded: return event(0x1000, 0)
        case .handshakeFailed(let error): return event(0x2000, error.code)
        case .authenticationFailed(let status): return event(0x4000, status)
        case .queues(let toSend, let toTake):
            return LibzmqEvent(id: 0x1_0000, values: [UInt64(toSend), UInt64(toTake)])
        case .lost, .peerRefused, .protocolViolation, .heartbeatTimedOut: return nil
        }
    }

    /// Our end of the connection as version 2 of libzmq's monitor tells it: the endpoint where it was bound, or the
    /// address; empty where there is none.
    public var localEndpoint: String { Self.text(local) ?? (isBound ? endpoint : "") }

    /// The other end.
    public var remoteEndpoint: String { isBound ? Self.text(peer) ?? "" : endpoint }

    private static func text(_ address: SocketAddress?) -> String? {
        guard let address, address.host != nil || address.path != nil else { return nil }
        return Endpoint(address).description
    }
}

extension SystemError {
    fileprivate static let inProgress = SystemError(code: 115)  // EINPROGRESS on Linux
}
