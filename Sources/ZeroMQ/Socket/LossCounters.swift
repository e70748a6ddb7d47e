import Synchronization

/// Why a message was given up. Whoever refuses or drops one counts it under its reason.
public enum LossReason: Int, Sendable, CaseIterable, CustomStringConvertible {
    /// The receiver's mark was reached and the pattern drops.
    case mark
    /// ROUTER: nobody has the address.
    case noRoute
    /// REQ: a reply from somebody who was not asked, or to another request. REP: a request without an envelope.
    case unexpected
    /// The peer went away, and what was queued for it with it.
    case peerGone
    /// The connection was lost in the middle of a message, or with messages behind the mark that waited for room.
    case cutShort
    /// The byte budget (`MemoryBudget`) was used up: a half-received message was given up, or the pattern drops.
    case memory
    /// Closing: linger was over before it was sent.
    case lingerOver
    /// Closing: received but never taken.
    case notTaken
    /// A type whose messages have one frame: it had several.
    case multipart
    /// A newer message took its place (`isConflating`).
    case conflated
    /// PUB: nobody is subscribed to it. SUB: it came, but is not subscribed to any more.
    case notSubscribed

    /// The reason's name.
    public var description: String {
        switch self {
        case .mark: "mark"
        case .noRoute: "no route"
        case .unexpected: "unexpected"
        case .peerGone: "peer gone"
        case .cutShort: "cut short"
        case .memory: "memory"
        case .lingerOver: "linger over"
        case .notTaken: "not taken"
        case .multipart: "multipart"
        case .conflated: "conflated"
        case .notSubscribed: "not subscribed"
        }
    }
}

/// Messages lost, by reason. Lock-free; counted only when something is lost, so it costs the data path nothing.
final class LossCounters: Sendable {
    private let mark = Atomic<Int>(0)
    private let noRoute = Atomic<Int>(0)
    private let unexpected = Atomic<Int>(0)
    private let peerGone = Atomic<Int>(0)
    private let cutShort = Atomic<Int>(0)
    private let memory = Atomic<Int>(0)
    private let lingerOver = Atomic<Int>(0)
    private let notTaken = Atomic<Int>(0)
    private let multipart = Atomic<Int>(0)
    private let conflated = Atomic<Int>(0)
    private let notSubscribed = Atomic<Int>(0)

    func add(_ count: Int = 1, _ reason: LossReason) {
        guard count != 0 else { return }
        switch reason {
        case .mark: mark.add(count, ordering: .relaxed)
        case .noRoute: noRoute.add(count, ordering: .relaxed)
        case .unexpected: unexpected.add(count, ordering: .relaxed)
        case .peerGone: peerGone.add(count, ordering: .relaxed)
        case .cutShort: cutShort.add(count, ordering: .relaxed)
        case .memory: memory.add(count, ordering: .relaxed)
        case .lingerOver: lingerOver.add(count, ordering: .relaxed)
        case .notTaken: notTaken.add(count, ordering: .relaxed)
        case .multipart: multipart.add(count, ordering: .relaxed)
        case .conflated: conflated.add(count, ordering: .relaxed)
        case .notSubscribed: notSubscribed.add(count, ordering: .relaxed)
        }
    }

    subscript(reason: LossReason) -> Int {
        switch reason {
        case .mark: mark.load(ordering: .relaxed)
        case .noRoute: noRoute.load(ordering: .relaxed)
        case .unexpected: unexpected.load(ordering: .relaxed)
        case .peerGone: peerGone.load(ordering: .relaxed)
        case .cutShort: cutShort.load(ordering: .relaxed)
        case .memory: memory.load(ordering: .relaxed)
        case .lingerOver: lingerOver.load(ordering: .relaxed)
        case .notTaken: notTaken.load(ordering: .relaxed)
        case .multipart: multipart.load(ordering: .relaxed)
        case .conflated: conflated.load(ordering: .relaxed)
        case .notSubscribed: notSubscribed.load(ordering: .relaxed)
        }
    }

    /// All that is not zero.
    var all: [LossReason: Int] {
        LossReason.allCases.reduce(into: [:]) { counts, reason in
            let count = self[reason]
            if count != 0 { counts[reason] = count }
        }
    }
}
