import ChildProcesses
import Foundation
import Proactor
import Testing
import ZMTP
import ZeroMQ

@Suite(
    "Publish and subscribe with libzmq", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct PublishSubscribeTests {
    /// Frames behind the topic: borders of framings and chunks.
    private static let shapes: [[Int]] = [
        [], [0], [1], [255], [256], [8192], [70_000], [1 << 20], [3, 0, 300], [40_000, 0],
    ]
    /// 246 and 256 octets are where libzmq's command header once erred.
    private static let topics: [[UInt8]] = [1, 2, 245, 246, 247, 255, 256, 300].map { count in
        [UInt8(ascii: "t")] + (1..<count).map { UInt8(truncatingIfNeeded: $0) }
    }

    /// libzmq 4.3.4 leaves the LONG flag out of a SUBSCRIBE with a prefix of 246 to 255 octets.
    private static let theirTopics = topics.filter { !(246...255 ~= $0.count) }

    private static func folder() throws -> (URL, remove: () -> Void) {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("interop-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return (folder, { try? FileManager.default.removeItem(at: folder) })
    }

    @Test(
        "Ours publishes to their SUB and XSUB, whoever binds, and they get what matches", arguments: Ours.backends)
    func publish(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let (folder, remove) = try Self.folder()
        defer { remove() }
        for ours in [SocketType.pub, .xpub] {
            for theirs in ["SUB", "XSUB"] {
                for weBind in [true, false] {
                    for endpoint in ["tcp://127.0.0.1:*", "ipc://\(folder.path)/\(ours)-\(theirs)-\(weBind)"] {
                        try await part("our \(ours) to their \(theirs), we bind: \(weBind), \(endpoint)") {
                            try self.publish(ours, theirs, weBind, endpoint, context, peer)
                        }
                    }
                }
            }
        }
        #expect(try peer.finish() == .exited(0))
    }

    private func publish(
        _ ours: SocketType, _ theirs: String, _ weBind: Bool, _ endpoint: String, _ context: Context,
        _ peer: PythonPeer
    ) throws {
        let socket = try Ours.socket(ours, context)
        defer { socket.close() }
        try peer.socket("peer", theirs)
        try peer.monitor("peer")
        if weBind {
            try peer.connect("peer", socket.bind(endpoint))
        } else {
            try socket.connect(peer.bind("peer", endpoint))
        }
        // A bound SUB of libzmq tells a new peer its subscriptions when its owner next looks for news.
        try peer.await("HANDSHAKE_SUCCEEDED", on: "peer")
        try peer.ask(.init(do: "poll", on: "peer", timeout: 0))
        for topic in Self.theirTopics + [Array("x".utf8)] {
            if theirs == "SUB" {
                try peer.subscribe("peer", topic)
            } else {
                try peer.send("peer", [.bytes([1] + topic)])
            }
        }
        try socket.awaitSubscribers(1, to: "x")
        try socket.put("not for them")
        for sizes in Self.shapes {
            for topic in [Array("x and more".utf8), Self.theirTopics[3]] {
                let shape = Shape(prefix: [topic], bodies: Body.several(sizes, seed: 7))
                try socket.put(shape.ours)
                let difference = shape.difference(try peer.receive("peer"))
                #expect(difference == nil)
            }
        }
        try peer.close("peer")
    }

    @Test("Ours subscribes to their PUB and XPUB, whoever binds, and gets what matches", arguments: Ours.backends)
    func subscribe(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let (folder, remove) = try Self.folder()
        defer { remove() }
        for ours in [SocketType.sub, .xsub] {
            for theirs in ["PUB", "XPUB"] {
                for weBind in [true, false] {
                    for endpoint in ["tcp://127.0.0.1:*", "ipc://\(folder.path)/\(ours)-\(theirs)-\(weBind)"] {
                        try await part("our \(ours) to their \(theirs), we bind: \(weBind), \(endpoint)") {
                            try self.subscribe(ours, theirs, weBind, endpoint, context, peer)
                        }
                    }
                }
            }
        }
        #expect(try peer.finish() == .exited(0))
    }

    private func subscribe(
        _ ours: SocketType, _ theirs: String, _ weBind: Bool, _ endpoint: String, _ context: Context,
        _ peer: PythonPeer
    ) throws {
        let socket = try Ours.socket(ours, context)
        defer { socket.close() }
        for topic in Self.topics + [Array("x".utf8)] { socket.ask(for: Frame(topic)) }
        try peer.socket("peer", theirs)
        if weBind {
            try peer.connect("peer", socket.bind(endpoint))
        } else {
            try socket.connect(peer.bind("peer", endpoint))
        }
        try socket.awaitPublishers()
        if theirs == "XPUB" {
            // They tell what they were told.
            var told: Set<[UInt8]> = []
            for _ in 0...Self.topics.count { told.insert(try peer.receive("peer")[0].bytes ?? []) }
            #expect(told == Set((Self.topics + [Array("x".utf8)]).map { [1] + $0 }))
        } else {
            // Their socket takes note of subscriptions a little after its I/O thread has answered.
            repeat {
                try peer.send("peer", [.text("x probe")])
            } while try (socket as! any ReceivingSocket).tryReceive() == nil
        }
        try peer.send("peer", [.text("not for us")])
        for sizes in Self.shapes {
            for topic in [Array("x and more".utf8), Self.topics[3], Self.topics[6]] {
                let shape = Shape(prefix: [topic], bodies: Body.several(sizes, seed: 7))
                try peer.send("peer", shape.theirs)
                var message = try socket.take()
                while message == "x probe" { message = try socket.take() }
                let difference = shape.difference(message)
                #expect(difference == nil)
            }
        }
        try peer.close("peer")
    }

    @Test("Subscriptions of any length, and their cancellations, show at our XPUB", arguments: Ours.backends)
    func reports(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let socket = try Ours.socket(.xpub, context)
        try peer.socket("peer", "SUB")
        try peer.connect("peer", socket.bind("tcp://127.0.0.1:*"))
        for topic in Self.theirTopics {
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

    @Test("A message of their XSUB's user reaches our XPUB, and one of ours theirs", arguments: Ours.backends)
    func upstream(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let xpub = try Ours.socket(.xpub, context)
        try peer.socket("xsub", "XSUB")
        try peer.connect("xsub", xpub.bind("tcp://127.0.0.1:*"))
        for sizes in [[5], [300], [70_000], [3, 0, 40_000]] {
            let shape = Shape(prefix: [Array("user".utf8)], bodies: Body.several(sizes, seed: 9))
            try peer.send("xsub", shape.theirs)
            #expect(shape.difference(try xpub.take()) == nil)
        }
        let xsub = try Ours.socket(.xsub, context)
        try peer.socket("xpub", "XPUB")
        try xsub.connect(peer.bind("xpub", "tcp://127.0.0.1:*"))
        for sizes in [[5], [300], [70_000], [3, 0, 40_000]] {
            let shape = Shape(prefix: [Array("user".utf8)], bodies: Body.several(sizes, seed: 9))
            try xsub.put(shape.ours)
            #expect(shape.difference(try peer.receive("xpub")) == nil)
        }
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
