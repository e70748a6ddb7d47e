import ChildProcesses
import Foundation
import Proactor
import Testing
import ZMTP
import ZeroMQ

/// Which two types talk, in both roles.
struct Pairing: CustomTestStringConvertible, Sendable {
    let one: SocketType
    let other: SocketType

    var testDescription: String { "\(one)-\(other)" }

    static let all: [Pairing] = [
        Pairing(one: .push, other: .pull), Pairing(one: .pair, other: .pair), Pairing(one: .req, other: .rep),
        Pairing(one: .req, other: .router), Pairing(one: .dealer, other: .rep),
        Pairing(one: .dealer, other: .dealer), Pairing(one: .dealer, other: .router),
        Pairing(one: .router, other: .router),
    ]

    /// (ours, theirs).
    var roles: [(SocketType, SocketType)] { one == other ? [(one, one)] : [(one, other), (other, one)] }
}

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
        arguments: Ours.backends, Pairing.all)
    func exchange(backend: BackendKind, pairing: Pairing) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("interop-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }

        for (ours, theirs) in pairing.roles {
            for weBind in [true, false] {
                // Closing returns before a name is free again, so each dialogue has its own.
                let unique = "\(ours)-\(theirs)-\(weBind)"
                let paths = ["\(folder.path)/\(unique)", "@\(folder.lastPathComponent)-\(unique)"]
                for endpoint in ["tcp://127.0.0.1:*"] + paths.map({ "ipc://\($0)" }) {
                    let name = "our \(ours) \(weBind ? "binds" : "connects") to their \(theirs), \(endpoint)"
                    try await part(name) {
                        try await self.talk(Dialogue(ours, theirs), endpoint, weBind, context, peer)
                    }
                }
            }
        }
        #expect(try peer.finish() == .exited(0))
    }

    private func talk(
        _ dialogue: Dialogue, _ endpoint: String, _ weBind: Bool, _ context: Context, _ peer: PythonPeer
    ) async throws {
        let socket = try Ours.socket(dialogue.ours, context) {
            if dialogue.ours.sendsIdentity { $0.routingID = Frame(Dialogue.ourName) }
            $0.isRouterMandatory = true
        }
        defer { socket.close() }
        let monitor = socket.monitor()
        try peer.socket("peer", dialogue.theirs.name, dialogue.options)
        try peer.monitor("peer")
        if weBind {
            try peer.connect("peer", socket.bind(endpoint))
        } else {
            try socket.connect(peer.bind("peer", endpoint))
        }
        // A ROUTER can name a peer only once it knows it.
        try await monitor.handshake()
        try peer.await("HANDSHAKE_SUCCEEDED", on: "peer")

        var seed: UInt64 = 1
        for sizes in Self.shapes {
            let bodies = Body.several(sizes, seed: seed)
            seed += UInt64(sizes.count)
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
}

/// What two socket types say to each other: who begins, and which frames in front of the body each side hands over
/// and gets (28/REQREP: the delimiter, a ROUTER's names).
struct Dialogue {
    enum Direction { case toPeer, fromPeer }

    static let ourName = Array("ours".utf8)
    static let theirName = Array("theirs".utf8)

    let ours: SocketType
    let theirs: SocketType

    init(_ ours: SocketType, _ theirs: SocketType) {
        self.ours = ours
        self.theirs = theirs
    }

    var directions: [Direction] {
        switch (ours, theirs) {
        case (.push, _): [.toPeer]
        case (.pull, _): [.fromPeer]
        case (.rep, _), (.router, .req): [.fromPeer, .toPeer]
        default: [.toPeer, .fromPeer]
        }
    }

    var weSend: [[UInt8]] { Self.handed(ours, to: theirs, named: Self.theirName) }
    var theySend: [[UInt8]] { Self.handed(theirs, to: ours, named: Self.ourName) }
    var weReceive: [[UInt8]] { Self.got(ours, from: theirs, named: Self.theirName) }
    var theyReceive: [[UInt8]] { Self.got(theirs, from: ours, named: Self.ourName) }

    private static func handed(_ type: SocketType, to other: SocketType, named name: [UInt8]) -> [[UInt8]] {
        (type == .router ? [name] : []) + delimiter(type, other)
    }

    private static func got(_ type: SocketType, from other: SocketType, named name: [UInt8]) -> [[UInt8]] {
        (type == .router ? [name] : []) + delimiter(type, other)
    }

    /// REQ and REP hide the delimiter; DEALER and ROUTER see it and have to write it.
    private static func delimiter(_ type: SocketType, _ other: SocketType) -> [[UInt8]] {
        (type == .dealer || type == .router) && (other == .req || other == .rep) ? [[]] : []
    }

    /// Options of the peer's socket.
    var options: [String: PythonPeer.Option] {
        var options: [String: PythonPeer.Option] = [:]
        if theirs.sendsIdentity { options["ROUTING_ID"] = "theirs" }
        if theirs == .router { options["ROUTER_MANDATORY"] = 1 }
        return options
    }
}
