import Glibc
import Proactor
import Synchronization
import Testing

@testable import ZeroMQ

/// All tests of sockets: one at a time, so that blocking calls do not starve each other on a small machine.
@Suite("ZeroMQ", .serialized) enum Sockets {}

/// Which engine a test runs on.
enum Engine: String, Sendable, CaseIterable {
    case ioUring, epoll

    var choice: BackendChoice { self == .ioUring ? .ioUring : .epoll }

    /// Those that run here: the arguments of every test. A case that is cancelled while it runs looks like one that
    /// passed (Swift 6.3), so an engine that cannot run is none of them; `EngineTests` shows it as skipped.
    static let available = allCases.filter { $0.refusal == nil }

    /// Why it cannot run here; nil where it can. Want of resources is no reason: then its tests fail.
    var refusal: String? {
        do throws(ProactorError) {
            _ = try BackendSelection.select(choice)
        } catch {
            if case .unavailable = error { return "\(error)" }
        }
        return nil
    }
}

/// Who turns the loop.
enum Drive: String, Sendable, CaseIterable {
    case background, callerDriven
}

/// How the bytes go.
enum Wire: String, Sendable, CaseIterable {
    case tcp, ipcPath, ipcAbstract, inproc
}

/// One way to run a test.
struct Setup: Sendable, CustomTestStringConvertible {
    var engine = Engine.epoll
    var drive = Drive.background
    var wire = Wire.tcp

    var testDescription: String { "\(engine) \(drive) \(wire)" }

    /// Engines, modes and transports, each with each; only engines that run here.
    static let all: [Setup] = Engine.available.flatMap { engine in
        Drive.allCases.flatMap { drive in Wire.allCases.map { Setup(engine: engine, drive: drive, wire: $0) } }
    }
    /// Those with connections of the kernel.
    static let connected = all.filter { $0.wire != .inproc }
    /// Engines and modes, over tcp.
    static let tcp = all.filter { $0.wire == .tcp }
    /// Engines and transports, with threads of the context.
    static let background = all.filter { $0.drive == .background }
    /// Engines alone.
    static let engines = background.filter { $0.wire == .tcp }

    func context(loops: Int = 1, memory: MemoryBudget = .process) throws -> Context {
        try Context(
            backend: engine.choice, mode: drive == .background ? .background(loops: loops) : .callerDriven,
            memoryBudget: memory)
    }

    /// Something to bind: a wildcard where there is one.
    var wildcard: String {
        switch wire {
        case .tcp: "tcp://127.0.0.1:*"
        case .ipcPath: "ipc://\(Self.temporaryPath())"
        case .ipcAbstract: "ipc://*"
        case .inproc: "inproc://test"
        }
    }

    /// Something that can be connected before it is bound.
    func reserve() throws -> String {
        switch wire {
        case .tcp: "tcp://127.0.0.1:\(try RawPeer.freePort())"
        case .ipcAbstract: "ipc://@\(Self.temporaryPath().dropFirst(5))"
        case .ipcPath, .inproc: wildcard
        }
    }

    static func temporaryPath() -> String { "/tmp/zeromq-test-\(getpid())-\(UInt32.random(in: 0...(.max)))" }
}

extension SocketOptions {
    /// The defaults with an end to every wait: a test fails instead of hanging.
    static var test: SocketOptions {
        var options = SocketOptions()
        options.sendTimeout = .seconds(10)
        options.receiveTimeout = .seconds(10)
        options.linger = .seconds(2)
        options.reconnectInterval = .milliseconds(10)
        return options
    }

    /// The test defaults, changed.
    static func test(_ change: (inout SocketOptions) -> Void) -> SocketOptions {
        var options = test
        change(&options)
        return options
    }
}

extension Context {
    /// Looks again after each turn of a loop until a condition holds; turns the loop if it is ours to turn.
    /// - Returns: false if it did not hold for ten seconds.
    func eventually(within span: Duration = .seconds(10), _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Deadline.after(span)
        core.isWatched.store(true, ordering: .relaxed)
        while true {
            let seen = core.turns.value
            if try condition() { return true }
            if Deadline.now >= deadline { return false }
            letOthersWork(since: seen)
        }
    }

    /// One turn of a loop, made or waited for. What other threads do besides is nobody's turn: after 2 ms it is time
    /// to look in any case.
    func letOthersWork(since seen: UInt32? = nil) {
        do {
            try run(until: .after(.microseconds(500)))
        } catch {
            core.turns.sleep(while: seen ?? core.turns.value, until: .after(.milliseconds(2)))
        }
    }

    /// The next event that fits; others are passed over.
    @discardableResult
    func await(
        _ monitor: SocketMonitor, within span: Duration = .seconds(10), _ name: String = "event",
        sourceLocation: SourceLocation = #_sourceLocation, where fits: (SocketEvent.Kind) -> Bool
    ) throws -> SocketEvent {
        var found: SocketEvent?
        var seen: [SocketEvent] = []
        _ = eventually(within: span) {
            while let event = monitor.poll() {
                seen.append(event)
                if fits(event.kind) {
                    found = event
                    return true
                }
            }
            return false
        }
        return try #require(found, "no \(name) came; instead: \(seen)", sourceLocation: sourceLocation)
    }

    /// Waits until a handshake is done.
    func awaitPeer(_ monitor: SocketMonitor, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try self.await(monitor, "handshake", sourceLocation: sourceLocation) { $0 == .handshakeSucceeded }
    }
}

extension Socket {
    /// Waits until that many peers are there.
    func awaitPeers(
        _ count: Int, in context: Context, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let came = context.eventually { statistics.peers.count == count }
        try #require(
            came, "\(statistics.peers.count) peers instead of \(count)", sourceLocation: sourceLocation)
    }
}

/// Expects a ZeroMQ error of a code.
func expectError(
    _ code: ZeroMQError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
        Issue.record("no error, but \(code) was expected", sourceLocation: sourceLocation)
    } catch let error as ZeroMQError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error) instead of \(code)", sourceLocation: sourceLocation)
    }
}
