import Proactor
import Testing
import ZMTP
import ZeroMQ

@Suite(
    "Routing ids and numbered requests with libzmq", .timeLimit(.minutes(1)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct RoutingTests {
    @Test(
        "Ids that libzmq peers announce are theirs; ids we make begin with zero; ours reach their ROUTER",
        arguments: Ours.backends)
    func identities(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let router = try Ours.socket(.router, context) { $0.isRouterMandatory = true }
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let longest = String(repeating: "x", count: 255)
        for (index, name) in ["a", longest, nil].enumerated() {
            try peer.socket("dealer \(index)", "DEALER", name.map { ["ROUTING_ID": .text($0)] } ?? [:])
            try peer.connect("dealer \(index)", endpoint)
            try peer.send("dealer \(index)", [.text("hello")])
            let message = try router.take()
            #expect(message[1].string == "hello")
            if let name {
                #expect(message[0].string == name)
            } else {
                #expect(message[0].count == 5 && message[0].bytes[0] == 0)
            }
            try router.put(message)
            #expect(try peer.receive("dealer \(index)").map(\.bytes) == [Array("hello".utf8)])
        }
        #expect(throws: ZeroMQError.self) { try router.put(["nobody", "hello"]) }

        try peer.socket("router", "ROUTER", ["ROUTER_MANDATORY": 1])
        let theirs = try peer.bind("router", "tcp://127.0.0.1:*")
        for name in ["b", longest] {
            let dealer = try Ours.socket(.dealer, context) { $0.routingID = Frame(name) }
            try dealer.connect(theirs)
            try dealer.put("hello")
            #expect(try peer.receive("router").map(\.bytes) == [Array(name.utf8), Array("hello".utf8)])
            try peer.send("router", [.text(name), .text("answer")])
            #expect(try dealer.take() == "answer")
            dealer.close()
        }
    }

    @Test(
        "An id that is taken is refused, or handed over where the ROUTER says so", arguments: Ours.backends,
        [false, true])
    func taken(backend: BackendKind, handsOver: Bool) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let router = try Ours.socket(.router, context) {
            $0.isRouterMandatory = true
            $0.isRouterHandover = handsOver
        }
        let monitor = router.monitor()
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        for name in ["first", "second"] {
            // Who has lost the id stays away; who is refused it may come again, and keeps the queue it sends into.
            let interval: PythonPeer.Option = handsOver ? -1 : 100
            try peer.socket(name, "DEALER", ["ROUTING_ID": "same", "RECONNECT_IVL": interval])
            try peer.connect(name, endpoint)
            try peer.send(name, [.text(name)])
            if name == "first" { #expect(try router.take() == ["same", "first"]) }
        }
        try await monitor.first { if case .peerRefused = $0 { true } else { false } }
        if handsOver { #expect(try router.take() == ["same", "second"]) }
        try router.put(["same", "answer"])
        #expect(try peer.receive(handsOver ? "second" : "first").map(\.bytes) == [Array("answer".utf8)])
    }

    @Test(
        "Their numbered, impatient REQ takes only the answer to its last request from our REP",
        arguments: Ours.backends)
    func theirRequest(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let reply = try Ours.socket(.rep, context)
        try peer.socket("req", "REQ", ["REQ_CORRELATE": 1, "REQ_RELAXED": 1])
        try peer.connect("req", reply.bind("tcp://127.0.0.1:*"))
        for round in 0..<3 {
            try peer.send("req", [.text("stale \(round)")])
            let stale = try reply.take()
            #expect(stale.string == "stale \(round)")
            // Asked again before the answer.
            try peer.send("req", [.text("fresh \(round)"), .bytes([])])
            try reply.put(stale)
            let fresh = try reply.take()
            #expect(fresh == [Frame("fresh \(round)"), []])
            try reply.put(fresh)
            #expect(try peer.receive("req").map(\.bytes) == [Array("fresh \(round)".utf8), []])
        }
    }

    @Test(
        "Our numbered, impatient REQ takes only the answer to its last request from their REP",
        arguments: Ours.backends)
    func ourRequest(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        try peer.socket("rep", "REP")
        let request = try Ours.socket(.req, context) {
            $0.isRequestCorrelated = true
            $0.isRequestRelaxed = true
        }
        try request.connect(peer.bind("rep", "tcp://127.0.0.1:*"))
        for round in 0..<3 {
            try request.put(Message("stale \(round)"))
            try request.put([Frame("fresh \(round)"), []])
            #expect(try peer.ask(.init(do: "echo", on: "rep", count: 2)).echoed == 2)
            #expect(try request.take() == [Frame("fresh \(round)"), []])
        }
        #expect(request.statistics.losses == [.unexpected: 3])
    }

    @Test(
        "A numbered request reaches their ROUTER as name, number, delimiter, body", arguments: Ours.backends)
    func envelope(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        try peer.socket("router", "ROUTER")
        let request = try Ours.socket(.req, context) {
            $0.isRequestCorrelated = true
            $0.routingID = "ours"
        }
        try request.connect(peer.bind("router", "tcp://127.0.0.1:*"))
        try request.put("question")
        let frames = try peer.receive("router").compactMap(\.bytes)
        try #require(frames.count == 4)
        #expect(frames[0] == Array("ours".utf8) && frames[1].count == 4)
        #expect(frames[2] == [] && frames[3] == Array("question".utf8))
        // Another number, then no number: neither answers this request.
        try peer.send("router", [.text("ours"), .bytes(frames[1].map { ~$0 }), .bytes([]), .text("wrong")])
        try peer.send("router", [.text("ours"), .bytes([]), .text("wrong")])
        try peer.send("router", [.text("ours"), .bytes(frames[1]), .bytes([]), .text("right")])
        #expect(try request.take() == "right")
    }
}
