import ChildProcesses
import Proactor
import Testing
import ZMTP
import ZeroMQ

/// Behaviours that no RFC demands in so many words and that programs are built on, with libzmq on the other side. More
/// of them: marks while nobody is there in `MarkTests`, unsent messages and a reconnect in `ReconnectTests`,
/// subscriptions told again in `PublishSubscribeTests`.
@Suite(
    "What people rely on, with libzmq", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct ReliedOnTests {
    // MARK: Slow joiner

    @Test(
        "What we publish before their SUB is known is not for it, and counted; from then on it misses nothing",
        arguments: Ours.backends)
    func theirSlowJoiner(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pub = try Ours.socket(.pub, context)
        let endpoint = try pub.bind("tcp://127.0.0.1:*")
        for seed in 0..<UInt64(100) { try pub.put(Message(Body(seed: seed, size: 20).bytes)) }
        #expect(pub.statistics.losses == [.notSubscribed: 100])
        try peer.socket("sub", "SUB", ["SUBSCRIBE": ""])
        try peer.connect("sub", endpoint)
        try pub.awaitSubscribers(1, to: "")
        for seed in 100..<UInt64(200) { try pub.put(Message(Body(seed: seed, size: 20).bytes)) }
        let answer = try peer.ask(.init(do: "expect", on: "sub", count: 100, seed: 100, size: 20))
        #expect(answer.wrong == nil)
    }

    @Test(
        "What they publish before our SUB is known is not for it; from then on it misses nothing",
        arguments: Ours.backends)
    func ourSlowJoiner(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        try peer.socket("pub", "XPUB")
        let endpoint = try peer.bind("pub", "tcp://127.0.0.1:*")
        try peer.send("pub", [.text("early")], count: 100)
        let sub = try Ours.socket(.sub, context)
        sub.ask(for: "")
        try sub.connect(endpoint)
        // An XPUB tells when it knows: the nearest that libzmq has to `subscribers(atLeast:to:)`.
        #expect(try peer.receive("pub")[0].bytes == [1])
        try peer.send("pub", [.generated(seed: 1, size: 20)], count: 100)
        for seed in 1...UInt64(100) {
            #expect(try Shape(bodies: [Body(seed: seed, size: 20)]).difference(sub.take()) == nil)
        }
    }

    // MARK: Proxies

    @Test(
        "A proxy of ours passes their subscriptions up to their XPUB, once each, and messages down to whom they are for",
        arguments: Ours.backends)
    func forwarding(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        let peer = try PythonPeer()
        let (front, back) = (try XSubscribeSocket(context), try XPublishSocket(context))
        try peer.socket("pub", "XPUB")
        try front.connect(peer.bind("pub", "tcp://127.0.0.1:*"))
        let endpoint = try back.bind("tcp://127.0.0.1:*")
        let proxy = try Proxy(frontend: front, backend: back)
        let running = Task(executorPreference: context.executor) { try await proxy.run() }

        for (name, topic) in [("a", "a"), ("b", "b"), ("both", "a")] {
            try peer.socket(name, "SUB", ["SUBSCRIBE": .text(topic)])
            try peer.connect(name, endpoint)
            // The second of a topic has nothing new to tell.
            if name != "both" { #expect(try peer.receive("pub")[0].bytes == [1] + Array(topic.utf8)) }
        }
        try await back.subscribers(atLeast: 2, to: "a", until: .after(Ours.patience))
        try peer.subscribe("both", Array("b".utf8))
        try await back.subscribers(atLeast: 2, to: "b", until: .after(Ours.patience))
        for text in ["a1", "c1", "b1", "a2"] {
            try peer.send("pub", [.text(text), .generated(seed: 3, size: 100)])
        }
        for (name, texts) in [("a", ["a1", "a2"]), ("b", ["b1"]), ("both", ["a1", "b1", "a2"])] {
            for text in texts {
                let shape = Shape(prefix: [Array(text.utf8)], bodies: [Body(seed: 3, size: 100)])
                #expect(shape.difference(try peer.receive(name)) == nil, "\(name)")
            }
        }
        // The last holder of a topic cancels it, by a word or by going.
        try peer.unsubscribe("a", Array("a".utf8))
        try peer.unsubscribe("both", Array("a".utf8))
        #expect(try peer.receive("pub")[0].bytes == [0] + Array("a".utf8))
        try peer.close("both")
        try peer.close("b")
        #expect(try peer.receive("pub")[0].bytes == [0] + Array("b".utf8))
        proxy.terminate()
        #expect(try await running.value == .terminated)
        context.close()
    }

    // MARK: Linger

    @Test(
        "What we sent before our close reaches a libzmq peer that comes within linger; with zero nothing does",
        arguments: Ours.backends)
    func linger(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let endpoint = try peer.listenRaw("port")
        try peer.closeRaw("port")
        let hasty = try Ours.socket(.push, context)
        let monitor = hasty.monitor()
        try hasty.connect(endpoint)
        try hasty.put("never arrives")
        hasty.close()
        while await monitor.next() != nil {}

        let patient = try Ours.socket(.push, context) { $0.linger = Ours.patience }
        let end = patient.monitor()
        try patient.connect(endpoint)
        for seed in 0..<UInt64(500) { try patient.put(Message(Body(seed: seed, size: 2000).bytes)) }
        patient.close()
        try peer.socket("pull", "PULL")
        _ = try peer.bind("pull", endpoint)
        let answer = try peer.ask(.init(do: "expect", on: "pull", count: 500, seed: 0, size: 2000))
        #expect(answer.wrong == nil)
        // It ends because all has gone, long before linger is over.
        while await end.next() != nil {}
        #expect(try peer.ask(.init(do: "statistics", on: "pull")).received == 500)
    }

    // MARK: ROUTER

    @Test(
        "To a libzmq DEALER that is not there any more, our ROUTER drops with a count, or refuses where mandatory",
        arguments: Ours.backends, [false, true])
    func unroutable(backend: BackendKind, isMandatory: Bool) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let router = try RouterSocket(context, Self.options { $0.isRouterMandatory = isMandatory })
        let monitor = router.monitor()
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        for round in 0..<2 {
            try peer.socket("d", "DEALER", ["ROUTING_ID": "d"])
            try peer.connect("d", endpoint)
            try await monitor.handshake()
            try router.put(["d", Frame("\(round)")])
            #expect(try peer.receive("d")[0].bytes == Array("\(round)".utf8))
            try peer.close("d")
            try await monitor.disconnect()
            try peer.wait { router.statistics.peers.isEmpty }
            if isMandatory {
                let error = #expect(throws: ZeroMQError.self) { try router.put(["d", "x"]) }
                #expect(error?.code == .noRoute)
            } else {
                try router.put(["d", "x"])
            }
        }
        #expect(router.statistics.losses == (isMandatory ? [:] : [.noRoute: 2]))
    }

    // MARK: REQ and REP

    @Test(
        "Out of turn, our REQ and REP refuse what theirs refuse, and go on as theirs do", arguments: Ours.backends)
    func outOfTurn(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let (request, reply) = (try Ours.socket(.req, context), try Ours.socket(.rep, context))
        try peer.socket("rep", "REP")
        try peer.socket("req", "REQ")
        try request.connect(peer.bind("rep", "tcp://127.0.0.1:*"))
        try peer.connect("req", reply.bind("tcp://127.0.0.1:*"))

        func weRefuse(_ what: String, _ body: () throws -> Void) {
            let error = #expect(throws: ZeroMQError.self, "\(what)", performing: body)
            #expect(error?.code == .wrongState, "\(what)")
        }
        func theyRefuse(_ what: String, _ body: () throws -> Void) {
            let refusal = #expect(throws: PythonPeer.Refusal.self, "\(what)", performing: body)
            #expect(refusal?.name == "EFSM", "\(what)")
        }
        weRefuse("an answer nobody asked for") { _ = try request.take() }
        theyRefuse("an answer nobody asked for") { _ = try peer.receive("req") }
        weRefuse("a reply to nobody") { try reply.put("x") }
        theyRefuse("a reply to nobody") { try peer.send("rep", [.text("x")]) }
        try request.put("q")
        try peer.send("req", [.text("q")])
        weRefuse("a second question") { try request.put("q2") }
        theyRefuse("a second question") { try peer.send("req", [.text("q2")]) }
        #expect(try peer.receive("rep")[0].bytes == Array("q".utf8))
        #expect(try reply.take() == "q")
        weRefuse("a second request before the answer") { _ = try reply.take() }
        theyRefuse("a second request before the answer") { _ = try peer.receive("rep") }
        try peer.send("rep", [.text("a")])
        try reply.put("a")
        #expect(try request.take() == "a")
        #expect(try peer.receive("req")[0].bytes == Array("a".utf8))
    }

    // MARK: Turns

    @Test(
        "Our PULL takes from three of their PUSHes in turn; our PUSH deals to three of their PULLs in turn",
        arguments: Ours.backends)
    func turns(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        let peer = try PythonPeer()
        let pull = try Ours.socket(.pull, context)
        let endpoint = try pull.bind("tcp://127.0.0.1:*")
        for name in ["a", "b", "c"] {
            try peer.socket(name, "PUSH")
            try peer.connect(name, endpoint)
            try peer.send(name, [.text(name)], count: 50)
        }
        try peer.wait { pull.statistics.messagesToTake == 150 }
        for _ in 0..<50 {
            let round = Set(try (0..<3).map { _ in try pull.take().string })
            #expect(round == ["a", "b", "c"])
        }

        let push = try Ours.socket(.push, context)
        for name in ["x", "y", "z"] {
            try peer.socket(name, "PULL")
            try push.connect(peer.bind(name, "tcp://127.0.0.1:*"))
        }
        for number in 0..<30 { try push.put(Message("\(number)")) }
        for number in 0..<30 {
            let name = ["x", "y", "z"][number % 3]
            #expect(try peer.receive(name)[0].bytes == Array("\(number)".utf8))
        }
        context.close()
    }

    private static func options(_ change: (inout SocketOptions) -> Void) -> SocketOptions {
        var options = SocketOptions()
        options.linger = .zero
        change(&options)
        return options
    }
}
