import ChildProcesses
import Proactor
import Testing
import ZMTP
import ZeroMQ

@Suite(
    "Publish and subscribe with libzmq", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct PublishSubscribeTests {
    @Test("Subscriptions of any length, and their cancellations, show at our XPUB", arguments: Ours.backends)
    func reports(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let socket = try Ours.socket(.xpub, context)
        try peer.socket("peer", "SUB")
        try peer.connect("peer", socket.bind("tcp://127.0.0.1:*"))
        for topic in Dialogue.theirTopics {
            try peer.subscribe("peer", topic)
            #expect(try socket.take() == [Frame([1] + topic)])
            try peer.unsubscribe("peer", topic)
            #expect(try socket.take() == [Frame([0] + topic)])
        }
        try peer.subscribe("peer", Array("last".utf8))
        #expect(try socket.take() == [Frame([1] + Array("last".utf8))])
        // Whoever goes has cancelled.
        try peer.close("peer")
        #expect(try socket.take() == [Frame([0] + Array("last".utf8))])
    }

    @Test("Subscriptions are told again to the publisher's successor", arguments: Ours.backends)
    func replay(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        for ours in [SocketType.sub, .xsub] {
            let socket = try Ours.socket(ours, context)
            let monitor = socket.monitor()
            socket.ask(for: "kept")
            socket.ask(for: "dropped")
            let peer = try PythonPeer()
            try peer.socket("pub", "XPUB")
            let endpoint = try peer.bind("pub", "tcp://127.0.0.1:*")
            try socket.connect(endpoint)
            _ = try peer.receive("pub")
            _ = try peer.receive("pub")
            #expect(try peer.crash() == .exited(1))
            try await monitor.disconnect()
            socket.giveUp("dropped")
            socket.ask(for: "new")
            let next = try PythonPeer()
            try next.socket("pub", "XPUB")
            _ = try next.bind("pub", endpoint)
            let told = Set(try (0..<2).map { _ in try next.receive("pub")[0].bytes ?? [] })
            #expect(told == [[1] + Array("kept".utf8), [1] + Array("new".utf8)])
            try next.send("pub", [.text("new message")])
            #expect(try socket.take() == ["new message"])
            socket.close()
        }
    }

    @Test("A forwarder of our XSUB and XPUB stands between their XPUB and their SUB", arguments: Ours.backends)
    func forwarder(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let xsub = try Ours.socket(.xsub, context)
        let xpub = try Ours.socket(.xpub, context)
        // An XPUB tells what it has been told; a PUB would have to be asked again and again.
        try peer.socket("pub", "XPUB")
        try peer.connect("pub", xsub.bind("tcp://127.0.0.1:*"))
        try peer.socket("sub", "SUB")
        try peer.connect("sub", xpub.bind("tcp://127.0.0.1:*"))

        try peer.subscribe("sub", Array("a".utf8))
        try xsub.put(try xpub.take())
        _ = try peer.receive("pub")
        try peer.send("pub", [.text("b1")])
        try peer.send("pub", [.text("a1"), .generated(seed: 3, size: 100_000)])
        try xpub.put(try xsub.take())
        let shape = Shape(prefix: [Array("a1".utf8)], bodies: [Body(seed: 3, size: 100_000)])
        #expect(shape.difference(try peer.receive("sub")) == nil)

        try peer.unsubscribe("sub", Array("a".utf8))
        try xsub.put(try xpub.take())
        _ = try peer.receive("pub")
        try peer.send("pub", [.text("a2")])
        try peer.subscribe("sub", Array("end".utf8))
        try xsub.put(try xpub.take())
        _ = try peer.receive("pub")
        try peer.send("pub", [.text("end")])
        #expect(try xsub.take() == ["end"])
    }

    @Test("Ten thousand messages reach two of their subscribers whole and in order", arguments: Ours.backends)
    func order(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peers = try [PythonPeer(), PythonPeer()]
        let socket = try Ours.socket(.pub, context) { $0.slowSubscribers = .wait }
        let endpoint = try socket.bind("tcp://127.0.0.1:*")
        for peer in peers {
            try peer.socket("sub", "SUB", ["SUBSCRIBE": "", "RCVHWM": 0])
            try peer.connect("sub", endpoint)
        }
        try socket.awaitSubscribers(2, to: "")
        let count = 10_000
        for peer in peers { try peer.begin(.init(do: "expect", on: "sub", count: count, seed: 1, size: 40)) }
        for seed in 1...UInt64(count) { try socket.put(Message(Body(seed: seed, size: 40).bytes)) }
        for peer in peers { #expect(try peer.answer(within: .seconds(60)).wrong == nil) }
    }
}

extension Socket {
    /// Waits for subscribers of a publisher.
    func awaitSubscribers(_ count: Int, to topic: String) throws {
        switch self {
        case let pub as PublishSocket: try pub.subscribers(atLeast: count, to: topic, until: .after(Ours.patience))
        case let xpub as XPublishSocket:
            try xpub.subscribers(atLeast: count, to: topic, until: .after(Ours.patience))
        default: preconditionFailure("\(type) does not publish")
        }
    }

    func awaitPublishers() throws {
        switch self {
        case let sub as SubscribeSocket: try sub.ready(until: .after(Ours.patience))
        case let xsub as XSubscribeSocket: try xsub.ready(until: .after(Ours.patience))
        default: preconditionFailure("\(type) does not subscribe")
        }
    }

    func ask(for topic: Frame) {
        switch self {
        case let sub as SubscribeSocket: sub.subscribe(topic)
        case let xsub as XSubscribeSocket: xsub.subscribe(topic)
        default: preconditionFailure("\(type) does not subscribe")
        }
    }

    func giveUp(_ topic: Frame) {
        switch self {
        case let sub as SubscribeSocket: sub.cancel(topic)
        case let xsub as XSubscribeSocket: xsub.cancel(topic)
        default: preconditionFailure("\(type) does not subscribe")
        }
    }
}

extension PythonPeer {
    func subscribe(_ name: String, _ topic: [UInt8]) throws {
        try ask(Request(do: "set", on: name, options: ["SUBSCRIBE": .bytes(topic)]))
    }

    func unsubscribe(_ name: String, _ topic: [UInt8]) throws {
        try ask(Request(do: "set", on: name, options: ["UNSUBSCRIBE": .bytes(topic)]))
    }
}
