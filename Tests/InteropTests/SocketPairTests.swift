import ChildProcesses
import Foundation
import Proactor
import Testing
import ZMTP
import ZeroMQ

/// Every pair of types that may talk, generated from the table: both roles, tcp and ipc, both backends.
@Suite(
    "Every socket pair with libzmq", .timeLimit(.minutes(2)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct SocketPairTests {
    /// Sizes at which something changes: empty, one octet, the last short and the first long frame, libzmq's 8 KiB
    /// buffer, our 32 KiB and 64 KiB chunks, 1 MiB.
    static let shapes: [[Int]] = [
        [0], [1], [255], [256], [8192], [70_000], [1 << 20], [0, 0], [3, 0, 300], [0, 70_000, 1, 8192],
        [40_000, 0],
        Array(repeating: 5, count: 40),
    ]

    @Test(
        "Frames of all sizes, single and multipart, pass unchanged both ways, whoever binds",
        arguments: Ours.backends, Meeting.stock)
    func exchange(backend: BackendKind, ours: SocketType) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("interop-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }

        let meetings = Meeting.legal.filter { $0.ours == ours }
        #expect(!meetings.isEmpty)
        for meeting in meetings {
            for weBind in [true, false] {
                // Closing returns before a name is free again, so each dialogue has its own.
                let unique = "\(meeting.ours)-\(meeting.theirs)-\(weBind)"
                let paths = ["\(folder.path)/\(unique)", "@\(folder.lastPathComponent)-\(unique)"]
                for endpoint in ["tcp://127.0.0.1:*"] + paths.map({ "ipc://\($0)" }) {
                    try part("\(meeting.testDescription), \(weBind ? "we bind" : "we connect"), \(endpoint)") {
                        try self.talk(meeting, endpoint, weBind, context, peer)
                    }
                }
            }
        }
        #expect(try peer.finish() == .exited(0))
    }

    private func talk(
        _ meeting: Meeting, _ endpoint: String, _ weBind: Bool, _ context: Context, _ peer: PythonPeer
    ) throws {
        let socket = try Ours.socket(meeting.ours, context) {
            if meeting.ours.sendsIdentity { $0.routingID = Frame(Dialogue.ourName) }
            $0.isRouterMandatory = true
        }
        defer { socket.close() }
        try peer.socket("peer", meeting.theirs.name, Dialogue(meeting).options)
        try peer.monitor("peer")
        if weBind {
            try peer.connect("peer", socket.bind(endpoint))
        } else {
            try socket.connect(peer.bind("peer", endpoint))
        }
        // A ROUTER can name a peer only once it knows it.
        try socket.ready(until: .after(Ours.patience))
        try peer.await("HANDSHAKE_SUCCEEDED", on: "peer")
        let isPublished = meeting.ours.publishes || meeting.ours.subscribes
        if isPublished { try subscribe(meeting, socket, peer) }

        // Not from 0 or 1: what an XSUB's user sends would be a subscription.
        var seed: UInt64 = 2
        for (round, sizes) in (isPublished ? Self.shapes + [[]] : Self.shapes).enumerated() {
            let bodies = Body.several(sizes, seed: seed)
            seed += UInt64(sizes.count)
            let dialogue = Dialogue(meeting, round: round)
            for direction in dialogue.directions {
                switch direction {
                case .toPeer:
                    try socket.put(Shape(prefix: dialogue.weSend, bodies: bodies).ours)
                    let wanted = Shape(prefix: dialogue.theyReceive, bodies: bodies)
                    let difference = wanted.difference(try peer.receive("peer"))
                    #expect(difference == nil, "they receive \(wanted)")
                case .fromPeer:
                    try peer.send("peer", Shape(prefix: dialogue.theySend, bodies: bodies).theirs)
                    let wanted = Shape(prefix: dialogue.weReceive, bodies: bodies)
                    let difference = wanted.difference(try socket.take())
                    #expect(difference == nil, "we receive \(wanted)")
                }
            }
        }
        try peer.close("peer")
    }

    /// The subscriber asks for all topics, the publisher knows it, and what nobody asked for goes first.
    private func subscribe(_ meeting: Meeting, _ socket: Socket, _ peer: PythonPeer) throws {
        let topics = Dialogue.topics(meeting)
        let told = Set(topics.map { [1] + $0 })
        if meeting.ours.subscribes {
            for topic in topics { socket.ask(for: Frame(topic)) }
            try socket.awaitPublishers()
            if meeting.theirs == .xpub {
                #expect(Set(try topics.map { _ in try peer.receive("peer")[0].bytes ?? [] }) == told)
            } else {
                // Their PUB takes note of subscriptions a little after its I/O thread has answered.
                repeat {
                    try peer.send("peer", [.bytes(topics[0])])
                } while try (socket as! any ReceivingSocket).tryReceive() == nil
                try peer.send("peer", [.bytes(topics[0]), .text("probed")])
                while try socket.take().count == 1 {}
            }
            try peer.send("peer", [.text("not for us")])
        } else {
            // A bound SUB of libzmq tells a new peer its subscriptions when its owner next looks for news.
            try peer.ask(.init(do: "poll", on: "peer", timeout: 0))
            for topic in topics {
                if meeting.theirs == .sub {
                    try peer.subscribe("peer", topic)
                } else {
                    try peer.send("peer", [.bytes([1] + topic)])
                }
            }
            try socket.awaitSubscribers(1, to: String(decoding: topics.last!, as: UTF8.self))
            if meeting.ours == .xpub {
                #expect(Set(try topics.map { _ in try socket.take()[0].bytes }) == told)
            }
            try socket.put("not for them")
        }
    }
}
