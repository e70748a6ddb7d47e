import ChildProcesses
import Foundation
import Proactor
import Testing
import ZMTP
import ZeroMQ

@Suite(
    "A peer that dies and comes back", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct ReconnectTests {
    enum Transport: CaseIterable { case tcp, ipc }

    @Test(
        "What we send while the libzmq peer is dead reaches its successor, in order",
        arguments: Ours.backends,
        Transport.allCases)
    func sendMeanwhile(backend: BackendKind, transport: Transport) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("interop-\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let first = try PythonPeer()
        try first.socket("pull", "PULL")
        let endpoint = try first.bind("pull", transport == .tcp ? "tcp://127.0.0.1:*" : "ipc://\(path)")
        let push = try Ours.socket(.push, context)
        let monitor = push.monitor()
        try push.connect(endpoint)
        try push.put("before")
        #expect(try first.receive("pull").first?.bytes == Array("before".utf8))

        #expect(try first.crash() == .exited(1))
        try await monitor.disconnect()
        for seed in 0..<UInt64(100) { try push.put(Message(Body(seed: seed, size: 100).bytes)) }

        let second = try PythonPeer()
        try second.socket("pull", "PULL")
        _ = try second.bind("pull", endpoint)
        let answer = try second.ask(.init(do: "expect", on: "pull", count: 100, seed: 0, size: 100))
        #expect(answer.wrong == nil)
        #expect(push.statistics.losses.isEmpty)
    }

    @Test("Our bound sockets serve the next libzmq peer when one has died", arguments: Ours.backends)
    func bound(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        for (ours, theirs) in [(SocketType.pull, "PUSH"), (.pair, "PAIR"), (.rep, "REQ"), (.router, "DEALER")] {
            let socket = try Ours.socket(ours, context)
            let monitor = socket.monitor()
            let endpoint = try socket.bind("tcp://127.0.0.1:*")
            for round in 0..<2 {
                let peer = try PythonPeer()
                // The same name again: the dead one's has to be free.
                try peer.socket("peer", theirs, theirs == "DEALER" ? ["ROUTING_ID": "same"] : [:])
                try peer.connect("peer", endpoint)
                try peer.send("peer", [.text("hello \(round)")])
                let message = try socket.take()
                #expect(message[message.count - 1].string == "hello \(round)", "\(ours)")
                if ours != .pull {
                    try socket.put(message)
                    #expect(try peer.receive("peer").last?.bytes == message[message.count - 1].bytes, "\(ours)")
                }
                #expect(try peer.crash() == .exited(1))
                try await monitor.disconnect()
            }
            socket.close()
        }
    }

    @Test("A message that was half sent when the peer died arrives once, whole", arguments: Ours.backends)
    func halfSent(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let first = try PythonPeer()
        let endpoint = try first.listenRaw("listener")
        let push = try Ours.socket(.push, context)
        let monitor = push.monitor()
        try push.connect(endpoint)
        // 40 MB do not fit into the kernel's buffers, so this message is cut wherever the peer stops.
        let cut = Shape(bodies: Body.several([10, 40_000_000, 40_000], seed: 5))
        try push.put("before")
        try push.put(cut.ours)
        try push.put("after")

        try first.acceptRaw("pull", from: "listener")
        try first.shakeHandsRaw("pull", as: "PULL", ourType: "PUSH")
        let head = Wire.frame(Array("before".utf8)) + Wire.frame(cut.bodies[0].bytes, more: true)
        #expect(try first.receiveRaw("pull", head.count) == head)
        _ = try first.receiveRaw("pull", 1_000_000)
        #expect(try first.crash() == .exited(1))
        try await monitor.disconnect()

        let second = try PythonPeer()
        try second.socket("pull", "PULL")
        _ = try second.bind("pull", endpoint)
        #expect(try cut.difference(second.receive("pull")) == nil)
        #expect(try second.receive("pull").first?.bytes == Array("after".utf8))
        try push.put("last")
        #expect(try second.receive("pull").first?.bytes == Array("last".utf8))
        #expect(push.statistics.losses.isEmpty)
    }

    @Test(
        "Small messages that were cut anywhere go on at the first that was not taken whole",
        arguments: Ours.backends)
    func halfSentSmall(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let first = try PythonPeer()
        let endpoint = try first.listenRaw("listener", buffer: 65536)
        let push = try Ours.socket(.push, context) {
            $0.kernelSendBuffer = 65536
            $0.sendHighWaterMark = 0
        }
        let monitor = push.monitor()
        try push.connect(endpoint)
        // Above `whole` of `receive`, so that the peer tells the seed.
        let (count, size) = (5000, 1100)
        for seed in 0..<UInt64(count) { try push.put(Message(Body(seed: seed, size: size).bytes)) }
        try first.acceptRaw("pull", from: "listener")
        try first.shakeHandsRaw("pull", as: "PULL", ourType: "PUSH")
        _ = try first.receiveRaw("pull", 123_457)
        #expect(try first.crash() == .exited(1))
        try await monitor.disconnect()

        let second = try PythonPeer()
        try second.socket("pull", "PULL", ["RCVHWM": 0])
        _ = try second.bind("pull", endpoint)
        // What the kernel had accepted died with the peer; from there on nothing is missing, doubled or torn.
        let next = try #require(second.receive("pull").first?.seed)
        #expect(next > 100 && next < count)
        let rest = count - Int(next) - 1
        let answer = try second.ask(
            .init(do: "expect", on: "pull", count: rest, seed: next + 1, size: size), within: .seconds(60))
        #expect(answer.wrong == nil)
        try push.put("last")
        #expect(try second.receive("pull").first?.bytes == Array("last".utf8))
    }

    @Test("A message that was half received when the peer died is not delivered", arguments: Ours.backends)
    func halfReceived(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let pull = try Ours.socket(.pull, context)
        let monitor = pull.monitor()
        let endpoint = try pull.bind("tcp://127.0.0.1:*")
        let peer = try PythonPeer()
        let whole = Shape(bodies: Body.several([10, 300_000, 5], seed: 1))
        let bytes = Wire.frame(whole.bodies[0].bytes, more: true) + Wire.frame(whole.bodies[1].bytes, more: true)
        // In a header, in a small body, between parts, in a large body, before the last part.
        let cuts = [1, 5, 12, 13, 20, 200_000, bytes.count]
        for cut in cuts {
            try peer.connectRaw("push", endpoint)
            try peer.shakeHandsRaw("push", as: "PUSH", ourType: "PULL")
            try peer.sendRaw("push", .bytes(Wire.frame([UInt8(cut % 256)]) + bytes[..<cut]))
            #expect(try pull.take().bytes == [UInt8(cut % 256)])
            try peer.closeRaw("push")
            try await monitor.disconnect()
        }
        #expect(pull.statistics.losses == [.cutShort: cuts.count])

        try peer.socket("push", "PUSH")
        try peer.connect("push", endpoint)
        try peer.send("push", whole.theirs)
        #expect(try whole.difference(pull.take()) == nil)
    }
}
