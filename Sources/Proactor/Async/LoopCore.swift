import Synchronization

/// The one door to a loop's thread: its executor, its queue of requests, and the numbers of its operations.
final class LoopCore: Sendable {
    private struct Mail: Sendable {
        var requests: [LoopRequest] = []
        var spare: [LoopRequest] = []
        var isResting = false
        var isClosed = false
    }

    let executor: LoopExecutor
    private let waker: Waker
    private let mail = Locked(Mail())
    private let lastID = Atomic<UInt64>(0)

    init(_ waker: Waker) {
        self.waker = waker
        executor = LoopExecutor { waker.wake() }
    }

    /// Runs an operation to its end: started on the loop's thread, cancelled with the task, answered once.
    nonisolated(nonsending) func perform(
        _ action: LoopOperation.Action, _ target: LoopOperation.Target, until deadline: Deadline?
    ) async -> LoopAnswer {
        let id = lastID.add(1, ordering: .relaxed).newValue  // only uniqueness matters
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let operation = LoopOperation(
                    id: id, target: target, action: action, deadline: deadline, continuation: continuation)
                if Task.isCancelled { return operation.refuse(LoopError(.cancelled)) }
                guard post(.start(operation)) else { return operation.refuse(LoopError(.shutDown)) }
                // A cancel that came between the look above and the post went ahead of the start and found nothing;
                // the flag was set before it, so this look sees it. A second cancel is harmless.
                if Task.isCancelled { post(.cancel(target, id: id)) }
            }
        } onCancel: {
            post(.cancel(target, id: id))
        }
    }

    /// Asks for something that is answered in the same turn and cannot be cancelled.
    nonisolated(nonsending) func ask(_ request: (LoopContinuation) -> LoopRequest) async -> LoopAnswer {
        await withUnsafeContinuation { continuation in
            guard post(request(continuation)) else {
                continuation.resume(returning: .failed(LoopError(.shutDown)))
                return
            }
        }
    }

    /// Queues a request, and wakes the loop where it may sleep.
    /// - Returns: False when the loop has ended: nothing was queued, nobody will answer.
    @discardableResult
    func post(_ request: LoopRequest) -> Bool {
        let (isTaken, mustWake) = mail.withLock { mail -> (Bool, Bool) in
            guard !mail.isClosed else { return (false, false) }
            mail.requests.append(request)
            // The own thread is awake, and looks here before it sleeps the next time.
            guard mail.isResting, !executor.isOnLoop else { return (true, false) }
            mail.isResting = false
            return (true, true)
        }
        if mustWake { waker.wake() }
        return isTaken
    }

    // MARK: For the loop's thread

    /// Takes what waits. The memory is to be given back with `keep`.
    func take() -> [LoopRequest] {
        mail.withLock { mail in
            mail.isResting = false
            guard !mail.requests.isEmpty else { return [] }
            let taken = mail.requests
            mail.requests = mail.spare
            mail.spare = []
            return taken
        }
    }

    /// Gives the memory of a taken lot back, so that turns do not allocate.
    func keep(_ lot: consuming [LoopRequest]) {
        guard lot.capacity > 0, lot.capacity <= 4096 else { return }
        var lot = lot
        lot.removeAll(keepingCapacity: true)
        mail.withLock { $0.spare = lot }
    }

    /// Announces a sleep: the next request of another thread wakes.
    /// - Returns: False if requests wait already.
    func prepareToRest() -> Bool {
        mail.withLock { mail in
            mail.isResting = mail.requests.isEmpty
            return mail.isResting
        }
    }

    /// Takes what waits, for the last time: later posts are refused.
    func close() -> [LoopRequest] {
        mail.withLock { mail in
            mail.isClosed = true
            defer { mail.requests = [] }
            return mail.requests
        }
    }
}
