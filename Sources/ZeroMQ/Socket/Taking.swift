import ZMTP

/// How a message that is there already is taken: from the only readable peer, or from the peer whose turn it is.
/// Nothing here waits, suspends or throws; the forms of `receive` stand on it.
extension Socket {
    /// The next message if it is there, and if nothing forbids the calling task to take it. What kept it away the
    /// long way finds again, and tells or waits for.
    ///
    /// The asynchronous forms are inlined into their callers up to this call: as long as messages are there a task
    /// makes no asynchronous call, and changes no executor, for any of them.
    @usableFromInline
    final func takeUnlessCancelled() -> Message? {
        guard !Task.isCancelled, core.isOpen else { return nil }
        core.receiver.pointee.enter()
        defer { core.receiver.pointee.leave() }
        if core.isPlainReceiver, let reader = core.receiver.pointee.soleWithMessage() {
            let message = reader.pointee.takeMessage()
            core.receiver.pointee.finishSole(reader)
            return message
        }
        return takeInTurn()
    }

    /// Several peers, patterns, a peer that has to be looked at for more.
    @inline(never)
    private final func takeInTurn() -> Message? {
        do throws(ZeroMQError) { try checkReceive() } catch { return nil }
        return take()
    }

    /// The next message of the pipe whose turn it is.
    final func take() -> Message? {
        guard let pipe = next() else { return nil }
        var message = pipe.reader.pointee.takeMessage()
        if core.type == .router { message.prepend(pipe.peer!.routingID) }
        core.receiver.pointee.finish(pipe)
        return message
    }

    /// Lends the frames of the next message of the pipe whose turn it is.
    /// - Returns: false if there is none.
    final func lend(_ each: (UnsafeRawBufferPointer, Bool) -> Void) -> Bool {
        guard let pipe = next() else { return false }
        if core.type == .router { pipe.peer!.routingID.withUnsafeBytes { each($0, true) } }
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
        var frame = next()
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
