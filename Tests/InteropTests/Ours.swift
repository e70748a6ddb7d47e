import Proactor
import Testing
import ZMTP
import ZeroMQ

/// Our side of a dialogue: contexts on a backend, sockets by type, and waits that end.
///
/// Every wait has a deadline far beyond what it needs: it ends a test that has failed already, and times nothing.
enum Ours {
    static let patience = Duration.seconds(20)

    /// The backends that run here: the arguments of every test. A case that is cancelled while it runs looks like one
    /// that passed (Swift 6.3), so a backend that cannot run is none of them; `BackendTests` shows it as skipped.
    static let backends = BackendKind.allCases.filter { whyNot($0) == nil }

    /// Why a backend cannot run here; nil if it can. Want of resources is no reason: then its tests fail.
    static func whyNot(_ backend: BackendKind) -> String? {
        do throws(ProactorError) {
            _ = try BackendSelection.select(choice(backend))
            return nil
        } catch {
            if case .unavailable = error { return "\(backend) cannot run here: \(error)" }
            return nil
        }
    }

    static func context(on backend: BackendKind, loops: Int = 1) throws -> Context {
        let context = try Context(backend: choice(backend), mode: .background(loops: loops))
        #expect(context.report.backend == backend)
        return context
    }

    static func callerDriven(on backend: BackendKind) throws -> Context {
        try Context(backend: choice(backend), mode: .callerDriven)
    }

    private static func choice(_ backend: BackendKind) -> BackendChoice {
        switch backend {
        case .ioUring: .ioUring
        case .epoll: .epoll
        }
    }

    /// A socket of a type that is known only when the test runs.
    static func socket(
        _ type: SocketType, _ context: Context, _ change: (inout SocketOptions) -> Void = { _ in }
    ) throws -> Socket {
        var options = SocketOptions()
        options.linger = .zero
        options.reconnectInterval = .milliseconds(5)
        change(&options)
        return switch type {
        case .push: try PushSocket(context, options)
        case .pull: try PullSocket(context, options)
        case .pair: try PairSocket(context, options)
        case .req: try RequestSocket(context, options)
        case .rep: try ReplySocket(context, options)
        case .dealer: try DealerSocket(context, options)
        case .router: try RouterSocket(context, options)
        case .pub: try PublishSocket(context, options)
        case .sub: try SubscribeSocket(context, options)
        case .xpub: try XPublishSocket(context, options)
        case .xsub: try XSubscribeSocket(context, options)
        default: preconditionFailure("there is no \(type) yet")
        }
    }
}

extension Socket {
    func put(_ message: Message) throws {
        try (self as! any SendingSocket).send(message, until: .after(Ours.patience))
    }

    func take() throws -> Message {
        try (self as! any ReceivingSocket).receive(until: .after(Ours.patience))
    }
}

extension SocketMonitor {
    /// The first event that fits; the test's time limit ends the wait.
    @discardableResult
    func first(_ fits: (SocketEvent.Kind) -> Bool) async throws -> SocketEvent {
        var others: [String] = []
        while let event = await next() {
            if fits(event.kind) { return event }
            others.append("\(event)")
        }
        throw Unseen(others: others)
    }

    struct Unseen: Error {
        let others: [String]
    }

    func handshake() async throws {
        try await first { $0 == .handshakeSucceeded }
    }

    func disconnect() async throws {
        try await first { if case .disconnected = $0 { true } else { false } }
    }
}

extension PythonPeer {
    /// Looks again, a word with the peer between, until a condition holds.
    func wait(until condition: () -> Bool) throws {
        let deadline = Deadline.after(Ours.patience)
        while !condition() {
            try #require(Deadline.now < deadline)
            try socket("word", "PAIR")
            try close("word")
        }
    }
}

/// Runs a part of a test; what it throws is told together with the part's name, and ends the test.
func part(_ name: String, _ body: () throws -> Void) throws {
    do {
        try body()
    } catch {
        throw PartFailed(name: name, error: error)
    }
}

/// Which part of a test failed, and why.
struct PartFailed: Error, CustomStringConvertible {
    let name: String
    let error: any Error

    var description: String { "\(name): \(error)" }
}
