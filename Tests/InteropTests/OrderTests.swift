import Proactor
import Testing
import ZMTP
import ZeroMQ

@Suite(
    "Many and large messages with libzmq", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct OrderTests {
    @Test("Ten thousand messages of two frames arrive in order, both ways", arguments: Ours.backends)
    func tenThousand(backend: BackendKind) throws {
        let count = 10_000
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let socket = try Ours.socket(.pair, context)
        try peer.socket("pair", "PAIR")
        try peer.connect("pair", socket.bind("tcp://127.0.0.1:*"))

        try peer.begin(.init(do: "expect", on: "pair", count: count, seed: 1, size: 24, parts: 2))
        for index in 0..<UInt64(count) {
            try socket.put(Shape(bodies: Body.several([24, 24], seed: 1 + 2 * index)).ours)
        }
        let answer = try peer.answer(within: .seconds(60))
        #expect(answer.received == count && answer.wrong == nil)

        let frames: [PythonPeer.Frame] = [.generated(seed: 7, size: 24), .generated(seed: 8, size: 24)]
        try peer.begin(.init(do: "send", on: "pair", frames: frames, count: count))
        for index in 0..<UInt64(count) {
            let wanted = Shape(bodies: Body.several([24, 24], seed: 7 + 2 * index))
            if let difference = try wanted.difference(socket.take()) {
                Issue.record("message \(index): \(difference)")
                break
            }
        }
        #expect(try peer.answer(within: .seconds(60)).sent == count)
    }

    @Test("A message of 100 MB arrives whole, both ways", arguments: Ours.backends)
    func hundredMegabytes(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let socket = try Ours.socket(.pair, context)
        try peer.socket("pair", "PAIR")
        try peer.connect("pair", socket.bind("tcp://127.0.0.1:*"))

        let forth = Shape(bodies: [Body(seed: 11, size: 100_000_000)])
        try socket.put(forth.ours)
        #expect(try forth.difference(peer.receive("pair", timeout: 30_000)) == nil)

        let back = Shape(bodies: [Body(seed: 12, size: 100_000_000), Body(seed: 13, size: 0)])
        try peer.begin(.init(do: "send", on: "pair", frames: back.theirs))
        #expect(try back.difference(socket.take()) == nil)
        _ = try peer.answer()
    }

    @Test(
        "A ROUTER of ours answers each of fifty libzmq DEALERs in the order it asked",
        arguments: Ours.backends)
    func routerWithManyDealers(backend: BackendKind) throws {
        let (dealers, rounds) = (50, 20)
        let context = try Ours.context(on: backend, loops: 2)
        defer { context.close() }
        let peer = try PythonPeer()
        let router = try Ours.socket(.router, context) { $0.isRouterMandatory = true }
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        for index in 0..<dealers {
            // Every other one lets the ROUTER choose the name.
            let options: [String: PythonPeer.Option] =
                index % 2 == 0 ? ["ROUTING_ID": .text("dealer \(index)")] : [:]
            try peer.socket("dealer \(index)", "DEALER", options)
            try peer.connect("dealer \(index)", endpoint)
            try peer.send(
                "dealer \(index)", [.generated(seed: UInt64(index) << 32, size: 32)], count: rounds)
        }
        var names: [[UInt8]: Int] = [:]
        for _ in 0..<(dealers * rounds) {
            let message = try router.take()
            names[message[0].bytes, default: 0] += 1
            try router.put(message)
        }
        #expect(names.count == dealers && names.values.allSatisfy { $0 == rounds })
        #expect(names.keys.count { $0.first == 0 && $0.count == 5 } == dealers / 2)
        for index in 0..<dealers {
            let answer = try peer.ask(
                .init(do: "expect", on: "dealer \(index)", count: rounds, seed: UInt64(index) << 32, size: 32))
            #expect(answer.wrong == nil, "dealer \(index)")
        }
    }

    @Test("Fifty DEALERs of ours get their own answers from a libzmq ROUTER", arguments: Ours.backends)
    func dealersWithTheirRouter(backend: BackendKind) throws {
        let (count, rounds) = (50, 20)
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        try peer.socket("router", "ROUTER")
        let endpoint = try peer.bind("router", "tcp://127.0.0.1:*")
        try peer.begin(.init(do: "echo", on: "router", count: count * rounds))
        let dealers = try (0..<count).map { _ in try Ours.socket(.dealer, context) }
        for dealer in dealers { try dealer.connect(endpoint) }
        for round in 0..<rounds {
            for (index, dealer) in dealers.enumerated() { try dealer.put(Message("\(index) asks \(round)")) }
        }
        for round in 0..<rounds {
            for (index, dealer) in dealers.enumerated() {
                #expect(try dealer.take().string == "\(index) asks \(round)")
            }
        }
        #expect(try peer.answer(within: .seconds(60)).echoed == count * rounds)
    }
}
