import Proactor
import Testing
import ZMTP
import ZeroMQ

/// Peers that libzmq no longer plays, octet by octet. The kernel's sockets are plain; what they say is written down
/// here from the RFCs.
@Suite(
    "Peers of ZMTP 1.0, 2.0 and 3.0", .timeLimit(.minutes(1)),
    .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct OldVersionTests {
    /// Sizes on both sides of each framing's border, and beyond what is received into storage of its own.
    private static let messages: [[Int]] = [
        [0], [5], [253], [254], [255], [256], [70_000], [300_000, 0, 3], [1, 2, 40_000], [9],
    ]

    enum Version: CaseIterable, CustomTestStringConvertible {
        case v1, v2, v3

        var testDescription: String { "\(self)" }

        func frame(_ body: [UInt8], more: Bool) -> [UInt8] {
            self == .v1 ? Wire.oldFrame(body, more: more) : Wire.frame(body, more: more)
        }

        func frames(_ shape: Shape) -> [UInt8] {
            let last = shape.bodies.count - 1
            return shape.bodies.enumerated().flatMap { frame($0.element.bytes, more: $0.offset < last) }
        }

        /// What the peer says until it may send messages.
        func opening(_ type: SocketType, identity: [UInt8]) -> [UInt8] {
            switch self {
            // 13/ZMTP: nothing but an identity frame.
            case .v1: Wire.oldFrame(identity)
            // 15/ZMTP: signature, revision, socket type, identity frame.
            case .v2: Wire.signature + [1, Self.number(type)] + Wire.frame(identity)
            // 23/ZMTP: minor 0.
            case .v3:
                Wire.signature + [3, 0] + Wire.greeting[12...] + Wire.ready(type.name, identity: identity)
            }
        }

        /// What we are to say until we may send messages.
        func ourOpening(_ type: SocketType, identity: [UInt8]) -> [UInt8] {
            let signature = [0xff] + Wire.bigEndian(identity.count + 1) + [0x7f]
            return switch self {
            // The signature is the head of an identity frame to a 1.0 peer (37/ZMTP, Backwards Interoperability).
            case .v1: signature + identity
            case .v2: signature + [3, Self.number(type)] + Wire.frame(identity)
            case .v3:
                signature + Wire.greeting[10...]
                    + Wire.ready(type.name, identity: type.sendsIdentity ? identity : nil)
            }
        }

        /// 15/ZMTP, Grammar.
        private static func number(_ type: SocketType) -> UInt8 {
            switch type {
            case .pair: 0
            case .req: 3
            case .rep: 4
            case .dealer: 5
            case .router: 6
            case .pull: 7
            case .push: 8
            default: preconditionFailure("\(type) is not used here")
            }
        }
    }

    @Test(
        "They exchange messages of all framings with ours, whoever connects", arguments: Ours.backends,
        Version.allCases)
    func exchange(backend: BackendKind, version: Version) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let pairs: [(SocketType, SocketType)] = [
            (.pull, .push), (.push, .pull), (.dealer, .dealer), (.pair, .pair),
        ]
        for (ours, theirs) in pairs {
            for weBind in [true, false] {
                try part("our \(ours) \(weBind ? "binds" : "connects")") {
                    try self.talk(version, ours, theirs, weBind, context, peer)
                }
            }
        }
    }

    private func talk(
        _ version: Version, _ ours: SocketType, _ theirs: SocketType, _ weBind: Bool, _ context: Context,
        _ peer: PythonPeer
    ) throws {
        let name = ours.sendsIdentity ? Array("ours".utf8) : []
        let socket = try Ours.socket(ours, context) { $0.routingID = Frame(name) }
        defer { socket.close() }
        if weBind {
            try peer.connectRaw("raw", socket.bind("tcp://127.0.0.1:*"))
        } else {
            try socket.connect(peer.listenRaw("listener"))
            try peer.acceptRaw("raw", from: "listener")
            try peer.closeRaw("listener")
        }
        let identity = theirs.sendsIdentity ? Array("theirs".utf8) : []
        try peer.sendRaw("raw", .bytes(version.opening(theirs, identity: identity)))
        let opening = version.ourOpening(ours, identity: name)
        #expect(try peer.receiveRaw("raw", opening.count) == opening)

        for (index, sizes) in Self.messages.enumerated() {
            let shape = Shape(bodies: Body.several(sizes, seed: UInt64(10 * index + 1)))
            let bytes = version.frames(shape)
            if ours != .pull {
                try socket.put(shape.ours)
                let received = try peer.receiveRaw("raw", bytes.count)
                #expect(received == bytes, "we send \(shape)")
            }
            if ours != .push {
                try peer.sendRaw("raw", .bytes(bytes))
                #expect(try shape.difference(socket.take()) == nil, "we receive \(shape)")
            }
        }
        try peer.closeRaw("raw")
    }

    @Test(
        "A REQ and a REP of ours talk with ZMTP 1.0 and 2.0 peers: the delimiter is a frame there too",
        arguments: Ours.backends, [Version.v1, .v2])
    func requests(backend: BackendKind, version: Version) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let exchange = version.frame([], more: true) + version.frame(Array("hello".utf8), more: false)

        let reply = try Ours.socket(.rep, context)
        try peer.connectRaw("req", reply.bind("tcp://127.0.0.1:*"))
        try peer.sendRaw("req", .bytes(version.opening(.req, identity: []) + exchange))
        let message = try reply.take()
        #expect(message == "hello")
        try reply.put(message)
        let answer = version.ourOpening(.rep, identity: []) + exchange
        #expect(try peer.receiveRaw("req", answer.count) == answer)

        let request = try Ours.socket(.req, context)
        try peer.connectRaw("rep", request.bind("tcp://127.0.0.1:*"))
        try peer.sendRaw("rep", .bytes(version.opening(.rep, identity: [])))
        try request.put("hello")
        let asked = version.ourOpening(.req, identity: []) + exchange
        #expect(try peer.receiveRaw("rep", asked.count) == asked)
        try peer.sendRaw("rep", .bytes(exchange))
        #expect(try request.take() == "hello")
    }

    @Test(
        "A ROUTER of ours knows ZMTP 1.0 and 2.0 peers by the identity they announce",
        arguments: Ours.backends, [Version.v1, .v2])
    func identities(backend: BackendKind, version: Version) throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let router = try Ours.socket(.router, context) { $0.isRouterMandatory = true }
        try peer.connectRaw("raw", router.bind("tcp://127.0.0.1:*"))
        try peer.sendRaw(
            "raw", .bytes(version.opening(.dealer, identity: Array("old".utf8)) + version.frame([1], more: false)))
        #expect(try router.take() == ["old", [1]])
        try router.put(["old", [2]])
        let answer = version.ourOpening(.router, identity: []) + version.frame([2], more: false)
        #expect(try peer.receiveRaw("raw", answer.count) == answer)
    }
}
