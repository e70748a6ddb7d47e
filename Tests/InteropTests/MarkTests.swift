import Proactor
import Testing
import ZMTP
import ZeroMQ

/// Nobody takes anything: after a finite number both sides refuse, and what was accepted arrives in order later.
///
/// How much the kernel holds is its own affair, so a refusal counts only if it lasts: half a second without room.
@Suite(
    "Marks with libzmq", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct MarkTests {
    private static let size = 20_000

    @Test(
        "Our PUSH is full at its mark while their PULL takes nothing; then all arrive",
        arguments: Ours.backends)
    func ourSender(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        try peer.socket("pull", "PULL", ["RCVHWM": 1, "RCVBUF": 65536])
        let push = try PushSocket(context, Self.options { $0.sendHighWaterMark = 10 })
        try push.connect(peer.bind("pull", "tcp://127.0.0.1:*"))

        var sent = 0
        let error = #expect(throws: ZeroMQError.self) {
            while sent < 10_000 {
                try push.send(Body(seed: UInt64(sent), size: Self.size).bytes, until: .after(.milliseconds(500)))
                sent += 1
            }
        }
        #expect(error?.code == .timedOut)
        #expect(sent >= 10 && sent < 10_000)
        #expect(try push.trySend(Message("no room for this")) == .full)
        #expect(push.statistics.messagesToSend == 10)

        let answer = try peer.ask(.init(do: "expect", on: "pull", count: sent, seed: 0, size: Self.size))
        #expect(answer.wrong == nil && answer.received == sent)
        try push.send("room again", until: .after(Ours.patience))
        #expect(try peer.receive("pull").first?.bytes == Array("room again".utf8))
        #expect(push.statistics.losses.isEmpty)
    }

    @Test("Their PUSH is refused while our PULL holds its mark; then all arrive", arguments: Ours.backends)
    func ourReceiver(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pull = try PullSocket(context, Self.options { $0.receiveHighWaterMark = 10 })
        let endpoint = try pull.bind("tcp://127.0.0.1:*")
        try peer.socket("push", "PUSH", ["SNDHWM": 10, "SNDBUF": 65536])
        try peer.connect("push", endpoint)

        let body = PythonPeer.Frame.generated(seed: 0, size: Self.size)
        let refusal = #expect(throws: PythonPeer.Refusal.self) {
            try peer.send("push", [body], count: 10_000, timeout: 500)
        }
        #expect(refusal?.name == "EAGAIN")
        let sent = try #require(refusal?.answer.sent)
        #expect(sent >= 20 && sent < 10_000)
        #expect(pull.statistics.messagesToTake == 10)

        for index in 0..<sent {
            let wanted = Shape(bodies: [Body(seed: UInt64(index), size: Self.size)])
            let difference = try wanted.difference(pull.receive(until: .after(Ours.patience)))
            #expect(difference == nil, "message \(index)")
        }
        try peer.send("push", [.text("room again")])
        #expect(try pull.receive(until: .after(Ours.patience)).string == "room again")
        #expect(pull.statistics.losses.isEmpty)
    }

    @Test(
        "Unconnected, our PUSH accepts exactly its mark, and a late libzmq peer gets it",
        arguments: Ours.backends)
    func unconnected(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let endpoint = try peer.listenRaw("port")
        try peer.closeRaw("port")
        let push = try PushSocket(context, Self.options { $0.sendHighWaterMark = 7 })
        try push.connect(endpoint)
        var sent: UInt64 = 0
        while sent < 100, try push.trySend(Message(Body(seed: sent, size: 24).bytes)) == .sent { sent += 1 }
        #expect(sent == 7)

        try peer.socket("pull", "PULL")
        _ = try peer.bind("pull", endpoint)
        #expect(try peer.ask(.init(do: "expect", on: "pull", count: 7, seed: 0, size: 24)).wrong == nil)
    }

    private static func options(_ change: (inout SocketOptions) -> Void) -> SocketOptions {
        var options = SocketOptions()
        options.linger = .zero
        options.reconnectInterval = .milliseconds(5)
        options.kernelSendBuffer = 65536
        options.kernelReceiveBuffer = 65536
        change(&options)
        return options
    }
}
