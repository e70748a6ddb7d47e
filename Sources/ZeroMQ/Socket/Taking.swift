import ZMTP

/// How a message that is there already is taken: from the only readable peer, or from the peer whose turn it is.
/// Nothing here waits, suspends or throws; the forms of `receive` stand on it.
extension Socket {
    /// Messages after which a task at the latest looks whether it was cancelled: the look costs as much as half a
    /// message of 64 bytes.
    static var messagesPerLook: UInt64 { 64 }

    /// The next message if it is there, for a task. What keeps one away the long way finds again, and tells it or
    /// waits for its end.
    ///
    /// The asynchronous forms are inlined into their callers up to this call: as long as messages are there a task
    /// makes no asynchronous call, and changes no executor, for any of them.
    @usableFromInline
    final func takeNow() -> Message? {
        guard core.isOpen else { return nil }
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        if core.isPlainReceiver, let reader = core.receiver.pointee.readerInTurn(),
            reader.pointee.count % Self.messagesPerLook != 0
        {
            let message = reader.pointee.takeMessage()
            core.receiver.pointee.finishTurn(reader)
            return message
        }
        return takeInTurn()
    }

    /// Several peers, patterns, a peer that has to be looked at for more, a task to be looked at.
    @inline(never)
    private final func takeInTurn() -> Message? {
        guard !Task.isCancelled else { return nil }
        do throws(ZeroMQError) { try checkReceive() } catch { return nil }
        return take()
    }

    /// The next message of the pipe whose turn it is. By the receiver, when `checkReceive` has agreed.
    final func take() -> Message? {
        defer { settleReceiveGauge() }
        guard let pipe = next() else { return core.receiver.pointee.takeLatest() }
        var message = pipe.reader.pointee.takeMessage()
        if core.type.namesPeers { message.prepend(pipe.peer!.routingID) }
        core.receiver.pointee.finish(pipe)
        return message
    }

    /// Lends the frames of the next message of the pipe whose turn it is.
    /// - Returns: false if there is none.
    final func lend(_ each: (UnsafeRawBufferPointer, Bool) -> Void) -> Bool {
        defer { settleReceiveGauge() }
        guard let pipe = next() else {
            guard let message = core.receiver.pointee.takeLatest() else { return false }
            for index in 0..<message.count {
                message[index].withUnsafeBytes { each($0, index < message.count - 1) }
            }
            return true
        }
        if core.type.namesPeers { pipe.peer!.routingID.withUnsafeBytes { each($0, true) } }
        pipe.reader.pointee.lendMessage(each)
        core.receiver.pointee.finish(pipe)
        return true
    }

    @inline(__always)
    private final func next() -> Pipe? {
        while let pipe = core.receiver.pointee.choose() {
            if !core.hasEnvelopes || admit(pipe) { return pipe }
        }
        return nil
    }
}

extension PipeReader {
    /// The next message, kept.
    @inline(__always)
    mutating func takeMessage() -> Message {
        let frame = next()
        // By itself: where both kinds meet in one value, the small one is put together from single words.
        if frame.body.count <= Frame.inlineCapacity, !frame.hasMore { return Message(Frame(small: frame)) }
        return takeMessage(from: frame)
    }

    /// A large frame, or several.
    @inline(never)
    private mutating func takeMessage(from first: LentFrame) -> Message {
        var frame = first
        var message = Message(Frame(frame))
        while frame.hasMore {
            frame = next()
            message.append(Frame(frame))
        }
        return message
    }

    /// The frames of the next message, lent one after the other.
    @inline(__always)
    mutating func lendMessage(_ each: (UnsafeRawBufferPointer, Bool) -> Void) {
        while true {
            let frame = next()
            each(frame.body, frame.hasMore)
            if !frame.hasMore { return }
        }
    }
}
