import ChildProcesses
import Proactor
import Testing
import ZeroMQ

@Suite(
    "STREAM with libzmq", .timeLimit(.minutes(1)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct StreamTests {
    @Test(
        "Our STREAM and theirs talk, whoever binds, and each hears of the other", arguments: Ours.backends,
        [true, false])
    func streams(backend: BackendKind, weBind: Bool) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        var options = SocketOptions()
        options.receiveTimeout = Ours.patience
        let stream = try StreamSocket(context, options)
        try peer.socket("stream", "STREAM")
        if weBind {
            try peer.connect("stream", stream.bind("tcp://127.0.0.1:*"))
        } else {
            try stream.connect(peer.bind("stream", "tcp://127.0.0.1:*"))
        }
        let hello = try stream.receive()
        #expect(hello.count == 2 && hello[1].isEmpty)
        let theirHello = try peer.receive("stream")
        #expect(theirHello.count == 2 && theirHello[1].size == 0)
        let id = try #require(theirHello.first?.bytes)

        try stream.send("from us", to: hello[0])
        #expect(try peer.receive("stream").map(\.bytes) == [id, Array("from us".utf8)])
        try peer.send("stream", [.bytes(id), .text("from them")])
        #expect(try stream.receive() == [hello[0], "from them"])

        // An empty message closes; the other side hears of it. libzmq ends it when its application calls in again.
        try peer.send("stream", [.bytes(id), .bytes([])])
        var farewell: Message?
        for _ in 0..<100 where farewell == nil {
            _ = try? peer.receive("stream", timeout: 10)
            farewell = try stream.tryReceive()
        }
        #expect(farewell == [hello[0], []])
        try peer.close("stream")
        #expect(try peer.finish() == .exited(0))
    }

    @Test("A libzmq socket of ZMTP is just bytes to our STREAM", arguments: Ours.backends)
    func greeting(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        var options = SocketOptions()
        options.receiveTimeout = Ours.patience
        let stream = try StreamSocket(context, options)
        try peer.socket("dealer", "DEALER")
        try peer.connect("dealer", stream.bind("tcp://127.0.0.1:*"))
        let id = try stream.receive()[0]
        var bytes: [UInt8] = []
        func take(_ count: Int) throws -> [UInt8] {
            while bytes.count < count { bytes += try stream.receive()[1].bytes }
            defer { bytes.removeFirst(count) }
            return Array(bytes.prefix(count))
        }
        // 37/ZMTP by hand: both greetings, both READYs, a message each way.
        #expect(try take(10) == Wire.signature)
        try stream.send(Frame(Wire.greeting), to: id)
        #expect(try take(54).prefix(2) == [3, 1])
        try stream.send(Frame(Wire.ready("ROUTER", identity: [])), to: id)
        let ready = Wire.ready("DEALER", identity: [])
        #expect(try take(ready.count) == ready)
        try stream.send(Frame(Wire.frame(Array("hello".utf8))), to: id)
        #expect(try peer.receive("dealer").map(\.bytes) == [Array("hello".utf8)])
        try peer.send("dealer", [.text("answer")])
        #expect(try take(8) == Wire.frame(Array("answer".utf8)))
        try peer.close("dealer")
        #expect(try peer.finish() == .exited(0))
    }
}
