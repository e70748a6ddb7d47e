import ZMTP

/// Answers: strictly receive, send, receive, send; each answer goes to the one who asked (28/REQREP).
public final class ReplySocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// The one who asked, nil while no answer is due.
    private var asker: Pipe?
    private var isDue = false
    /// Why the answer is dropped, if it is.
    private var loss = LossReason.peerGone
    /// The request's envelope as it stood on the wire: addresses and the delimiter, each with MORE.
    private var envelope: [UInt8] = []
    /// An envelope has at most this many addresses; a request with more is dropped.
    private static let addressBound = 64

    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.rep, context, options)
    }

    override func checkReceive() throws(ZeroMQError) {
        guard !isDue else {
            throw ZeroMQError(.wrongState, "this REP socket owes an answer: send it before the next receive")
        }
    }

    /// A request without an envelope is dropped, as a receive would drop it.
    override func canReceive() -> Bool {
        guard !isDue else {
            core.receiver.pointee.takeNews()
            return false
        }
        while let pipe = core.receiver.pointee.peek() {
            if hasEnvelope(pipe) { return true }
            _ = admit(pipe)
        }
        return false
    }

    /// Whether a pipe's next message would be admitted; nothing is taken.
    private func hasEnvelope(_ pipe: Pipe) -> Bool {
        var walk = pipe.reader.pointee.ahead
        for _ in 0...Self.addressBound {
            let frame = walk.nextFrame()
            guard frame.hasMore else { return false }
            if frame.body.isEmpty { return true }
        }
        return false
    }

    override func canSend() -> Bool {
        if !isDue { core.sender.pointee.takeNews() }
        return isDue
    }

    /// Saves the envelope up to the delimiter; a request without one is dropped and counted.
    override func admit(_ pipe: Pipe) -> Bool {
        envelope.removeAll(keepingCapacity: true)
        var addresses = 0
        while true {
            let frame = pipe.reader.pointee.next()
            guard frame.hasMore, addresses <= Self.addressBound else {
                var rest = frame
                while rest.hasMore { rest = pipe.reader.pointee.next() }
                core.receiver.pointee.finish(pipe)
                core.drop(.unexpected, of: pipe.peer)
                return false
            }
            FrameHeader.append(to: &envelope, flags: .more, bodyCount: frame.body.count)
            envelope.append(contentsOf: frame.body)
            if frame.body.isEmpty { break }
            addresses += 1
        }
        asker = pipe.peer?.outbound
        isDue = true
        core.sendList.tellWatches()
        return true
    }

    override func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        guard let pipe = try prepare() else { return finish(lost: true) }
        pipe.writer.pointee.put([], bytes)
        try core.commit(pipe)
        return finish()
    }

    override func offer(_ message: Message) throws(ZeroMQError) -> SendResult {
        guard let pipe = try prepare() else { return finish(lost: true) }
        pipe.put(message, from: 0)
        try core.commit(pipe)
        return finish()
    }

    /// REP never blocks: if the asker is gone or takes nothing more, the answer is dropped and counted.
    private func prepare() throws(ZeroMQError) -> Pipe? {
        guard isDue else {
            throw ZeroMQError(.wrongState, "this REP socket has no request to answer: receive one before sending")
        }
        if core.sendList.hasNews { core.sender.pointee.settle() }
        guard let asker, core.sender.pointee.contains(asker) else { return nil }
        guard asker.writer.pointee.hasRoom() else {
            loss = asker.reasonToRefuse
            return nil
        }
        envelope.withUnsafeBytes { asker.writer.pointee.put(encoded: $0) }
        return asker
    }

    private func finish(lost: Bool = false) -> SendResult {
        if lost { core.losses.add(1, loss) }
        isDue = false
        asker = nil
        loss = .peerGone
        core.receiveList.tellWatches()
        settleReceiveGauge()
        return .sent
    }
}
