import CLiburing
import Glibc
import Synchronization

/// The state behind `IOUringBackend`: one per loop, on the heap, never moving.
///
/// Each operation lives in its socket's record until its last completion: the token that the kernel hands back
/// finds the record by slot and must equal the record's, else it is stale. What is ready without the kernel
/// (empty transfers, local cancels, closes) waits in `ready` for the next `wait`.
struct RingEngine: ~Copyable {
    var ring: Ring
    var pool: ReceivePool
    var sockets = SlotTable<RingSocket>()
    var timers = TimerHeap()
    /// Completions made without the kernel: delivered by the next `wait`, never earlier (law 2).
    var ready = GrowingRing<Completion>(capacity: 64)
    /// Receives that found no pool buffer, oldest first. Entries whose operation has ended are skipped.
    var starved = GrowingRing<UInt64>(capacity: 64)
    /// Entries of `starved` that still rest.
    var starvedCount = 0
    /// Operations that wait for better times; few at any time.
    var backoffs: [Backoff] = []
    /// Quiet sends in their first attempt, oldest first.
    var silent = GrowingRing<UInt64>(capacity: 64)
    /// How many of `silent` the kernel had taken when its completions ended at `silentEnd`.
    var silentTaken = 0
    var silentEnd: UInt32 = 0

    let waker: Waker
    /// Where the read of the waker's eventfd lands.
    let wakeMemory: UnsafeMutablePointer<UInt64>
    var isWakerArmed = false
    /// Whether the present `wait` was ended by a wake.
    var isWoken = false

    let configuration: EngineConfiguration
    /// Features in use.
    let features: EngineFeatures
    /// POLL_FIRST and SOCK_NONEMPTY came with buffer rings (5.19), and are masked with them.
    let canPollFirst: Bool
    var tally = EngineCounters()
    /// Submissions in the kernel that point to memory of ours or of the caller.
    var inKernel = 0

    /// An operation that rests until its timer.
    struct Backoff {
        let timer: Token
        let operation: UInt64
    }

    /// Largest transfer of one submission (MAX_RW_COUNT of the kernel).
    static var largestTransfer: Int { 0x7FFF_F000 }
    /// A loop whose waker could not be armed looks again after this: it must not sleep through a wake.
    static var blindPause: UInt64 { 50_000_000 }

    /// Pause before another try where nothing tells that there is room (a full queue of a Unix-domain socket).
    static var retryPause: Duration { .milliseconds(2) }

    /// Pause of a poll that the kernel ends at once because the peer's direction is over: it may last, so longer.
    static var halfClosedPause: Duration { .milliseconds(10) }

    /// Engines whose memory was given up because the kernel did not hand it back in time.
    static let abandoned = Atomic<Int>(0)

    init(_ configuration: EngineConfiguration) throws(ProactorError) {
        precondition((256...1 << 20).contains(configuration.receiveBufferSize), "receiveBufferSize: 256 to 1 MiB")
        precondition((1...1 << 20).contains(configuration.wakeBound), "wakeBound: 1 to 2^20")
        for (value, range) in [
            (configuration.receiveBufferCount, 8...32768), (configuration.submissionDepth, 8...4096),
        ] {
            precondition(range.contains(value) && value & (value - 1) == 0, "a power of two in \(range)")
        }
        let allowed = configuration.features
        var ring: Ring
        do {
            ring = try Ring.make(depth: configuration.submissionDepth, allowed: allowed, ForkPage())
        } catch let refusal as Ring.Refusal {
            throw refusal.explained
        } catch let error as ProactorError {
            throw error
        } catch {
            fatalError("unreachable: both errors are caught above")
        }
        var features = ring.setUp.features
        do { features.formUnion(try ring.examine(allowed)) } catch { throw error.explained }
        let waker = try Waker(bound: configuration.wakeBound)
        // A non-blocking eventfd would answer EAGAIN at once instead of waiting in the ring.
        let flags = fcntl(waker.number, F_GETFL)
        guard flags >= 0, fcntl(waker.number, F_SETFL, flags & ~O_NONBLOCK) == 0 else { throw .last("fcntl") }
        let pool = try ReceivePool(
            size: configuration.receiveBufferSize, count: configuration.receiveBufferCount,
            useRing: features.contains(.bufferRing), ring.handle)
        if !pool.isRing { features.subtract([.bufferRing, .multishotReceive]) }
        self.ring = ring
        self.pool = pool
        self.waker = waker
        self.configuration = configuration
        self.features = features
        canPollFirst = features.contains(.bufferRing)
        wakeMemory = .allocate(capacity: 1)
        wakeMemory.initialize(to: 0)
    }

    deinit { wakeMemory.deallocate() }

    var counters: EngineCounters {
        var counters = tally
        counters.kernelEntries = ring.entries
        counters.submissionOverflows = ring.submissionOverflows
        counters.completionOverflows = ring.completionOverflows
        counters.buffersLent = pool.lentTotal
        counters.buffersOut = UInt64(pool.lentCount)
        return counters
    }

    // MARK: Handles

    mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle {
        // The kernel waits for a blocking socket; for a non-blocking one it would answer EAGAIN.
        let flags = fcntl(descriptor.number, F_GETFL)
        guard flags >= 0 else { throw .last("fcntl") }
        tally.systemCalls += 1
        if flags & O_NONBLOCK != 0 {
            guard fcntl(descriptor.number, F_SETFL, flags & ~O_NONBLOCK) == 0 else { throw .last("fcntl") }
            tally.systemCalls += 1
        }
        let handle = try insert()
        sockets[handle.slot].pointee.reset(descriptor: descriptor.release(), state: [])
        return handle
    }

    mutating func watch(foreign descriptor: Int32) throws(ProactorError) -> Handle {
        let handle = try insert()
        sockets[handle.slot].pointee.reset(descriptor: descriptor, state: .foreign)
        return handle
    }

    mutating func release(_ handle: Handle) -> Descriptor {
        let socket = sockets.record(handle)
        precondition(
            socket.pointee.isQuiescent && !socket.pointee.state.contains(.closing), "operations are in flight")
        precondition(!socket.pointee.state.contains(.foreign), "a watched descriptor is somebody else's")
        let descriptor = Descriptor(owning: socket.pointee.descriptor)
        forget(handle.slot)
        return descriptor
    }

    private mutating func insert() throws(ProactorError) -> Handle {
        guard let handle = sockets.insert() else {
            throw .system(SystemError(code: EMFILE), during: "adopting one more than 2^24 descriptors")
        }
        return handle
    }

    /// Ends a record: its handles are stale from here on.
    mutating func forget(_ slot: UInt32) {
        let socket = sockets[slot]
        socket.pointee.messages?.deallocate()  // trivial type
        socket.pointee.messages = nil
        socket.pointee.descriptor = -1
        sockets.remove(slot)
    }

    // MARK: Starting and ending operations

    /// A token for one more operation of the handle.
    mutating func begin(_ socket: UnsafeMutablePointer<RingSocket>, _ slot: UInt32, _ purpose: Purpose) -> Token {
        precondition(!socket.pointee.state.contains(.closing), "the handle is being closed")
        socket.pointee.generation &+= 1
        tally.submissions += 1
        return Token(slot: slot, generation: socket.pointee.generation, purpose: purpose)
    }

    /// Completes an operation that the kernel never sees again, at the next `wait`.
    mutating func completeLocally(_ operation: UnsafeMutablePointer<RingOperation>, _ result: Int32) {
        let token = Token(rawValue: operation.pointee.token)
        operation.pointee.token = 0
        if !operation.pointee.traits.contains(.quiet) { ready.append(Completion(token: token, result: result)) }
        closeIfQuiescent(token.slot)
    }

    /// Delivers an operation's final completion.
    mutating func finish(
        _ operation: UnsafeMutablePointer<RingOperation>, _ result: Int32, flags: Completion.Flags = [],
        buffer: UInt16 = 0, into batch: inout CompletionBatch
    ) {
        let token = Token(rawValue: operation.pointee.token)
        operation.pointee.token = 0
        batch.append(Completion(token: token, result: result, flags: flags, buffer: buffer))
        closeIfQuiescent(token.slot)
    }
}
