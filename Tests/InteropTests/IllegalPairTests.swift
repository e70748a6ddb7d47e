import ChildProcesses
import Proactor
import Testing
import ZMTP
import ZeroMQ

@Suite(
    "Socket types that do not fit libzmq's", .timeLimit(.minutes(1)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct IllegalPairTests {
    private static let pairs: [(SocketType, String)] = [
        (.push, "REP"), (.push, "PUSH"), (.pull, "PULL"), (.pull, "PAIR"), (.pair, "DEALER"), (.req, "REQ"),
        (.req, "DEALER"), (.rep, "ROUTER"), (.dealer, "PULL"), (.router, "REP"), (.pull, "PUB"), (.router, "SUB"),
    ]

    @Test("Both sides refuse, whoever binds, and both close without hanging", arguments: Ours.backends)
    func refused(backend: BackendKind) async throws {
        let context = try Ours.context(on: backend)
        let peer = try PythonPeer()
        for (ours, theirs) in Self.pairs {
            for weBind in [true, false] {
                try await part("our \(ours) \(weBind ? "binds" : "connects") to their \(theirs)") {
                    let socket = try Ours.socket(ours, context)
                    let monitor = socket.monitor()
                    try peer.socket("peer", theirs)
                    try peer.monitor("peer")
                    if weBind {
                        try peer.connect("peer", socket.bind("tcp://127.0.0.1:*"))
                    } else {
                        try socket.connect(peer.bind("peer", "tcp://127.0.0.1:*"))
                    }
                    // libzmq may be first to find out and hang up; either way there is no handshake.
                    let event = try await monitor.first {
                        switch $0 {
                        case .handshakeFailed, .disconnected, .handshakeSucceeded: true
                        default: false
                        }
                    }
                    #expect(event.kind != .handshakeSucceeded, "\(ours) \(theirs)")
                    let theirEvent = try peer.await(
                        "HANDSHAKE_FAILED_PROTOCOL|HANDSHAKE_FAILED_NO_DETAIL|DISCONNECTED|HANDSHAKE_SUCCEEDED",
                        on: "peer")
                    #expect(theirEvent.event != "HANDSHAKE_SUCCEEDED", "\(ours) \(theirs)")
                    #expect(socket.statistics.peers.isEmpty)
                    try peer.close("peer")
                    socket.close()
                }
            }
        }
        #expect(context.close().isComplete)
        #expect(try peer.finish() == .exited(0))
    }

    @Test("We tell a peer of an unfit type why, then hang up", arguments: Ours.backends)
    func told(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pull = try Ours.socket(.pull, context)
        try peer.connectRaw("raw", pull.bind("tcp://127.0.0.1:*"))
        try peer.sendRaw("raw", .bytes(Wire.greeting), .bytes(Wire.ready("REQ", identity: [])))
        let rest = try peer.receiveRawRest("raw")
        // 37/ZMTP, Connection Metadata: ERROR, then disconnect.
        let said = rest.dropFirst(Wire.greeting.count + Wire.ready("PULL").count)
        #expect(Array(said.prefix(8)) == [4, UInt8(said.count - 2), 5] + Array("ERROR".utf8))
    }
}
