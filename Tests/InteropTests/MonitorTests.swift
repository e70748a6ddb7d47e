import Proactor
import Testing
import ZMTP
import ZeroMQ

/// What libzmq's monitor and ours tell about the same scripted peer, event by event.
@Suite("Monitors", .timeLimit(.minutes(1)), .disabled(if: PythonPeer.missing != nil, "\(PythonPeer.missing ?? "")"))
struct MonitorTests {
    private static func name(_ id: UInt64) -> String {
        let names: [UInt64: String] = [
            0x1: "CONNECTED", 0x2: "CONNECT_DELAYED", 0x4: "CONNECT_RETRIED", 0x8: "LISTENING", 0x20: "ACCEPTED",
            0x80: "CLOSED", 0x200: "DISCONNECTED", 0x800: "HANDSHAKE_FAILED_NO_DETAIL",
            0x1000: "HANDSHAKE_SUCCEEDED",
            0x2000: "HANDSHAKE_FAILED_PROTOCOL", 0x4000: "HANDSHAKE_FAILED_AUTH",
        ]
        return names[id] ?? "\(id)"
    }

    /// A peer's octets after the accept, and how its connection ends.
    struct Script: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let octets: [UInt8]
        /// Whether libzmq says how the handshake ended.
        var hasOutcome = true
    }

    private static let greeting: [UInt8] =
        [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1] + Array("NULL".utf8) + Array(repeating: 0, count: 48)

    private static func command(_ name: String, _ data: [UInt8]) -> [UInt8] {
        [4, UInt8(1 + name.utf8.count + data.count), UInt8(name.utf8.count)] + Array(name.utf8) + data
    }

    private static func ready(_ type: String) -> [UInt8] {
        command("READY", [11] + Array("Socket-Type".utf8) + [0, 0, 0, UInt8(type.utf8.count)] + Array(type.utf8))
    }

    static let scripts = [
        Script(testDescription: "a handshake", octets: greeting + ready("PULL")),
        Script(testDescription: "nothing", octets: [], hasOutcome: false),
        Script(
            testDescription: "a cut property", octets: greeting + command("READY", [11] + Array("Socket".utf8)),
            hasOutcome: false),
        Script(testDescription: "an unfit type", octets: greeting + ready("REP"), hasOutcome: false),
        Script(
            testDescription: "another mechanism",
            octets: greeting.prefix(12) + Array("PLAIN".utf8) + greeting.suffix(47)),
        Script(testDescription: "a verdict", octets: greeting + command("ERROR", [3] + Array("400".utf8))),
        Script(testDescription: "an unknown command", octets: greeting + command("HELLO", [])),
    ]

    @Test("A connecting socket tells the same, up to the end of its connection", arguments: Ours.backends, scripts)
    func connecting(backend: BackendKind, script: Script) async throws {
        let context = try Ours.context(on: backend)
        defer { context.close() }
        let peer = try PythonPeer()
        let endpoint = try peer.listenRaw("listener")

        func play() throws {
            try peer.acceptRaw("raw", from: "listener")
            if script.octets.isEmpty {
                try peer.closeRaw("raw")
            } else {
                try peer.sendRaw("raw", .bytes(script.octets))
            }
        }

        // libzmq's story, in the same process as its peer.
        try peer.socket("push", "PUSH")
        try peer.monitor("push")
        try peer.connect("push", endpoint)
        try play()
        var theirs: [String] = []
        var value: Int?
        if script.hasOutcome {
            let outcome = "HANDSHAKE_SUCCEEDED|HANDSHAKE_FAILED_PROTOCOL|HANDSHAKE_FAILED_AUTH"
            let answer = try peer.await(outcome, on: "push")
            theirs += (answer.skipped ?? []) + [answer.event ?? ""]
            value = answer.value
            try peer.closeRaw("raw")
        }
        let end = try peer.await("DISCONNECTED", on: "push")
        theirs += (end.skipped ?? []) + ["DISCONNECTED"]
        if !script.hasOutcome, !script.octets.isEmpty { try peer.closeRaw("raw") }
        try peer.close("push")

        let push = try Ours.socket(.push, context)
        let monitor = push.monitor()
        try push.connect(endpoint)
        try play()
        var ours: [String] = []
        while let told = try await monitor.first({ _ in true }).libzmq {
            ours.append(Self.name(told.id))
            if told.id & 0x7000 != 0 {
                // libzmq says nothing of a property that is cut or an unfit type but that the connection ended.
                if script.hasOutcome {
                    #expect(value.map(UInt64.init) == told.values[0])
                } else {
                    ours.removeLast()
                }
                try peer.closeRaw("raw")
            }
            if told.id == 0x200 { break }
        }
        #expect(ours == theirs)
    }
}
