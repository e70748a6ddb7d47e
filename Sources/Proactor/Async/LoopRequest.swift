import CLiburing

/// What a task asks of its loop: a value that travels through one queue, with the continuation to answer to.
enum LoopRequest: Sendable {
    /// Start an operation; it is answered exactly once.
    case start(LoopOperation)
    /// End an operation early; it answers for itself. Unknown ones have ended.
    case cancel(LoopOperation.Target, id: UInt64)
    /// Something done at once.
    case call(Handle, Call, LoopContinuation)
    /// Close a socket; a stale handle is closed already.
    case close(Handle, LoopContinuation?)
    /// End the loop. The continuation is answered when its engine is gone.
    case end(LoopContinuation?)

    /// What is done at once.
    enum Call: Sendable {
        case shutdown(ShutdownDirection)
        case setOption(SocketOption, Int32)
        case option(SocketOption)
        case localAddress
        case peerAddress
    }
}

typealias LoopContinuation = UnsafeContinuation<LoopAnswer, Never>

/// An operation to start.
struct LoopOperation: Sendable {
    /// Where an operation is looked for when it is to be cancelled.
    enum Target: Sendable {
        case inbound(Handle)
        case outbound(Handle)
        /// By its number alone: sleeps, and connects, whose handle does not exist yet.
        case free
    }

    enum Action: Sendable {
        case accept
        /// Into a pool buffer, answered with a copy of its bytes.
        case receive
        case receiveInto(LentMemory, untilFull: Bool)
        case receiveDatagram(LentMemory)
        case send(LentMemory)
        case gather([LentMemory])
        case sendDatagram(LentMemory, SocketAddress)
        case connect(SocketAddress)
        case sleep
        /// Take over a descriptor; it is closed if that fails.
        case adopt(Int32)
    }

    let id: UInt64
    let target: Target
    let action: Action
    let deadline: Deadline?
    let continuation: LoopContinuation

    /// Answers without having started.
    func refuse(_ error: LoopError) {
        if case .adopt(let number) = action { _ = Descriptor(owning: number) }
        continuation.resume(returning: .failed(error))
    }
}

/// What the loop answers.
enum LoopAnswer: Sendable {
    case done(Int)
    /// Nil at the end of the stream.
    case bytes([UInt8]?)
    case handle(Handle)
    case datagram(count: Int, source: SocketAddress?)
    case address(SocketAddress?)
    case failed(LoopError)
}

/// Memory that a suspended task lends to its loop.
///
/// `@unchecked Sendable`: the task holds the owner of the memory in its frame (as `inout` or `borrowing`, so nobody
/// else may touch it) and stays suspended until the loop answers, which it does after the final completion.
struct LentMemory: @unchecked Sendable {
    let start: UnsafeMutableRawPointer
    let count: Int

    var mutable: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: start, count: count) }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(mutable) }
}
