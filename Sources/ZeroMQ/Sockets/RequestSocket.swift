import ZMTP

/// Asks one peer after the other and takes the answer of the one it asked: strictly send, receive, send, receive
/// (28/REQREP).
public final class RequestSocket: Socket, SendingSocket, ReceivingSocket, @unchecked Sendable {
    /// The peer that was asked, nil while no request is open.
    private var asked: Pipe?
    /// Whether requests have numbers: by option, and from the first `request` on.
    private var isCorrelating = false
    private var number = UInt32.random(in: 0...(.max))

    /// A socket of the context.
    public init(_ context: Context, _ options: SocketOptions = SocketOptions()) throws(ZeroMQError) {
        try super.init(.req, context, options)
    }

    override func offer(_ bytes: UnsafeRawBufferPointer) throws(ZeroMQError) -> SendResult {
        guard let pipe = try prepare() else { return .full }
        pipe.writer.pointee.put([], bytes)
        return try open(pipe)
    }

    override func offer(_ message: Message) throws(ZeroMQError) -> SendResult {
        guard let pipe = try prepare() else { return .full }
        pipe.put(message, from: 0)
        return try open(pipe)
    }

    /// Chooses a peer and puts the envelope: the request's number if asked for, and the empty delimiter.
    private func prepare() throws(ZeroMQError) -> Pipe? {
        guard isSendAllowed else {
            throw ZeroMQError(.wrongState, "this REQ socket waits for a reply: receive it before the next request")
        }
        guard let pipe = core.sender.pointee.choose() else { return nil }
        if core.options.isRequestCorrelated || isCorrelating {
            number &+= 1
            withUnsafeBytes(of: number) { pipe.writer.pointee.put(.more, $0) }
        }
        pipe.writer.pointee.put(.more, UnsafeRawBufferPointer(start: nil, count: 0))
        return pipe
    }

    private var isSendAllowed: Bool { asked == nil || core.options.isRequestRelaxed }

    override func canSend() -> Bool {
        if isSendAllowed { return super.canSend() }
        core.sender.pointee.takeNews()
        return false
    }

    private func open(_ pipe: Pipe) throws(ZeroMQError) -> SendResult {
        asked = pipe
        try core.commit(pipe)
        return .sent
    }

    // MARK: Requests in one call

    func checkNoneIsOpen() throws(ZeroMQError) {
        guard asked == nil || core.options.isRequestRelaxed else {
            throw ZeroMQError(.wrongState, "this REQ socket waits for a reply: receive it before the next request")
        }
    }

    func beginAttempt() {
        isCorrelating = true
        asked = nil
    }

    /// The open request is forgotten; its answer will not have the number of the next one.
    func giveUp() {
        asked = nil
        core.sendList.tellWatches()
    }

    override func checkReceive() throws(ZeroMQError) {
        guard asked != nil else {
            throw ZeroMQError(.wrongState, "this REQ socket has no open request: send one before receiving")
        }
    }

    /// What does not answer the open request is dropped, as a receive would drop it.
    override func canReceive() -> Bool {
        while let pipe = core.receiver.pointee.peek() {
            if isAnswer(pipe) { return true }
            _ = admit(pipe)
        }
        return false
    }

    /// Whether a pipe's next message would be admitted; nothing is taken.
    private func isAnswer(_ pipe: Pipe) -> Bool {
        guard asked != nil, pipe.peer?.outbound === asked else { return false }
        var walk = pipe.reader.pointee.ahead
        var frame = walk.nextFrame()
        if core.options.isRequestCorrelated || isCorrelating {
            guard frame.hasMore, withUnsafeBytes(of: number, { $0.elementsEqual(frame.body) }) else { return false }
            frame = walk.nextFrame()
        }
        return frame.body.isEmpty && frame.hasMore
    }

    /// Takes the envelope off; what does not answer the open request is dropped and counted.
    override func admit(_ pipe: Pipe) -> Bool {
        let reader = pipe.reader
        var isAnswer = pipe.peer?.outbound === asked
        var frame = reader.pointee.next()
        if core.options.isRequestCorrelated || isCorrelating, isAnswer {
            isAnswer = frame.hasMore && withUnsafeBytes(of: number) { $0.elementsEqual(frame.body) }
            if isAnswer { frame = reader.pointee.next() }
        }
        isAnswer = isAnswer && frame.body.isEmpty && frame.hasMore
        guard isAnswer else {
            while frame.hasMore { frame = reader.pointee.next() }
            core.receiver.pointee.finish(pipe)
            core.drop(.unexpected, of: pipe.peer)
            return false
        }
        asked = nil
        core.sendList.tellWatches()
        settleSendGauge()
        return true
    }
}
