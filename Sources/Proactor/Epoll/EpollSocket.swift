import CLiburing

/// An operation that waits for readiness, as plain values: what it is, where its memory lies, how far it came.
struct PendingOperation {
    enum Kind: UInt8 {
        case none, accept, connect, receive, lend, receiveDatagram, send, gather, sendDatagram
    }

    var kind = Kind.none
    /// Multishot, until full, or to completion: goes on after a success.
    var continues = false
    /// Completes only by `EpollSocket.State.sending` going away.
    var isQuiet = false
    var token = Token(rawValue: 0)
    /// The bytes, or the gather list: the caller's until the final completion.
    var memory: UnsafeMutableRawPointer?
    /// Bytes of the memory, or elements of the list.
    var count = 0
    /// Bytes transferred so far.
    var done = 0
    /// Where the retry timer runs: the kernel gives no edge for what this waits for.
    var pause: Token?
}

/// What the engine knows about one descriptor: its readiness by direction, and one operation for each.
struct EpollSocket: SlotRecord {
    struct State: OptionSet {
        var rawValue: UInt32

        /// Receiving is worth a try: believed at first, forgotten on EAGAIN, remembered by edges.
        static let readable = State(rawValue: 1 << 0)
        /// Sending is worth a try.
        static let writable = State(rawValue: 1 << 1)
        /// The last event told of an end or an error: a short receive no longer means that the edge is used up.
        static let hungUp = State(rawValue: 1 << 2)
        /// Somebody else owns the descriptor.
        static let foreign = State(rawValue: 1 << 3)
        /// The number is a copy made by the engine, because the foreign one was in the set already.
        static let copied = State(rawValue: 1 << 4)
        /// Not in the set (EPERM: a regular file); always ready.
        static let outside = State(rawValue: 1 << 5)
        /// read(2) and write(2) instead of recv(2) and send(2).
        static let notSocket = State(rawValue: 1 << 6)
        /// SO_TYPE was asked for.
        static let typeKnown = State(rawValue: 1 << 7)
        /// A byte stream: a short transfer means that the edge is used up.
        static let stream = State(rawValue: 1 << 8)
        /// Accepts; closing it must not shut it down for processes that share it.
        static let listening = State(rawValue: 1 << 9)
        /// Its close is on its way to the caller.
        static let closing = State(rawValue: 1 << 10)
        /// In the queue of those to run.
        static let queued = State(rawValue: 1 << 11)
        /// In the list of those that rest for want of a buffer.
        static let starved = State(rawValue: 1 << 12)
        /// A receive or accept is in flight: until its final completion has been delivered.
        static let receiving = State(rawValue: 1 << 13)
        /// A send or connect is in flight: until its final completion has been delivered.
        static let sending = State(rawValue: 1 << 14)
        /// A poll is in flight: until its completion has been delivered.
        static let polling = State(rawValue: 1 << 15)
    }

    /// Addresses of datagrams, kept only by handles that exchange them (and by connects that must try again).
    struct Addresses {
        var source = sockaddr_storage()
        var sourceLength: socklen_t = 0
        var target: SocketAddress?
    }

    var owner: UInt32 = 0
    /// Counts operations; the generation of their tokens. Survives the owner.
    var operations: UInt32 = 0
    var descriptor: Int32 = -1
    var state: State = []
    var inbound = PendingOperation()
    var outbound = PendingOperation()
    /// The poll that waits, if its events are not empty.
    var pollEvents: UInt32 = 0
    var pollToken = Token(rawValue: 0)
    /// An error that met an operation with progress, or a quiet send: the next one in the direction reports it.
    var inboundError: Int32 = 0
    var outboundError: Int32 = 0
    /// Milliseconds of the last pause of accepting; 0 after a success.
    var acceptPause: Int64 = 0
    /// Allocated at the first use, freed with the handle.
    var addresses: UnsafeMutablePointer<Addresses>?

    init() {}

    /// A new owner's record in the same slot.
    mutating func reset(descriptor: Int32) {
        let (owner, operations) = (self.owner, self.operations)
        self = EpollSocket()
        self.owner = owner
        self.operations = operations
        self.descriptor = descriptor
        state = [.readable, .writable]
    }
}
