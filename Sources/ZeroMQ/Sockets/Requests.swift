import Proactor

/// Requests with an answer in one call: the Lazy Pirate, without closing and opening sockets.
///
/// Each attempt has a number that goes out in the envelope and comes back with the answer (REQ_CORRELATE), so an answer
/// that is late is dropped and counted as unexpected, never taken for another's. An attempt without an answer in time is
/// given up, and the next goes to the peer whose turn it is then. A peer may see a request more than once: answers
/// should not depend on how often.
///
/// REQ and DEALER have this form. CLIENT has not: its messages are one frame without an envelope (41/CLIENTSERVER), so
/// a number could only be a part of the body, which every SERVER would have to know and to give back.
public enum RequestBounds {
    /// The most attempts after the first.
    public static let maximumRetries = 1000

    /// Tries until an attempt has an answer.
    static func check(_ timeout: Duration, _ retries: Int) throws(ZeroMQError) {
        guard timeout > .zero, 0...maximumRetries ~= retries else {
            throw ZeroMQError(
                .invalidOption,
                "a request has a positive timeout and 0...\(maximumRetries) retries: not \(timeout), \(retries)")
        }
    }

    static func noAnswer(_ timeout: Duration, _ retries: Int) -> ZeroMQError {
        ZeroMQError(.timedOut, "no answer in \(retries + 1) attempts of \(timeout)")
    }
}

extension RequestSocket {
    /// Asks and waits for the answer; asks again as often as allowed if none comes in time.
    /// - Parameters:
    ///   - message: the question.
    ///   - timeout: of each attempt, the wait for a peer included; more than zero.
    ///   - retries: attempts after the first, at most `RequestBounds.maximumRetries`. Default none.
    /// - Throws: `timedOut` if the last attempt has no answer, `wrongState` if a request that `send` made is open,
    ///   `socketClosed`, `contextClosed`. After an error the socket is ready for the next request.
    public func request(
        _ message: Message, timeout: Duration, retries: Int = 0
    ) throws(ZeroMQError) -> Message {
        try RequestBounds.check(timeout, retries)
        try checkNoneIsOpen()
        for _ in 0...retries {
            let deadline = Deadline.after(timeout)
            do throws(ZeroMQError) {
                beginAttempt()
                try send(message, until: deadline)
                return try receive(until: deadline)
            } catch {
                giveUp()
                guard error.code == .timedOut else { throw error }
            }
        }
        throw RequestBounds.noAnswer(timeout, retries)
    }

    /// The same, suspending instead of blocking. A cancelled task's request is given up.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func request(
        _ message: Message, timeout: Duration, retries: Int = 0
    ) async throws(ZeroMQError) -> Message {
        try RequestBounds.check(timeout, retries)
        try checkNoneIsOpen()
        for _ in 0...retries {
            let deadline = Deadline.after(timeout)
            do throws(ZeroMQError) {
                beginAttempt()
                try await send(message, until: deadline)
                return try await receive(until: deadline)
            } catch {
                giveUp()
                guard error.code == .timedOut else { throw error }
            }
        }
        throw RequestBounds.noAnswer(timeout, retries)
    }
}

extension DealerSocket {
    /// Asks a REP or ROUTER and waits for the answer, which brings the envelope back: a number and a delimiter. Asks
    /// again as often as allowed if none comes in time. What else is received meanwhile is dropped and counted: a
    /// DEALER that receives other things has its own loop.
    /// - Parameters:
    ///   - message: the question.
    ///   - timeout: of each attempt, the wait for a peer included; more than zero.
    ///   - retries: attempts after the first, at most `RequestBounds.maximumRetries`. Default none.
    /// - Throws: `timedOut` if the last attempt has no answer, `socketClosed`, `contextClosed`.
    public func request(
        _ message: Message, timeout: Duration, retries: Int = 0
    ) throws(ZeroMQError) -> Message {
        try RequestBounds.check(timeout, retries)
        for _ in 0...retries {
            let deadline = Deadline.after(timeout)
            let (name, asking) = enveloped(message)
            do throws(ZeroMQError) {
                try send(asking, until: deadline)
                while true {
                    if let answer = open(try receive(until: deadline), name) { return answer }
                }
            } catch {
                guard error.code == .timedOut else { throw error }
            }
        }
        throw RequestBounds.noAnswer(timeout, retries)
    }

    /// The same, suspending instead of blocking.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func request(
        _ message: Message, timeout: Duration, retries: Int = 0
    ) async throws(ZeroMQError) -> Message {
        try RequestBounds.check(timeout, retries)
        for _ in 0...retries {
            let deadline = Deadline.after(timeout)
            let (name, asking) = enveloped(message)
            do throws(ZeroMQError) {
                try await send(asking, until: deadline)
                while true {
                    if let answer = open(try await receive(until: deadline), name) { return answer }
                }
            } catch {
                guard error.code == .timedOut else { throw error }
            }
        }
        throw RequestBounds.noAnswer(timeout, retries)
    }

    /// The number is unique in the context: no earlier attempt has it.
    private func enveloped(_ message: Message) -> (name: Frame, asking: Message) {
        let name = withUnsafeBytes(of: core.context.nextID().bigEndian) { Frame(copying: $0) }
        var asking = message
        asking.prepend(Frame())
        asking.prepend(name)
        return (name, asking)
    }

    /// The answer without its envelope; nil, and counted, if it is to another question.
    private func open(_ answer: Message, _ name: Frame) -> Message? {
        guard answer.count > 2, answer[0] == name, answer[1].isEmpty else {
            core.losses.add(1, .unexpected)
            return nil
        }
        return Message(frames: answer.dropFirst(2))
    }
}
