import CSupport
import Glibc
import Proactor

/// An echo server on the engine's lowest face, the measure of what `Proactor` costs above the kernel: multishot accept,
/// multishot receive from the pool, sends straight from the lent buffer, which goes back on completion.
///
/// Generic over the backend, so that the compiler specialises it: no existential, no closure, no allocation per
/// request.
struct EchoServer<Engine: Backend & ~Copyable>: ~Copyable {
    /// Bytes to echo, in a buffer of the pool.
    private struct Parcel {
        let buffer: UInt16
        let count: Int
    }

    private struct Connection {
        let handle: Handle
        /// What is being sent; its buffer is lent until the send completes.
        var inFlight: Parcel?
        /// What came meanwhile: one send at a time keeps the order.
        var waiting: [Parcel] = []
        /// The peer has closed its side: leave when all is sent.
        var isEnding = false
    }

    private var engine: Engine
    private let listener: Handle
    private let input: Token
    /// By the slot of their handle.
    private var connections: [Connection?] = []
    private var requests: UInt64 = 0

    /// Serves a listening socket. Buffers and queues as in `echo-minimal`.
    init(_ socket: consuming Descriptor) throws(ProactorError) {
        var configuration = EngineConfiguration()
        configuration.receiveBufferSize = 2048
        configuration.receiveBufferCount = 4096
        configuration.submissionDepth = 4096
        // All that can throw before the first field is set: a noncopyable value is made whole or not at all.
        var engine = try Engine(configuration)
        let listener = try engine.adopt(socket)
        let standardInput = try engine.watch(foreign: STDIN_FILENO)
        engine.accept(listener, multishot: true)
        input = engine.poll(standardInput, for: .readable)
        self.listener = listener
        self.engine = engine
    }

    /// Serves until standard input ends.
    mutating func run() throws(ProactorError) {
        var batch = CompletionBatch(capacity: 4096)
        var isOpen = true
        while isOpen {
            try engine.wait(until: nil, into: &batch)
            for index in 0..<batch.count {
                let completion = batch[index]
                switch completion.token.purpose {
                case .accept: try accepted(completion)
                case .receive: received(completion)
                case .send: sent(completion)
                case .close: connections[Int(completion.token.slot)] = nil
                case .poll: isOpen = completion.token != input
                case .connect, .timer, .wake: break
                }
            }
        }
        checkBackend(engine.report)
        tell(role: "echo", report: engine.report, size: 0, messages: requests, seconds: 0)
    }

    private mutating func accepted(_ completion: Completion) throws(ProactorError) {
        if completion.result >= 0 {
            let handle = try engine.adopt(completion.takeDescriptor())
            let slot = Int(handle.slot)
            while connections.count <= slot { connections.append(nil) }
            connections[slot] = Connection(handle: handle)
            engine.receive(handle, multishot: true)
        }
        if !completion.hasMore { engine.accept(listener, multishot: true) }
    }

    private mutating func received(_ completion: Completion) {
        let slot = Int(completion.token.slot)
        guard let connection = connections[slot] else { return }
        if completion.result > 0 {
            requests += 1
            let parcel = Parcel(buffer: completion.buffer, count: Int(completion.result))
            if connection.inFlight == nil {
                send(parcel, slot, connection.handle)
            } else {
                connections[slot]?.waiting.append(parcel)
            }
            if !completion.hasMore { engine.receive(connection.handle, multishot: true) }
        } else if !completion.hasMore && !connection.isEnding {
            connections[slot]?.isEnding = true
            if connection.inFlight == nil { engine.close(connection.handle) }
        }
    }

    private mutating func send(_ parcel: Parcel, _ slot: Int, _ handle: Handle) {
        connections[slot]?.inFlight = parcel
        let bytes = UnsafeRawBufferPointer(rebasing: engine.buffer(parcel.buffer)[..<parcel.count])
        engine.send(handle, bytes, toCompletion: true)
    }

    private mutating func sent(_ completion: Completion) {
        let slot = Int(completion.token.slot)
        guard let connection = connections[slot], let parcel = connection.inFlight else { return }
        engine.recycle(parcel.buffer)
        connections[slot]?.inFlight = nil
        guard completion.result >= 0 else {
            // The peer is gone: nothing that waits can reach it.
            for parcel in connection.waiting { engine.recycle(parcel.buffer) }
            connections[slot]?.waiting = []
            connections[slot]?.isEnding = true
            engine.close(connection.handle)  // not done before: closing waits for the send in flight
            return
        }
        if let next = connections[slot]?.waiting.first {
            connections[slot]?.waiting.removeFirst()
            send(next, slot, connection.handle)
        } else if connection.isEnding {
            engine.close(connection.handle)
        }
    }
}
