import CLiburing

/// What runs on a loop's thread: a backend, and the waiters behind its operations. Made, used and ended there.
///
/// A turn runs the jobs that are ready, starts what they and others asked for, enters the kernel once, and answers
/// what has completed. Every answer resumes a continuation; where its task prefers this loop's executor, it becomes
/// a job of the next turn, on this thread.
struct LoopThread: ~Copyable {
    let core: LoopCore
    var backend: ChosenBackend
    var batch = CompletionBatch()
    /// By slot of the handle.
    var sockets: [LoopSocket] = []
    /// Sockets that are not closed yet.
    var living = 0
    /// What each running timer is for, by slot of its token.
    var timers: [LoopTimer?] = []
    /// Sleeps that run.
    var sleeping = 0
    /// Operations that are looked for by number: sleeps by their timer, connects by their socket.
    var free: [UInt64: FreeOperation] = [:]
    /// Accepted in this batch, adopted after it: the slot of a socket whose `close` lies further back in the batch is
    /// free already, and must not have a new owner before that completion is seen.
    var arrivals: [(operation: LoopOperation, descriptor: Int32)] = []
    var isEnding = false
    /// Who waits for the end.
    var enders: [LoopContinuation] = []

    enum FreeOperation {
        case sleep(Token)
        case connect(Handle)
    }

    init(_ backend: consuming ChosenBackend, _ core: LoopCore) {
        self.core = core
        self.backend = backend
    }

    /// Turns until the end was asked for and nothing is in flight.
    /// - Returns: Whom to answer when the engine is gone, which it is when this returns.
    consuming func run() -> LoopRemains {
        do {
            while !isOver { try turn() }
        } catch {
            return remains(LoopError(error))
        }
        return remains(LoopError(.shutDown))
    }

    private mutating func turn() throws(ProactorError) {
        core.executor.runJobs()
        let requests = core.take()
        for request in requests { serve(request) }
        core.keep(requests)
        // Both announcements are needed before the sleep: each queue has senders of its own.
        let mayRest = core.executor.prepareToRest() && core.prepareToRest()
        try backend.wait(until: mayRest && !isOver ? nil : .distantPast, into: &batch)
        for position in 0..<batch.count { complete(batch[position]) }
        adoptArrivals()
    }

    private var isOver: Bool { isEnding && living == 0 && sleeping == 0 }
}

/// What the loop knows about a socket.
struct LoopSocket {
    var handle: Handle?
    var isClosing = false
    var inbound: LoopWaiter?
    var outbound: LoopWaiter?
    var closers: [LoopContinuation] = []
}

/// An operation in flight, and who waits for it.
struct LoopWaiter {
    let operation: LoopOperation
    var token: Token
    /// The timer of its deadline.
    var timer: Token?
    /// Why it was cancelled, if it was.
    var reason: LoopError.Code?
    /// The list of a gathered send, freed with its completion.
    var list: UnsafeMutableBufferPointer<SendPart>?
    /// Bytes that a send must transfer.
    var expected = 0
    /// Bytes that went before the operation was started once more to learn its error.
    var transferred: Int?
}

/// What a timer is for.
struct LoopTimer {
    let token: Token
    let operation: LoopOperation
    var reason: LoopError.Code?
}

/// Those to be answered after the end of an engine.
struct LoopRemains: Sendable {
    var answers: [(LoopContinuation, LoopAnswer)] = []
}
