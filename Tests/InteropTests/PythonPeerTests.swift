import ChildProcesses
import Testing

/// The driver itself: two libzmq sockets talk to each other, so a failure here is not ours on the wire.
@Suite("The scripted libzmq peer", .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct PythonPeerTests {
    @Test("Two of its sockets exchange small, multipart and large messages")
    func exchange() throws {
        let peer = try PythonPeer()
        try peer.socket("push", "PUSH", ["SNDHWM": 10])
        try peer.socket("pull", "PULL")
        let endpoint = try peer.bind("pull", "tcp://127.0.0.1:*")
        #expect(!endpoint.hasSuffix("*"))
        try peer.connect("push", endpoint)

        try peer.send("push", [.text("hello"), .bytes([]), .bytes([0, 255])])
        #expect(try peer.receive("pull").map(\.bytes) == [Array("hello".utf8), [], [0, 255]])

        try peer.send("push", [.generated(seed: 7, size: 10_000_000)])
        let large = try peer.receive("pull")
        #expect(large.map(\.size) == [10_000_000])
        #expect(large.map(\.seed) == [7])
        #expect(large.map(\.data) == [nil])
    }

    @Test("Both sides generate the same body", arguments: [0, 1, 8, 9, 1000, 65529, 65530, 200_000])
    func generatedBodies(size: Int) throws {
        let peer = try PythonPeer()
        try peer.socket("a", "PAIR")
        try peer.socket("b", "PAIR")
        _ = try peer.bind("a", "inproc://bodies")
        try peer.connect("b", "inproc://bodies")
        let ours = GeneratedBody.bytes(seed: 0x1234_5678_9abc, size: size)
        #expect(ours.count == size)
        try peer.send("a", [.bytes(ours)])
        let check = PythonPeer.Request(do: "expect", on: "b", count: 1, seed: 0x1234_5678_9abc, size: size)
        #expect(try peer.ask(check).wrong == nil)
    }

    @Test("Ten thousand messages are compared in order with one answer, and a gap is told")
    func series() throws {
        let peer = try PythonPeer()
        let other = try PythonPeer()
        try peer.socket("push", "PUSH", ["SNDHWM": 0])
        try other.socket("pull", "PULL")
        try peer.connect("push", other.bind("pull", "tcp://127.0.0.1:*"))

        try other.begin(.init(do: "expect", on: "pull", count: 10_000, seed: 1, size: 24, parts: 2))
        try peer.send("push", [.generated(seed: 1, size: 24), .generated(seed: 2, size: 24)], count: 10_000)
        let answer = try other.answer(within: .seconds(60))
        #expect(answer.received == 10_000 && answer.wrong == nil)

        try peer.send("push", [.generated(seed: 5, size: 24)])
        let gap = try other.ask(.init(do: "expect", on: "pull", count: 1, seed: 4, size: 24))
        #expect(gap.wrong?.hasPrefix("message 0") == true)
        let counts = try other.ask(.init(do: "statistics", on: "pull"))
        #expect(counts.received == 10_001 && counts.received_bytes == 20_001 * 24)
    }

    @Test("It fills a socket up to its mark, and a timeout is a refusal")
    func refusal() throws {
        let peer = try PythonPeer()
        try peer.socket("push", "PUSH", ["SNDHWM": 5])
        try peer.connect("push", "tcp://127.0.0.1:1")
        #expect(try peer.fill("push", [.text("x")]) == 5)
        let refusal = #expect(throws: PythonPeer.Refusal.self) {
            try peer.send("push", [.text("x")], timeout: 1)
        }
        #expect(refusal?.name == "EAGAIN")
        let mistake = #expect(throws: PythonPeer.Refusal.self) { _ = try peer.bind("push", "nonsense") }
        #expect(mistake?.name == "EINVAL")
    }

    @Test("Monitor events can be awaited, and a crash is seen by the other side")
    func events() throws {
        let peer = try PythonPeer()
        let other = try PythonPeer()
        try peer.socket("pull", "PULL")
        try peer.monitor("pull")
        try other.socket("push", "PUSH")
        try other.connect("push", peer.bind("pull", "tcp://127.0.0.1:*"))
        try peer.await("HANDSHAKE_SUCCEEDED", on: "pull")
        #expect(try other.crash(status: 3) == .exited(3))
        try peer.await("DISCONNECTED", on: "pull")
        try peer.close("pull")
        #expect(try peer.finish() == .exited(0))
    }
}
