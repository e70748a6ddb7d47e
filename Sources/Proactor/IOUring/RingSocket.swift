import CLiburing
import Glibc

/// One operation in one direction of a socket, from its start to its final completion.
struct RingOperation {
    enum Kind: UInt8 {
        case none
        case accept
        case receive
        case receivePool
        case receiveDatagram
        case connect
        case send
        case gather
        case sendDatagram
        case poll
    }

    /// Who holds the operation now.
    enum Phase: UInt8 {
        /// The kernel, under its own opcode.
        case kernel
        /// The kernel, as a poll that only asks when to try.
        case polling
        /// Nobody: no pool buffer is free.
        case starved
        /// A timer: out of descriptors or memory.
        case backingOff
    }

    struct Traits: OptionSet {
        let rawValue: UInt8
        /// Goes on after each completion.
        static let multishot = Traits(rawValue: 1)
        /// Goes on until everything asked for is transferred.
        static let continues = Traits(rawValue: 2)
        /// Has no completion of its own.
        static let quiet = Traits(rawValue: 4)
        /// First attempt of a quiet send: the kernel stays silent if all went at once.
        static let silent = Traits(rawValue: 8)
        /// The owner wants it to end.
        static let cancelled = Traits(rawValue: 16)
    }

    /// `user_data` in the kernel; 0 while the direction is idle.
    var token: UInt64 = 0
    /// The caller's memory, or the gather list.
    var memory: UnsafeMutableRawPointer?
    /// Bytes asked for; for a poll the events.
    var count = 0
    /// Bytes transferred so far.
    var done: Int32 = 0
    var kind = Kind.none
    var phase = Phase.kernel
    var traits: Traits = []
    /// Accepts that failed in a row: the pause grows with it.
    var failures: UInt8 = 0

    var isIdle: Bool { token == 0 }
    var isCancelled: Bool { traits.contains(.cancelled) }
}

/// What the engine knows of a socket. Its address never moves: the kernel may hold pointers into `messages`.
struct RingSocket: SlotRecord {
    struct State: OptionSet {
        let rawValue: UInt8
        /// Somebody else's descriptor: polled, never closed.
        static let foreign = State(rawValue: 1)
        static let closing = State(rawValue: 2)
        /// Has accepted: shutdown(2) would make the accept fail instead of cancelling it.
        static let listener = State(rawValue: 4)
        /// A pipe: reads and writes instead of receives and sends.
        static let pipe = State(rawValue: 8)
        /// The last receive left nothing behind: the next one need not try before it polls.
        static let drained = State(rawValue: 16)
    }

    var owner: UInt32 = 0
    var descriptor: Int32 = -1
    /// Counts operations on the slot, over all its owners.
    var generation: UInt32 = 0
    /// Errors that came after progress, for the next operation of the direction; 0 if none.
    var inputError: Int32 = 0
    var outputError: Int32 = 0
    var state: State = []
    var input = RingOperation()
    var output = RingOperation()
    var poll = RingOperation()
    /// The close to complete after the last operation.
    var closeToken: UInt64 = 0
    /// Message headers and addresses; only sockets that gather, connect or send datagrams have them.
    var messages: UnsafeMutablePointer<RingMessages>?

    var isQuiescent: Bool { input.isIdle && output.isIdle && poll.isIdle }

    /// Makes the record its new owner's.
    mutating func reset(descriptor: Int32, state: State) {
        self.descriptor = descriptor
        self.state = state
        (inputError, outputError, closeToken) = (0, 0, 0)
    }
}

/// What recvmsg and sendmsg operations of a socket point to until they complete.
struct RingMessages {
    var inputHeader = msghdr()
    var inputVector = iovec()
    var inputAddress = sockaddr_storage()
    var hasSource = false
    var outputHeader = msghdr()
    var outputVector = iovec()
    var outputAddress = sockaddr_storage()
    var outputLength: socklen_t = 0

    /// Whether the destination is a Unix-domain socket, whose queue is bounded and never polls as full.
    var isForUnix: Bool { Int32(outputAddress.ss_family) == AF_UNIX }

    mutating func setDestination(_ address: SocketAddress) {
        outputLength = address.withSockaddr { pointer, length in
            withUnsafeMutableBytes(of: &outputAddress) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: Int(length)))
            }
            return length
        }
    }
}

extension UnsafeMutablePointer<RingSocket> {
    // Constant offsets after optimisation: the key paths are literals.
    var input: UnsafeMutablePointer<RingOperation> { pointer(to: \.input).unsafelyUnwrapped }
    var output: UnsafeMutablePointer<RingOperation> { pointer(to: \.output).unsafelyUnwrapped }
    var poll: UnsafeMutablePointer<RingOperation> { pointer(to: \.poll).unsafelyUnwrapped }

    /// The headers, made at first need and kept until the socket goes.
    var messages: UnsafeMutablePointer<RingMessages> {
        if let messages = pointee.messages { return messages }
        let messages = UnsafeMutablePointer<RingMessages>.allocate(capacity: 1)
        messages.initialize(to: RingMessages())
        pointee.messages = messages
        return messages
    }
}
