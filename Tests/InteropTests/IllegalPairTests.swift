import ChildProcesses
import Proactor
import Testing
import ZMTP
import ZeroMQ

/// Every pair that stock libzmq has and the table of types does not.
@Suite(
    "Socket types that do not fit libzmq's", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct IllegalPairTests {
    @Test("Both sides refuse, whoever binds, and both close without hanging", arguments: Ours.backends)
    func refused(backend: BackendKind) throws {
        let context = try Ours.context(on: backend)
        let peer = try PythonPeer()
        for meeting in Meeting.illegal {
            for weBind in [true, false] {
                try part("\(meeting.testDescription), \(weBind ? "we bind" : "we connect")") {
                    let socket = try Ours.socket(meeting.ours, context)
                    let monitor = socket.monitor()
                    try peer.socket("peer", meeting.theirs.name)
                    try peer.monitor("peer")
                    if weBind {
                        try peer.connect("peer", socket.bind("tcp://127.0.0.1:*"))
                    } else {
                        try socket.connect(peer.bind("peer", "tcp://127.0.0.1:*"))
                    }
                    let theirEvent = try peer.await(
                        "HANDSHAKE_FAILED_PROTOCOL|HANDSHAKE_FAILED_NO_DETAIL|DISCONNECTED|HANDSHAKE_SUCCEEDED",
                        on: "peer")
                    #expect(theirEvent.event != "HANDSHAKE_SUCCEEDED", "\(meeting)")
                    // libzmq may be first to find out and hang up; either way there is no handshake.
                    var ours: SocketEvent.Kind?
                    try peer.wait {
                        while ours == nil, let event = monitor.poll() {
                            switch event.kind {
                            case .handshakeFailed, .disconnected, .handshakeSucceeded: ours = event.kind
                            default: break
                            }
                        }
                        return ours != nil
                    }
                    #expect(ours != .handshakeSucceeded, "\(meeting)")
                    #expect(socket.statistics.peers.isEmpty)
                    try peer.close("peer")
                    socket.close()
                }
            }
        }
        #expect(context.close().isComplete)
        #expect(try peer.finish() == .exited(0))
    }
}
