import Proactor
import ZMTP

/// Messages that sockets make themselves: what a new peer hears first, and what the application hears of a peer that
/// comes or goes. On request only (`SocketOptions`).
extension SocketCore {
    // MARK: To the peer

    private var greets: Bool { options.probesRouter || options.helloMessage != nil }

    /// What a new connection hears first, framed as the peer understands it: the probe, then the hello.
    func greeting(_ framing: PeerInfo.Framing) -> [UInt8] {
        guard greets else { return [] }
        var output: [UInt8] = []
        for frame in (options.probesRouter ? [Frame()] : []) + (options.helloMessage.map { [$0] } ?? []) {
            switch framing {
            case .v1: V1FrameHeader.append(to: &output, more: false, bodyCount: frame.count)
            case .v2: FrameHeader.append(to: &output, flags: [], bodyCount: frame.count)
            }
            output.append(contentsOf: frame.bytes)
        }
        return output
    }

    /// Chunks of an inproc pipe: of its own if somebody else than the sender writes the first message.
    var inprocPool: ChunkPool { greets ? ChunkPool(budget: memory) : sendPool }

    /// Puts the greeting into a fresh inproc pipe that nobody else knows yet.
    func greet(_ pipe: Pipe?) {
        guard let pipe, greets else { return }
        if options.probesRouter {
            pipe.writer.pointee.put([], UnsafeRawBufferPointer(start: nil, count: 0))
            _ = pipe.writer.pointee.publish(keep: false)
        }
        if let hello = options.helloMessage {
            hello.withUnsafeBytes { pipe.writer.pointee.put([], $0) }
            _ = pipe.writer.pointee.publish(keep: false)
        }
    }

    // MARK: To the application

    /// A peer has come, if the application wants to hear of it. Before anything else from that peer.
    func noteArrival(of peer: Peer) {
        let isNoted = isRaw ? options.isStreamNotifying : options.routerNotifications.contains(.connect)
        guard isNoted else { return }
        makeNotice(Frame(), from: peer).join(receiveList, peer: peer)
    }

    /// A peer has gone by itself, if the application wants to hear of it. After everything else from that peer.
    /// - Parameter inbound: the pipe of its messages.
    func noteDeparture(of peer: Peer, _ inbound: Pipe?) {
        guard let inbound, let frame = farewell(of: peer) else { return }
        inbound.sequel = makeNotice(frame, from: peer)
        receiveList.wake(inbound.announce(.ended))
    }

    private func farewell(of peer: Peer) -> Frame? {
        if isRaw { return options.isStreamNotifying ? Frame() : nil }
        if options.routerNotifications.contains(.disconnect) { return Frame() }
        return peer.isDialed ? options.hiccupMessage : options.disconnectMessage
    }

    /// A pipe with one message in it, as if it had come from the peer.
    private func makeNotice(_ frame: Frame, from peer: Peer) -> Pipe {
        let pipe = Pipe(
            mark: 1, byteMark: 0, pool: ChunkPool(budget: memory), readerList: nil, writerList: receiveList,
            peer: peer)
        frame.withUnsafeBytes { pipe.writer.pointee.put([], $0) }
        _ = pipe.writer.pointee.publish(keep: false)
        return pipe
    }
}
