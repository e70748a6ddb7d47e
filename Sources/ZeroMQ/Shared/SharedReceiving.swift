public import Proactor
import ZMTP

/// A socket on which any number of threads and tasks may receive at the same time (37/ZMTP, Thread-Safe Socket
/// Types). Each message has one frame and goes to one of them, whole.
///
/// Messages of several frames are dropped and counted, as in the reference.
public protocol SharedReceivingSocket: Socket {}

extension SharedReceivingSocket {
    /// The next message, nil if none is there.
    /// - Throws: `socketClosed`, `contextClosed`.
    public func tryReceive() throws(ZeroMQError) -> Message? {
        try core.tryReceiveShared { Message($0.frame) }
    }

    /// The next message; waits for one.
    /// - Parameter deadline: nil takes the socket's `receiveTimeout`.
    /// - Throws: `timedOut`, `socketClosed`, `contextClosed`.
    public func receive(until deadline: Deadline? = nil) throws(ZeroMQError) -> Message {
        try core.receiveShared(until: deadline) { Message($0.frame) }
    }

    /// Takes up to `limit` messages: waits for the first, then takes those that are there.
    /// - Returns: at least one.
    public func receive(upTo limit: Int, until deadline: Deadline? = nil) throws(ZeroMQError) -> [Message] {
        var batch = [try receive(until: deadline)]
        core.drainShared(limit, into: &batch) { Message($0.frame) }
        return batch
    }

    /// The next message; suspends until there is one. A cancelled task takes none.
    /// - Throws: as the blocking form, and `cancelled`.
    public nonisolated(nonsending) func receive(
        until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> Message {
        try await core.receiveShared(until: deadline) { Message($0.frame) }
    }

    /// Takes up to `limit` messages: suspends for the first, then takes those that are there.
    /// - Returns: at least one.
    public nonisolated(nonsending) func receive(
        upTo limit: Int, until deadline: Deadline? = nil
    ) async throws(ZeroMQError) -> [Message] {
        var batch = [try await receive(until: deadline)]
        core.drainShared(limit, into: &batch) { Message($0.frame) }
        return batch
    }

    /// All messages from now on, until the socket or its context is closed. Several iterations may share them.
    public var messages: ReceivedSequence<Message> {
        ReceivedSequence { [self] () async throws(ZeroMQError) in try await receive() }
    }
}

/// Messages of a socket as they come. Several iterations at once share them: each message goes to one.
public struct ReceivedSequence<Element: Sendable>: AsyncSequence, Sendable {
    /// What ends it early; closing the socket ends it orderly.
    public typealias Failure = ZeroMQError

    let receive: @Sendable () async throws(ZeroMQError) -> Element

    /// Takes messages one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let receive: @Sendable () async throws(ZeroMQError) -> Element

        /// The next message; nil when the socket or its context was closed, or the task is cancelled.
        public mutating func next() async throws(ZeroMQError) -> Element? {
            do throws(ZeroMQError) {
                return try await receive()
            } catch {
                switch error.code {
                case .socketClosed, .contextClosed, .cancelled: return nil
                default: throw error
                }
            }
        }
    }

    /// Begins to take messages.
    public func makeAsyncIterator() -> Iterator { Iterator(receive: receive) }
}

/// A message of one frame as it lies in its pipe, and whom it comes from.
struct SharedArrival {
    /// Of a DISH: the group that stands in front.
    let group: Frame?
    let frame: Frame
    let peer: Peer?
}

extension SocketCore {
    func tryReceiveShared<Result>(_ make: (SharedArrival) -> Result) throws(ZeroMQError) -> Result? {
        guard let crowd = receiveList.crowd else { preconditionFailure("not a shared socket") }
        crowd.lock.lock()
        defer { crowd.lock.unlock() }
        try checkOpen()
        return takeShared().map(make)
    }

    /// Takes more without waiting, until the batch is full.
    func drainShared<Result>(_ limit: Int, into batch: inout [Result], _ make: (SharedArrival) -> Result) {
        precondition(limit > 0, "a batch has room for at least one message")
        guard let crowd = receiveList.crowd else { preconditionFailure("not a shared socket") }
        crowd.lock.lock()
        defer { crowd.lock.unlock() }
        while batch.count < limit, isOpen, let arrival = takeShared() { batch.append(make(arrival)) }
    }

    func receiveShared<Result>(
        until deadline: Deadline?, _ make: (SharedArrival) -> Result
    ) throws(ZeroMQError) -> Result {
        guard let crowd = receiveList.crowd else { preconditionFailure("not a shared socket") }
        if let result = try tryReceiveShared(make) { return result }
        let deadline = deadline ?? options.receiveTimeout.map { .after($0) }
        return try make(crowd.perform(receiveWork(), self, until: deadline))
    }

    nonisolated(nonsending) func receiveShared<Result>(
        until deadline: Deadline?, _ make: (SharedArrival) -> Result
    ) async throws(ZeroMQError) -> Result {
        guard let crowd = receiveList.crowd else { preconditionFailure("not a shared socket") }
        if let result = try tryReceiveShared(make) { return result }
        let deadline = deadline ?? options.receiveTimeout.map { .after($0) }
        return try make(await crowd.perform(receiveWork(), self, until: deadline))
    }

    private func receiveWork() -> CrowdWork<SharedArrival> {
        CrowdWork(
            verb: "receive", list: receiveList,
            attempt: { [self] () throws(ZeroMQError) in
                try checkOpen()
                return takeShared()
            },
            hasMore: { [self] in receiver.pointee.hasMessage() },
            // A try that finds nothing leaves every pipe resting.
            prepare: { true })
    }

    /// The next message that has the shape of the pattern. Under the lock.
    private func takeShared() -> SharedArrival? {
        while let pipe = receiver.pointee.choose() {
            let arrival = type == .dish ? takeGrouped(pipe) : takeSingle(pipe)
            receiver.pointee.finish(pipe)
            if let arrival { return arrival }
        }
        return nil
    }

    /// A message of several frames is passed over (41/CLIENTSERVER; the reference does the same).
    private func takeSingle(_ pipe: Pipe) -> SharedArrival? {
        let first = pipe.reader.pointee.next()
        guard first.hasMore else { return SharedArrival(group: nil, frame: Frame(first), peer: pipe.peer) }
        pipe.reader.pointee.passRest()
        losses.add(1, .multipart)
        return nil
    }
}

extension PipeReader {
    /// Passes over the remaining frames of a message whose first frames had MORE.
    mutating func passRest() { while next().hasMore {} }
}
