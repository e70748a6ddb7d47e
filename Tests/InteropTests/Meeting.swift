import Testing
import ZMTP

/// Who meets whom: generated from the table of socket types, so that no pair can be forgotten.
///
/// Stock libzmq has the types whose messages may have several frames; the others are drafts there. Those meet our own
/// kind and raw bytes in `TypePairTests`.
struct Meeting: CustomTestStringConvertible, Sendable {
    let ours: SocketType
    let theirs: SocketType

    static let stock = SocketType.allCases.filter { !$0.isSinglePart }
    static let all = stock.flatMap { ours in stock.map { Meeting(ours: ours, theirs: $0) } }
    static let legal = all.filter { $0.ours.isCompatible(with: $0.theirs) }
    static let illegal = all.filter { !$0.ours.isCompatible(with: $0.theirs) }

    var testDescription: String { "our \(ours), their \(theirs)" }
}

/// What two socket types say to each other: who speaks, and which frames in front of the body each side hands over
/// and gets (28/REQREP: the delimiter, a ROUTER's names; 29/PUBSUB: the topic).
struct Dialogue {
    enum Direction { case toPeer, fromPeer }

    static let ourName = Array("ours".utf8)
    static let theirName = Array("theirs".utf8)

    /// Prefixes of all lengths around the borders of framing; 246 to 255 octets are where libzmq 4.3.4 leaves the LONG
    /// flag out of its SUBSCRIBE, so it is not asked to send those.
    static let ourTopics = [1, 2, 245, 246, 247, 255, 256, 300].map { count in
        [UInt8(ascii: "t")] + (1..<count).map { UInt8(truncatingIfNeeded: $0) }
    }
    static let theirTopics = ourTopics.filter { !(246...255 ~= $0.count) }

    let meeting: Meeting
    /// In front of what is published.
    let topic: [UInt8]

    /// - Parameter round: which of the topics is published to.
    init(_ meeting: Meeting, round: Int = 0) {
        self.meeting = meeting
        topic = Self.topics(meeting)[round % Self.topics(meeting).count]
    }

    /// What the subscriber of a meeting asks for.
    static func topics(_ meeting: Meeting) -> [[UInt8]] {
        meeting.ours.subscribes ? ourTopics : theirTopics
    }

    var directions: [Direction] {
        switch (meeting.ours, meeting.theirs) {
        case (.push, _), (.pub, _), (_, .sub): [.toPeer]
        case (.pull, _), (.sub, _), (_, .pub): [.fromPeer]
        case (.rep, _), (.router, .req): [.fromPeer, .toPeer]
        default: [.toPeer, .fromPeer]
        }
    }

    var weSend: [[UInt8]] { prefix(meeting.ours, meeting.theirs, named: Self.theirName) }
    var theySend: [[UInt8]] { prefix(meeting.theirs, meeting.ours, named: Self.ourName) }
    var weReceive: [[UInt8]] { weSend }
    var theyReceive: [[UInt8]] { theySend }

    /// A ROUTER hands over and gets the other's name. REQ and REP hide the delimiter; DEALER and ROUTER see it and
    /// have to write it.
    private func prefix(_ type: SocketType, _ other: SocketType, named name: [UInt8]) -> [[UInt8]] {
        switch type {
        case .router where other == .req || other == .rep: [name, []]
        case .router: [name]
        case .dealer where other == .req || other == .rep: [[]]
        case .pub, .sub, .xpub, .xsub: [topic]
        default: []
        }
    }

    /// Options of the peer's socket.
    var options: [String: PythonPeer.Option] {
        var options: [String: PythonPeer.Option] = [:]
        if meeting.theirs.sendsIdentity { options["ROUTING_ID"] = "theirs" }
        if meeting.theirs == .router { options["ROUTER_MANDATORY"] = 1 }
        return options
    }
}

extension SocketType {
    var publishes: Bool { self == .pub || self == .xpub }
    var subscribes: Bool { self == .sub || self == .xsub }
}
