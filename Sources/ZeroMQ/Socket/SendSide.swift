import Proactor
import Synchronization
import ZMTP

/// What became of a send that does not wait.
public enum SendResult: Sendable, Hashable {
    /// The message is the library's now: queued, or on its way.
    case sent
    /// Every peer that could take it is at its mark; the message stays with the caller.
    case full
    /// No peer has the address (ROUTER); the message stays with the caller.
    case noRoute
}

/// Where the sending half keeps a pipe. Outside, it puts nothing in.
enum SendPlace: UInt8 {
    case outside, ready, blocked
}

/// The sending half of a socket: its pipes towards peers, in turn.
///
/// Owned by one thread at a time, the one that sends; `guarded` traps a second one. News (a peer came, has room
/// again, is gone) arrives through `list`.
struct SendSide: ~Copyable {
    let list: ReadyList
    /// Pipes that may have room, in the order of their turns.
    private var ready: [Pipe] = []
    /// Pipes at their mark.
    private var blocked: [Pipe] = []
    private var turn = 0
    /// Pipes that taking news has looked at, for tests: settling many at once must not cost their square.
    private(set) var visits = 0
    /// The writing side of the only pipe, while there is exactly one and it has not met its mark: the common case,
    /// without counting references.
    private var sole: UnsafeMutablePointer<PipeWriter>?
    private let isActive = Atomic<Bool>(false)
    /// A descriptor that tells whether there is room, if somebody asked for one. Then nothing takes the short way.
    var gauge: Bell? {
        didSet { noteSole() }
    }
    /// Where news of losses goes.
    private let losses: LossCounters
    /// Whether a message into a quiet pipe always leaves on the calling thread: where the sides take turns, and where
    /// no other thread turns the loop.
    private let alwaysSendsItself: Bool
    /// When a message last met a quiet pipe.
    private var lastQuiet = Deadline.distantPast

    /// In a socket that has met no quiet pipe for this long, the next message leaves on the calling thread; those
    /// that come faster are gathered by the loop.
    static var quietGap: Duration { .microseconds(20) }

    /// - Parameter crowd: for the types that several may send on at once.
    init(losses: LossCounters, alwaysSendsItself: Bool = false, crowd: Crowd? = nil) {
        self.losses = losses
        self.alwaysSendsItself = alwaysSendsItself
        list = ReadyList(crowd: crowd)
    }

    // MARK: One sender at a time

    /// Marks the side as in use; traps if another thread uses it. Relaxed on purpose: it costs a move, and finds
    /// the mistake whenever both calls overlap visibly.
    @inline(__always)
    func enter() {
        precondition(!isActive.load(ordering: .relaxed), "two senders on one socket at the same time")
        isActive.store(true, ordering: .relaxed)
    }

    @inline(__always)
    func leave() { isActive.store(false, ordering: .relaxed) }

    // MARK: The only pipe

    /// Sends a single-frame message if there is one pipe, nothing new about it, and room in it: the hot path.
    /// - Returns: false if it takes the long way.
    @inline(__always)
    mutating func sendToSole(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let sole, !list.hasNews, sole.pointee.hasRoom() else { return false }
        sole.pointee.put([], bytes)
        if sole.pointee.publish(keep: true) { _ = depart(ready[0]) }
        return true
    }

    private mutating func noteSole() {
        sole = ready.count == 1 && blocked.isEmpty && gauge == nil ? ready[0].writer : nil
    }

    // MARK: Choosing a pipe

    /// The next pipe with room, each in its turn; nil if all are at their marks.
    @inline(__always)
    mutating func choose() -> Pipe? {
        if list.hasNews { settle() }
        if ready.count == 1 {
            let pipe = ready[0]
            if pipe.writer.pointee.hasRoom() { return pipe }
        }
        return chooseInTurn()
    }

    @inline(never)
    private mutating func chooseInTurn() -> Pipe? {
        while !ready.isEmpty {
            if turn >= ready.count { turn = 0 }
            let pipe = ready[turn]
            if pipe.writer.pointee.hasRoom() {
                turn += 1
                return pipe
            }
            // The last one takes its place: it has not had its turn in this round either.
            ready.swapAt(turn, ready.count - 1)
            ready.removeLast()
            pipe.sendPlace = .blocked
            blocked.append(pipe)
            noteSole()
        }
        // The exact count decides, not whether a wake has arrived yet.
        for (index, pipe) in blocked.enumerated() where pipe.writer.pointee.hasRoom() {
            blocked.remove(at: index)
            pipe.sendPlace = .ready
            ready.append(pipe)
            noteSole()
            return pipe
        }
        return nil
    }

    /// How a published message leaves.
    enum Departure {
        /// With what its pipe's consumer is sending already.
        case gathered
        /// The pipe was quiet, and its consumer has been told.
        case announced
        /// It has gone, on the calling thread.
        case sent
    }

    /// Publishes the message just put into a pipe. One exchange; more only if nobody was consuming.
    @inline(__always)
    @discardableResult
    mutating func publish(_ pipe: Pipe) -> Departure {
        let keeps = ready.count == 1 && blocked.isEmpty
        guard pipe.writer.pointee.publish(keep: keeps) else { return .gathered }
        return depart(pipe)
    }

    /// Whether messages go on into a pipe without asking: it is the only one, nothing is new, and it has room.
    mutating func staysWith(_ pipe: Pipe) -> Bool {
        ready.count == 1 && blocked.isEmpty && !list.hasNews && ready[0] === pipe && pipe.writer.pointee.hasRoom()
    }

    /// Publishes messages that were put into a pipe and counted.
    mutating func publishRun(_ pipe: Pipe) -> Departure {
        let keeps = ready.count == 1 && blocked.isEmpty
        let isOurs = pipe.writer.pointee.publish(position: pipe.writer.pointee.position, keep: keeps)
        return isOurs ? depart(pipe) : .gathered
    }

    /// Lets the first message of a quiet pipe go, by the calling thread or by the pipe's consumer.
    @inline(never)
    private mutating func depart(_ pipe: Pipe) -> Departure {
        if sendsItself(), pipe.sendByCaller() { return .sent }
        pipe.readerList.wake(pipe.announce(.data))
        return .announced
    }

    private mutating func sendsItself() -> Bool {
        if alwaysSendsItself { return true }
        // Under a crowd's lock nobody enters the kernel.
        guard list.crowd == nil else { return false }
        let now = Deadline.now
        defer { lastQuiet = now }
        return now >= lastQuiet + Self.quietGap
    }

    /// Puts a message into every pipe that has room.
    /// - Returns: how many were at their marks, and how the last one leaves.
    mutating func broadcast(_ put: (Pipe) -> Void) -> (missed: Int, departure: Departure) {
        if list.hasNews { settle() }
        var (missed, departure) = (0, Departure.gathered)
        for pipe in ready + blocked {
            guard pipe.writer.pointee.hasRoom() else {
                missed += 1
                continue
            }
            put(pipe)
            departure = publish(pipe)
        }
        return (missed, departure)
    }

    /// Takes the news: peers that came, have room again, or are gone. Linear in the news and the pipes, however many
    /// of them go at once.
    @inline(never)
    mutating func settle() {
        var arrived: [(Pipe, ReadyReasons)] = []
        _ = list.takeAlone { _, reasons, owner in
            if let owner { arrived.append((owner.takeRetainedValue(), reasons)) }
        }
        let wasSole = ready.count + blocked.count <= 1
        var (left, moved) = (false, false)
        for (pipe, reasons) in arrived {
            visits &+= 1
            let place = pipe.sendPlace
            if !reasons.isDisjoint(with: [.ended, .leaving]) {
                left = left || place != .outside
                pipe.sendPlace = .outside
                pipe.writer.pointee.letGo()
                // What was published after its consumer had gone is lost with the peer.
                if reasons.contains(.ended) { losses.add(pipe.queued.messages, .peerGone) }
            } else if place == .blocked || place == .outside && reasons.contains(.attached) {
                moved = moved || place == .blocked
                pipe.sendPlace = .ready
                ready.append(pipe)
            }
        }
        if left {
            visits &+= ready.count
            ready.removeAll { $0.sendPlace != .ready }
        }
        if left || moved {
            visits &+= blocked.count
            blocked.removeAll { $0.sendPlace != .blocked }
        }
        noteSole()
        // Only a pipe that was alone keeps its claim between messages.
        if wasSole, ready.count + blocked.count > 1 {
            for pipe in ready { pipe.writer.pointee.letGo() }
            for pipe in blocked { pipe.writer.pointee.letGo() }
        }
    }

    /// Sleeps until a pipe has room, a peer comes, or the deadline passes. Call after `choose` found none.
    /// - Returns: false if there is no need to sleep.
    mutating func prepareToWait() -> Bool {
        var index = 0
        let before = ready.count
        while index < blocked.count {
            if blocked[index].writer.pointee.waitForRoom() {
                index += 1
            } else {
                // It leaves the blocked ones: a ROUTER that waits for another peer would look again for ever.
                let pipe = blocked.remove(at: index)
                pipe.sendPlace = .ready
                ready.append(pipe)
            }
        }
        guard ready.count > before else { return true }
        noteSole()
        return false
    }

    /// Whether some pipe has room, looked at without taking a turn. If none has, all are known to be blocked, so that
    /// `prepareToWait` waits for each.
    mutating func hasRoom() -> Bool {
        let before = turn
        defer { turn = min(before, ready.count) }
        return choose() != nil
    }

    /// Whether it is memory that is wanting, or memory too; as of `prepareToWait`.
    var isStarved: Bool { blocked.contains { $0.writer.pointee.isStarved } }

    /// Takes the news in although nothing may be sent now, so that the list can be armed for more.
    mutating func takeNews() {
        if list.hasNews { settle() }
    }

    /// Whether the pipe still leads to somebody.
    func contains(_ pipe: Pipe) -> Bool { pipe.sendPlace != .outside }

    /// The same for a pipe that was found elsewhere: its news may have come since they were last taken.
    mutating func finds(_ pipe: Pipe) -> Bool {
        if pipe.sendPlace == .outside, list.hasNews { settle() }
        return pipe.sendPlace != .outside
    }

    /// Waits for this pipe's room as well (a ROUTER whose peer is at its mark).
    mutating func block(_ pipe: Pipe) {
        guard pipe.sendPlace == .ready, let index = ready.firstIndex(where: { $0 === pipe }) else { return }
        pipe.sendPlace = .blocked
        blocked.append(ready.remove(at: index))
        noteSole()
    }
}
