import Glibc
import Proactor

/// A planted fault, as a type: laws make their engines themselves.
protocol Fault: Sendable {
    static var forgetsCancel: Bool { get }
    static var sendsPartially: Bool { get }
    static var receivesPartially: Bool { get }
    static var returnsEarly: Bool { get }
    static var leaksOnClose: Bool { get }
    static var keepsBuffers: Bool { get }
}

extension Fault {
    static var forgetsCancel: Bool { false }
    static var sendsPartially: Bool { false }
    static var receivesPartially: Bool { false }
    static var returnsEarly: Bool { false }
    static var leaksOnClose: Bool { false }
    static var keepsBuffers: Bool { false }
}

enum ForgetsCancel: Fault { static var forgetsCancel: Bool { true } }
enum SendsPartially: Fault { static var sendsPartially: Bool { true } }
enum ReceivesPartially: Fault { static var receivesPartially: Bool { true } }
enum ReturnsEarly: Fault { static var returnsEarly: Bool { true } }
enum LeaksOnClose: Fault { static var leaksOnClose: Bool { true } }
enum KeepsBuffers: Fault { static var keepsBuffers: Bool { true } }

/// The epoll engine with one fault: the laws must see it.
struct FaultyBackend<Kind: Fault>: Backend, ~Copyable {
    private var inner: EpollBackend
    static var kind: BackendKind { .epoll }

    init(_ configuration: EngineConfiguration) throws(ProactorError) { inner = try EpollBackend(configuration) }

    var counters: EngineCounters { inner.counters }
    var report: EngineReport { inner.report }
    var waker: Waker { inner.waker }

    mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle {
        try inner.adopt(descriptor)
    }
    mutating func watch(foreign descriptor: Int32) throws(ProactorError) -> Handle {
        try inner.watch(foreign: descriptor)
    }
    mutating func release(_ handle: Handle) -> Descriptor { inner.release(handle) }
    func descriptor(of handle: Handle) -> Int32 { inner.descriptor(of: handle) }
    mutating func accept(_ listener: Handle, multishot: Bool) -> Token {
        inner.accept(listener, multishot: multishot)
    }
    mutating func connect(_ socket: Handle, to address: SocketAddress) -> Token {
        inner.connect(socket, to: address)
    }
    mutating func receive(_ socket: Handle, into memory: UnsafeMutableRawBufferPointer, untilFull: Bool) -> Token {
        inner.receive(socket, into: memory, untilFull: untilFull && !Kind.receivesPartially)
    }
    mutating func receive(_ socket: Handle, multishot: Bool) -> Token {
        inner.receive(socket, multishot: multishot)
    }
    mutating func send(_ socket: Handle, _ bytes: UnsafeRawBufferPointer, toCompletion: Bool) -> Token {
        inner.send(socket, bytes, toCompletion: toCompletion && !Kind.sendsPartially)
    }
    mutating func send(
        _ socket: Handle, gather list: UnsafeMutableBufferPointer<SendPart>, toCompletion: Bool
    ) -> Token { inner.send(socket, gather: list, toCompletion: toCompletion) }
    mutating func sendQuietly(_ socket: Handle, _ bytes: UnsafeRawBufferPointer) {
        inner.sendQuietly(socket, bytes)
    }
    func isSending(_ socket: Handle) -> Bool { inner.isSending(socket) }
    mutating func receiveDatagram(_ socket: Handle, into memory: UnsafeMutableRawBufferPointer) -> Token {
        inner.receiveDatagram(socket, into: memory)
    }
    func source(of socket: Handle) -> SocketAddress? { inner.source(of: socket) }
    mutating func sendDatagram(
        _ socket: Handle, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress
    ) -> Token {
        inner.sendDatagram(socket, bytes, to: address)
    }
    mutating func poll(_ handle: Handle, for events: PollEvents) -> Token { inner.poll(handle, for: events) }
    mutating func shutdown(_ socket: Handle, _ direction: ShutdownDirection) -> SystemError? {
        inner.shutdown(socket, direction)
    }
    mutating func close(_ handle: Handle) -> Token {
        guard Kind.leaksOnClose else { return inner.close(handle) }
        inner.cancelAll(handle)
        return inner.startTimer(at: .distantPast, every: nil)
    }
    mutating func cancel(_ token: Token) { if !Kind.forgetsCancel { inner.cancel(token) } }
    mutating func cancelAll(_ handle: Handle) { inner.cancelAll(handle) }
    mutating func startTimer(at deadline: Deadline, every interval: Duration?) -> Token {
        inner.startTimer(at: deadline, every: interval)
    }
    func buffer(_ index: UInt16) -> UnsafeMutableRawBufferPointer { inner.buffer(index) }
    mutating func recycle(_ index: UInt16) { if !Kind.keepsBuffers { inner.recycle(index) } }
    mutating func wait(until deadline: Deadline?, into batch: inout CompletionBatch) throws(ProactorError) {
        try inner.wait(until: Kind.returnsEarly ? .distantPast : deadline, into: &batch)
    }
    mutating func wakeThread(sleepingOn word: UnsafeRawPointer) { inner.wakeThread(sleepingOn: word) }
}
