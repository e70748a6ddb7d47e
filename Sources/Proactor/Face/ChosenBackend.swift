import CLiburing
import Glibc

/// The backend that was chosen, behind one predictable branch per call: all that the public faces know of engines.
///
/// The engines live on the heap, so that choosing one moves nothing afterwards.
struct ChosenBackend: ~Copyable {
    private enum Place {
        case epoll(UnsafeMutablePointer<EpollBackend>)
        case ioUring(UnsafeMutablePointer<IOUringBackend>)
    }

    private let place: Place
    /// The engine's features, and why it was chosen.
    let report: EngineReport

    /// Chooses, and makes the engine for the calling thread.
    init(_ choice: BackendChoice?, _ configuration: EngineConfiguration) throws(ProactorError) {
        let selection = try BackendSelection.select(choice, configuration: configuration)
        let made: Place
        var report: EngineReport
        switch selection.kind {
        case .epoll:
            let engine = try Self.onHeap(EpollBackend(configuration))
            report = engine.pointee.report
            made = .epoll(engine)
        case .ioUring:
            let engine = try Self.onHeap(IOUringBackend(configuration))
            report = engine.pointee.report
            made = .ioUring(engine)
        }
        report.reason = selection.reason
        report.errno = selection.errno
        place = made
        self.report = report
    }

    private static func onHeap<Engine: ~Copyable>(_ engine: consuming Engine) -> UnsafeMutablePointer<Engine> {
        let place = UnsafeMutablePointer<Engine>.allocate(capacity: 1)
        place.initialize(to: engine)
        return place
    }

    deinit {
        switch place {
        case .epoll(let engine):
            engine.deinitialize(count: 1)
            engine.deallocate()
        case .ioUring(let engine):
            engine.deinitialize(count: 1)
            engine.deallocate()
        }
    }

    var kind: BackendKind {
        switch place {
        case .epoll: .epoll
        case .ioUring: .ioUring
        }
    }
    var counters: EngineCounters {
        switch place {
        case .epoll(let engine): engine.pointee.counters
        case .ioUring(let engine): engine.pointee.counters
        }
    }
    var waker: Waker {
        switch place {
        case .epoll(let engine): engine.pointee.waker
        case .ioUring(let engine): engine.pointee.waker
        }
    }

    // MARK: Handles

    mutating func adopt(_ descriptor: consuming Descriptor) throws(ProactorError) -> Handle {
        switch place {
        case .epoll(let engine): try engine.pointee.adopt(descriptor)
        case .ioUring(let engine): try engine.pointee.adopt(descriptor)
        }
    }
    mutating func watch(foreign descriptor: Int32) throws(ProactorError) -> Handle {
        switch place {
        case .epoll(let engine): try engine.pointee.watch(foreign: descriptor)
        case .ioUring(let engine): try engine.pointee.watch(foreign: descriptor)
        }
    }
    mutating func release(_ handle: Handle) -> Descriptor {
        switch place {
        case .epoll(let engine): engine.pointee.release(handle)
        case .ioUring(let engine): engine.pointee.release(handle)
        }
    }
    func descriptor(of handle: Handle) -> Int32 {
        switch place {
        case .epoll(let engine): engine.pointee.descriptor(of: handle)
        case .ioUring(let engine): engine.pointee.descriptor(of: handle)
        }
    }

    // MARK: Operations

    mutating func accept(_ listener: Handle, multishot: Bool) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.accept(listener, multishot: multishot)
        case .ioUring(let engine): engine.pointee.accept(listener, multishot: multishot)
        }
    }
    mutating func connect(_ socket: Handle, to address: SocketAddress) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.connect(socket, to: address)
        case .ioUring(let engine): engine.pointee.connect(socket, to: address)
        }
    }
    mutating func receive(
        _ socket: Handle, into memory: UnsafeMutableRawBufferPointer, untilFull: Bool
    ) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.receive(socket, into: memory, untilFull: untilFull)
        case .ioUring(let engine): engine.pointee.receive(socket, into: memory, untilFull: untilFull)
        }
    }
    mutating func receive(_ socket: Handle, multishot: Bool) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.receive(socket, multishot: multishot)
        case .ioUring(let engine): engine.pointee.receive(socket, multishot: multishot)
        }
    }
    mutating func send(_ socket: Handle, _ bytes: UnsafeRawBufferPointer) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.send(socket, bytes, toCompletion: true)
        case .ioUring(let engine): engine.pointee.send(socket, bytes, toCompletion: true)
        }
    }
    mutating func send(_ socket: Handle, gather list: UnsafeMutableBufferPointer<SendPart>) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.send(socket, gather: list, toCompletion: true)
        case .ioUring(let engine): engine.pointee.send(socket, gather: list, toCompletion: true)
        }
    }
    func isSending(_ socket: Handle) -> Bool {
        switch place {
        case .epoll(let engine): engine.pointee.isSending(socket)
        case .ioUring(let engine): engine.pointee.isSending(socket)
        }
    }
    mutating func receiveDatagram(_ socket: Handle, into memory: UnsafeMutableRawBufferPointer) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.receiveDatagram(socket, into: memory)
        case .ioUring(let engine): engine.pointee.receiveDatagram(socket, into: memory)
        }
    }
    func source(of socket: Handle) -> SocketAddress? {
        switch place {
        case .epoll(let engine): engine.pointee.source(of: socket)
        case .ioUring(let engine): engine.pointee.source(of: socket)
        }
    }
    mutating func sendDatagram(
        _ socket: Handle, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress
    ) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.sendDatagram(socket, bytes, to: address)
        case .ioUring(let engine): engine.pointee.sendDatagram(socket, bytes, to: address)
        }
    }
    mutating func poll(_ handle: Handle, for events: PollEvents) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.poll(handle, for: events)
        case .ioUring(let engine): engine.pointee.poll(handle, for: events)
        }
    }
    mutating func shutdown(_ socket: Handle, _ direction: ShutdownDirection) -> SystemError? {
        switch place {
        case .epoll(let engine): engine.pointee.shutdown(socket, direction)
        case .ioUring(let engine): engine.pointee.shutdown(socket, direction)
        }
    }
    mutating func close(_ handle: Handle) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.close(handle)
        case .ioUring(let engine): engine.pointee.close(handle)
        }
    }
    mutating func cancel(_ token: Token) {
        switch place {
        case .epoll(let engine): engine.pointee.cancel(token)
        case .ioUring(let engine): engine.pointee.cancel(token)
        }
    }
    mutating func cancelAll(_ handle: Handle) {
        switch place {
        case .epoll(let engine): engine.pointee.cancelAll(handle)
        case .ioUring(let engine): engine.pointee.cancelAll(handle)
        }
    }
    mutating func startTimer(at deadline: Deadline, every interval: Duration?) -> Token {
        switch place {
        case .epoll(let engine): engine.pointee.startTimer(at: deadline, every: interval)
        case .ioUring(let engine): engine.pointee.startTimer(at: deadline, every: interval)
        }
    }

    // MARK: Pool and turn

    func buffer(_ index: UInt16) -> UnsafeMutableRawBufferPointer {
        switch place {
        case .epoll(let engine): engine.pointee.buffer(index)
        case .ioUring(let engine): engine.pointee.buffer(index)
        }
    }
    mutating func recycle(_ index: UInt16) {
        switch place {
        case .epoll(let engine): engine.pointee.recycle(index)
        case .ioUring(let engine): engine.pointee.recycle(index)
        }
    }
    mutating func wait(until deadline: Deadline?, into batch: inout CompletionBatch) throws(ProactorError) {
        switch place {
        case .epoll(let engine): try engine.pointee.wait(until: deadline, into: &batch)
        case .ioUring(let engine): try engine.pointee.wait(until: deadline, into: &batch)
        }
    }

    // MARK: The end

    /// Closes the handles and collects until all are closed, those included that were closing before.
    /// - Returns: whether everything came back within a second; if not, the kernel may hold memory still.
    func drain(_ open: [Handle], alreadyClosing: Int) -> Bool {
        switch place {
        case .epoll(let engine): Self.drain(&engine.pointee, open, alreadyClosing)
        case .ioUring(let engine): Self.drain(&engine.pointee, open, alreadyClosing)
        }
    }

    private static func drain<Engine: Backend & ~Copyable>(
        _ engine: inout Engine, _ open: [Handle], _ alreadyClosing: Int
    ) -> Bool {
        for handle in open { _ = engine.close(handle) }
        var left = open.count + alreadyClosing
        var batch = CompletionBatch()
        let deadline = Deadline.after(.seconds(1))
        while left > 0, Deadline.now < deadline {
            do { try engine.wait(until: deadline, into: &batch) } catch { return true }  // forked: all is a copy
            for position in 0..<batch.count {
                let completion = batch[position]
                if completion.token.purpose == .close { left -= 1 }
                if completion.token.purpose == .accept, completion.error == nil { _ = completion.takeDescriptor() }
            }
        }
        return left == 0
    }
}
