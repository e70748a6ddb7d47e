import Proactor
import Testing
import ZMTP
import ZeroMQ

@Suite(
    "Heartbeats", .serialized, .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct HeartbeatTests {
    @Test(
        "libzmq gets an answer to each of its PINGs and keeps the connection, while messages pass",
        arguments: Ours.backends, [SocketType.pull, .push, .router])
    func answered(backend: BackendKind, ours: SocketType) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let socket = try Ours.socket(ours, context)
        let monitor = socket.monitor()
        let theirs: SocketType = ours == .pull ? .push : ours == .push ? .pull : .dealer
        let dialogue = Dialogue(Meeting(ours: ours, theirs: theirs))
        // The relay sees what we say: the peer itself tells nothing of PONGs.
        let relay =
            try peer.ask(
                .init(do: "relay", on: "relay", endpoint: socket.bind("tcp://127.0.0.1:*"))
            ).endpoint ?? ""
        try peer.socket(
            "peer", dialogue.meeting.theirs.name,
            ["HEARTBEAT_IVL": 10, "HEARTBEAT_TIMEOUT": 5000, "HEARTBEAT_TTL": 5000, "ROUTING_ID": "theirs"])
        try peer.connect("peer", relay)
        try await monitor.handshake()

        for round in 1...5 {
            try peer.ask(.init(do: "relay-count", on: "relay", count: 5 * round, text: "\u{4}PONG"))
            let shape = Shape(bodies: [Body(seed: UInt64(round), size: 100_000)])
            for direction in dialogue.directions.reversed() {
                switch direction {
                case .toPeer:
                    try socket.put(Shape(prefix: dialogue.weSend, bodies: shape.bodies).ours)
                    #expect(try shape.difference(peer.receive("peer")) == nil)
                case .fromPeer:
                    try peer.send("peer", shape.theirs)
                    let wanted = Shape(prefix: dialogue.weReceive, bodies: shape.bodies)
                    #expect(try wanted.difference(socket.take()) == nil)
                }
            }
        }
        while let event = monitor.poll() { Issue.record("the connection changed: \(event)") }
    }

    @Test(
        "A PING is answered with its context, also inside a multipart message",
        arguments: Ours.backends)
    func octets(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pull = try Ours.socket(.pull, context)
        try peer.connectRaw("push", pull.bind("tcp://127.0.0.1:*"))
        try peer.shakeHandsRaw("push", as: "PUSH", ourType: "PULL")

        func ping(_ text: String) -> [UInt8] {
            [4, UInt8(7 + text.utf8.count), 4] + Array("PING".utf8) + [0, 100] + Array(text.utf8)
        }
        func pong(_ text: String) -> [UInt8] {
            [4, UInt8(5 + text.utf8.count), 4] + Array("PONG".utf8) + Array(text.utf8)
        }

        for text in ["", "a", "0123456789abcdef"] {
            try peer.sendRaw("push", .bytes(ping(text)))
            #expect(try peer.receiveRaw("push", pong(text).count) == pong(text))
        }
        try peer.sendRaw("push", .bytes(Wire.frame([1], more: true) + ping("in")))
        #expect(try peer.receiveRaw("push", pong("in").count) == pong("in"))
        try peer.sendRaw("push", .bytes(Wire.frame([2])))
        #expect(try pull.take() == [[1], [2]])
    }
    private static let beating: [String: PythonPeer.Option] = ["HEARTBEAT_IVL": 100]

    @Test(
        "At its mark our PULL answers PINGs behind a few messages; libzmq's takes such a peer's connection for dead",
        arguments: Ours.backends)
    func atTheMark(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pull = try Ours.socket(.pull, context) { $0.receiveHighWaterMark = 5 }
        let monitor = pull.monitor()
        let relay =
            try peer.ask(
                .init(do: "relay", on: "relay", endpoint: pull.bind("tcp://127.0.0.1:*"))
            ).endpoint ?? ""
        try peer.socket("push", "PUSH", Self.beating)
        try peer.connect("push", relay)
        try await monitor.handshake()
        try peer.send("push", [.generated(seed: 0, size: 100)], count: 20)
        // More PINGs than the time-out has intervals, and nobody takes anything.
        try peer.ask(.init(do: "relay-count", on: "relay", count: 8, text: "\u{4}PONG"))
        #expect(pull.statistics.messagesToTake == 5)
        for index in 0..<20 {
            let wanted = Shape(bodies: [Body(seed: UInt64(index), size: 100)])
            #expect(try wanted.difference(pull.take()) == nil, "message \(index)")
        }
        while let event = monitor.poll() { Issue.record("the connection changed: \(event)") }
    }

    @Test(
        "Where TCP holds PINGs back behind messages, libzmq gives our PULL up as it does its own",
        arguments: Ours.backends)
    func heldByTCP(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pull = try Ours.socket(.pull, context) { $0.receiveHighWaterMark = 1 }
        try peer.socket("pull", "PULL", ["RCVHWM": 1])
        let theirs = try peer.bind("pull", "tcp://127.0.0.1:*")
        for (name, endpoint) in [("to ours", try pull.bind("tcp://127.0.0.1:*")), ("to theirs", theirs)] {
            try peer.socket(name, "PUSH", Self.beating)
            try peer.ask(.init(do: "monitor", on: name))
            try peer.connect(name, endpoint)
            // More than a session reads ahead, less than the kernel's buffers hold: the PINGs leave, unheard.
            try peer.send(name, [.generated(seed: 0, size: 20_000)], count: 10)
            #expect(try peer.ask(.init(do: "event", on: name, name: "DISCONNECTED")).event == "DISCONNECTED")
        }
    }

    @Test(
        "libzmq answers our PINGs: the connection stays and its round trip is known",
        arguments: Ours.backends, [SocketType.pull, .push, .rep])
    func ours(backend: BackendKind, ours: SocketType) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let socket = try Ours.socket(ours, context) {
            $0.heartbeatInterval = .milliseconds(5)
            $0.heartbeatTimeout = .seconds(10)
            $0.heartbeatTimeToLive = .seconds(10)
            $0.heartbeatContext = "twelve bytes"
        }
        let monitor = socket.monitor()
        try peer.socket("peer", ours == .pull ? "PUSH" : ours == .push ? "PULL" : "REQ")
        try peer.connect("peer", socket.bind("tcp://127.0.0.1:*"))
        try await monitor.handshake()
        while socket.statistics.peers[0].roundTrip == nil { try await Task.sleep(for: .milliseconds(1)) }
        while let event = monitor.poll() { Issue.record("the connection changed: \(event)") }
    }

    @Test(
        "A stock peer that freezes is given up: by our PINGs, and by the time-to-live that it sent",
        arguments: Ours.backends, [true, false])
    func frozenPeer(backend: BackendKind, byOurPings: Bool) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pull = try Ours.socket(.pull, context) {
            guard byOurPings else { return }
            $0.heartbeatInterval = .milliseconds(20)
            $0.heartbeatTimeout = .milliseconds(400)
        }
        let monitor = pull.monitor()
        try peer.socket(
            "push", "PUSH",
            byOurPings ? [:] : ["HEARTBEAT_IVL": 20, "HEARTBEAT_TTL": 400, "HEARTBEAT_TIMEOUT": 10_000])
        // The relay lives in the peer's process, and freezes with it.
        let relay =
            try peer.ask(.init(do: "relay", on: "relay", endpoint: pull.bind("tcp://127.0.0.1:*"))).endpoint ?? ""
        try peer.connect("push", relay)
        try await monitor.handshake()
        try peer.send("push", [.text("before")])
        #expect(try pull.take() == "before")
        // A PING has come, and with it the time-to-live, where there is one.
        try peer.ask(.init(do: "relay-count", on: "relay", count: 1, text: byOurPings ? "\u{4}PING" : "\u{4}PONG"))
        peer.freeze()
        try await monitor.first { $0 == .heartbeatTimedOut }
        // Once it goes on it finds its connection gone, and makes another.
        peer.thaw()
        try await monitor.handshake()
        try peer.send("push", [.text("after")])
        #expect(try pull.take() == "after")
    }

    @Test(
        "A stock peer gives us up when we freeze: by its PINGs, and by the time-to-live that we sent",
        arguments: Ours.backends, [true, false])
    func weFreeze(backend: BackendKind, byItsPings: Bool) throws {
        // A caller-driven context whose caller does not call: from outside a frozen process.
        let context = try Ours.callerDriven(on: backend)
        defer { context.close(timeout: .zero) }
        let peer = try PythonPeer()
        let push = try Ours.socket(.push, context) {
            guard !byItsPings else { return }
            $0.heartbeatInterval = .milliseconds(20)
            $0.heartbeatTimeout = .seconds(10)
            $0.heartbeatTimeToLive = .milliseconds(400)
        }
        try peer.socket("pull", "PULL", byItsPings ? ["HEARTBEAT_IVL": 20, "HEARTBEAT_TIMEOUT": 400] : [:])
        try peer.monitor("pull")
        try push.connect(peer.bind("pull", "tcp://127.0.0.1:*"))
        try push.put("before")
        while push.statistics.peers.isEmpty || push.statistics.messagesToSend > 0 {
            try context.run(until: .after(.milliseconds(1)))
        }
        // Half a second in which both sides live on heartbeats alone.
        try context.run(until: .after(.milliseconds(500)))
        #expect(try peer.receive("pull").count == 1)
        let answer = try peer.await("DISCONNECTED", on: "pull")
        #expect(answer.skipped?.contains("HANDSHAKE_SUCCEEDED") == true)
    }
}
