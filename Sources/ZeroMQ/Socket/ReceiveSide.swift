import Synchronization
import ZMTP

/// The receiving half of a socket: its pipes from peers, one message from each in turn.
///
/// Owned by one thread at a time, the one that receives. A pipe is here only while it has messages: one that has
/// run dry rests, and comes back through `list` with the next message.
struct ReceiveSide: ~Copyable {
    let list: ReadyList
    private var readable: [Pipe] = []
    /// Their consuming sides, at the same places: what a message is taken by, without counting references.
    private var readers: [UnsafeMutablePointer<PipeReader>] = []
    private var turn = 0
    /// Conflating pipes that may hold a message.
    private var conflating: [Pipe] = []
    /// What follows a pipe whose peer has gone, once it is dry.
    private var sequels: [ObjectIdentifier: Pipe] = [:]
    private let isActive = Atomic<Bool>(false)
    /// A descriptor that tells whether there is a message, if somebody asked for one. Then nothing takes the short way.
    var gauge: Bell?

    /// - Parameter crowd: for the types that several may receive on at once.
    init(crowd: Crowd? = nil) { list = ReadyList(crowd: crowd) }

    // MARK: One receiver at a time

    @inline(__always)
    func enter() {
        precondition(!isActive.load(ordering: .relaxed), "two receivers on one socket at the same time")
        isActive.store(true, ordering: .relaxed)
    }

    @inline(__always)
    func leave() { isActive.store(false, ordering: .relaxed) }

    // MARK: The short way

    /// The consuming side whose turn it is, if it is known to have a message and nobody else has come: the hot path.
    @inline(__always)
    mutating func readerInTurn() -> UnsafeMutablePointer<PipeReader>? {
        guard !list.hasNews, gauge == nil else { return nil }
        if turn >= readers.count {
            guard !readers.isEmpty else { return nil }
            turn = 0
        }
        let reader = readers[turn]
        return reader.pointee.remaining > 0 ? reader : nil
    }

    /// Settles the message just taken from `readerInTurn`, whose turn is over.
    @inline(__always)
    mutating func finishTurn(_ reader: UnsafeMutablePointer<PipeReader>) {
        turn += 1
        if reader.pointee.finish() { creditTurn() }
    }

    @inline(never)
    private func creditTurn() {
        let pipe = readable[turn - 1]
        if pipe.reader.pointee.credit() { pipe.writerList.wake(pipe.notifyWriter(.room)) }
    }

    private mutating func add(_ pipe: Pipe) {
        readable.append(pipe)
        readers.append(pipe.reader)
    }

    /// The last one takes its place: it has not had its turn in this round either.
    private mutating func remove(at place: Int) {
        readable.swapAt(place, readable.count - 1)
        readers.swapAt(place, readers.count - 1)
        readable.removeLast()
        readers.removeLast()
    }

    // MARK: Taking messages

    /// The pipe whose turn it is and which has a message; nil if none has.
    @inline(__always)
    mutating func choose() -> Pipe? {
        if list.hasNews { settle() }
        if readable.count == 1 {
            let pipe = readable[0]
            if pipe.reader.pointee.remaining > 0 { return pipe }
        }
        return chooseInTurn()
    }

    /// Whether a message is there, looked at without taking a turn. If none is, every pipe rests.
    mutating func hasMessage() -> Bool {
        peek() != nil || conflating.contains { $0.latest?.isEmpty == false }
    }

    /// The pipe that `choose` would give, without taking its turn.
    mutating func peek() -> Pipe? {
        let before = turn
        defer { turn = min(before, readable.count) }
        return choose()
    }

    /// Takes the news in although nothing may be received now, so that the list can be armed for more.
    mutating func takeNews() {
        if list.hasNews { settle() }
    }

    /// The newest message of the conflating peer whose turn it is. After `choose` has found none.
    mutating func takeLatest() -> Message? {
        while !conflating.isEmpty {
            let pipe = conflating.removeFirst()
            // Empty it leaves the turn; the next message brings it back.
            guard let message = pipe.latest?.take() else { continue }
            conflating.append(pipe)
            return message
        }
        return nil
    }

    @inline(never)
    private mutating func chooseInTurn() -> Pipe? {
        while !readable.isEmpty {
            if turn >= readable.count { turn = 0 }
            let pipe = readable[turn]
            if pipe.reader.pointee.remaining > 0 || pipe.reader.pointee.look() > 0 {
                turn += 1
                return pipe
            }
            // Dry: everything taken is credited before it rests, so that counts are exact.
            if pipe.reader.pointee.credit() { pipe.writerList.wake(pipe.notifyWriter(.room)) }
            if pipe.reader.pointee.rest() {
                remove(at: turn)
                if !sequels.isEmpty, let sequel = sequels.removeValue(forKey: ObjectIdentifier(pipe)) {
                    add(sequel)
                }
            }
        }
        return nil
    }

    /// Settles the message whose last frame was just taken.
    @inline(__always)
    func finish(_ pipe: Pipe) {
        if pipe.reader.pointee.finish(), pipe.reader.pointee.credit() {
            pipe.writerList.wake(pipe.notifyWriter(.room))
        }
    }

    @inline(never)
    private mutating func settle() {
        let list = list
        var ended: [Pipe] = []
        _ = list.take { _, reasons, owner in
            guard let owner else { return }
            let pipe = owner.takeRetainedValue()
            if pipe.latest != nil {
                if !conflating.contains(where: { $0 === pipe }) { conflating.append(pipe) }
            } else if reasons.contains(.data) {
                pipe.reader.pointee.lookAndFetch()
                add(pipe)
            }
            if reasons.contains(.ended) { ended.append(pipe) }
        }
        for pipe in ended {
            guard let sequel = pipe.sequel.take() else { continue }
            if readable.contains(where: { $0 === pipe }) {
                sequels[ObjectIdentifier(pipe)] = sequel
            } else {
                add(sequel)
            }
        }
    }
}
