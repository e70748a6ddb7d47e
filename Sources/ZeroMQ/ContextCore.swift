import Logging
import Proactor
import Synchronization
import ZMTP

/// What contexts, sockets and loops share.
final class ContextCore: Sendable {
    let logger: Logger?
    let budget: MemoryBudget
    let report = Locked<EngineReport?>(nil)
    let executors = Locked<[LoopExecutor]>([])
    let driver = Locked<CallerDriver?>(nil)
    let inproc = InprocRegistry()
    /// Where pollers sleep, which may have no socket that tells them of the end.
    let posts = Locked<[ObjectIdentifier: WatchPost]>([:])
    private let doors = Locked<[LoopDoor]>([])
    private let threads = Locked<[LoopThread]>([])
    private let sockets = Locked<[ObjectIdentifier: SocketCore]>([:])
    private let isClosed = Atomic<Bool>(false)
    private let ids = Atomic<UInt64>(0)
    private let turn = Atomic<Int>(0)
    private let routingSeed = Atomic<UInt32>(UInt32.random(in: 0...(.max)))
    private let undelivered = Locked<[(endpoint: String, messages: Int)]>([])
    /// Counts sockets and listeners that have let go; closers sleep on it.
    private let progress = FutexCounter()
    /// Turns of the loops, while `isWatched`.
    let turns = FutexCounter()
    let isWatched = Atomic<Bool>(false)

    init(logger: Logger?, budget: MemoryBudget) {
        self.logger = logger
        self.budget = budget
    }

    // MARK: Loops

    /// The one switch over backends is in `Context`; from here on everything is generic and specialised.
    func start<B: Backend & ~Copyable & SendableMetatype>(
        _ backend: B.Type, _ report: EngineReport, _ mode: Context.Mode, _ engine: EngineConfiguration
    ) throws(ProactorError) {
        self.report.withLock { $0 = report }
        switch mode {
        case .callerDriven:
            let loop = Loop<B>(backend: try B(engine), context: self)
            doors.withLock { $0 = [loop.door] }
            executors.withLock { $0 = [loop.executor] }
            driver.withLock {
                $0 = CallerDriver { (deadline) throws(ProactorError) in try loop.turn(until: deadline) }
            }
        case .background(let count):
            precondition(1...64 ~= count, "a context has 1 to 64 loops, not \(count)")
            for index in 0..<count {
                let thread = LoopThread(name: "zeromq-\(index)")
                let (door, executor) = try thread.start { [self] started throws(ProactorError) in
                    let loop = Loop<B>(backend: try B(engine), context: self)
                    started(loop.door, loop.executor)
                    try loop.run()
                }
                threads.withLock { $0.append(thread) }
                doors.withLock { $0.append(door) }
                executors.withLock { $0.append(executor) }
            }
        }
    }

    /// The loop for an alarm: each in its turn.
    func nextDoor() -> LoopDoor {
        let index = turn.add(1, ordering: .relaxed).oldValue
        return doors.withLock { $0[index % $0.count] }
    }

    /// The loop for a socket's next listener or connection: of those that its affinity allows the one that was given
    /// the fewest of this socket, and among equals each in its turn. (One turn for all sockets would not do: where
    /// connections come in pairs, made here and accepted here, each socket would meet the same loops again and again.)
    func nextDoor(for core: SocketCore) -> LoopDoor {
        let first = turn.add(1, ordering: .relaxed).oldValue
        let doors = doors.withLock { $0 }
        guard doors.count > 1 else { return doors[0] }
        let affinity = core.options.affinity
        let index = core.placed.withLock { placed in
            var best: Int?
            for step in doors.indices {
                let index = (first + step) % doors.count
                guard affinity == 0 || affinity >> UInt64(index) & 1 == 1 else { continue }
                if best.map({ placed[index, default: 0] < placed[$0, default: 0] }) ?? true { best = index }
            }
            // Options were refused if no loop is allowed.
            placed[best!, default: 0] += 1
            return best!
        }
        return doors[index]
    }

    /// Whether the loops are gone. Their doors stay: a call that is under way meanwhile knocks in vain.
    private let isStopped = Atomic<Bool>(false)

    var allDoors: [LoopDoor] { doors.withLock { $0 } }

    var isOnLoopThread: Bool { threads.withLock { $0.contains { $0.isCurrent } } }

    func nextID() -> UInt64 { ids.add(1, ordering: .relaxed).newValue }

    /// A name for a peer that gave none: a zero byte, which no peer may choose, and a number.
    func makeRoutingID() -> Frame {
        let number = routingSeed.add(1, ordering: .relaxed).newValue
        return Frame([
            0, UInt8(number >> 24), UInt8(number >> 16 & 255), UInt8(number >> 8 & 255), UInt8(number & 255),
        ])
    }

    // MARK: Sockets

    var isOpen: Bool { !isClosed.load(ordering: .acquiring) }

    func register(_ core: SocketCore) throws(ZeroMQError) {
        let isOpen = sockets.withLock { sockets in
            guard !isClosed.load(ordering: .acquiring) else { return false }
            sockets[ObjectIdentifier(core)] = core
            return true
        }
        guard isOpen else { throw ZeroMQError(.contextClosed, "cannot make a socket: the context was closed") }
    }

    /// Ends a socket: waits end, endpoints go, unsent messages have until `linger`.
    /// - Returns: false if it was closed before.
    @discardableResult
    func close(_ core: SocketCore, as phase: SocketCore.Phase, linger: Deadline?) -> Bool {
        let (isFirst, _) = core.phase.compareExchange(
            expected: .open, desired: phase, ordering: .acquiringAndReleasing)
        core.endWaits(phase)
        guard isFirst else { return false }
        for (name, pipe) in inproc.leave(core) {
            let messages = pipe.queued.messages
            core.lose(messages, .lingerOver, endpoint: "inproc://\(name)")
            if messages > 0 { core.registry.withLock { $0.undelivered.append(("inproc://\(name)", messages)) } }
        }
        core.leaveInproc()
        let doors = doors.withLock { $0 }
        core.loopsLeft.store(doors.count, ordering: .releasing)
        for door in doors { door.post(.close(core, linger: linger)) }
        return true
    }

    /// A loop holds nothing of a closed socket any more.
    func loopLeft(_ core: SocketCore) {
        guard core.loopsLeft.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        core.endMonitors()
        let lost = core.registry.withLock(\.undelivered)
        undelivered.withLock { $0.append(contentsOf: lost) }
        sockets.withLock { $0[ObjectIdentifier(core)] = nil }
        progress.advance()
    }

    @discardableResult
    func close(by deadline: Deadline) -> Context.ShutdownReport {
        isClosed.store(true, ordering: .releasing)
        for post in posts.withLock({ Array($0.values) }) { post.announce(0) }
        for core in sockets.withLock({ Array($0.values) }) {
            let linger = core.options.linger.map { min(Deadline.after($0), deadline) } ?? deadline
            if !close(core, as: .terminated, linger: linger) {
                // Closed before, with a linger of its own, which ends with the context's time at the latest.
                for door in allDoors { door.post(.hurry(core, by: deadline)) }
            }
        }
        // Linger ends at the deadline at the latest; what a loop needs to let go after it is a few turns.
        let patience = deadline + .seconds(2)
        let isComplete = wait(until: patience) { self.sockets.withLock(\.isEmpty) }
        let isFirst = !isStopped.load(ordering: .acquiring)
        stop()
        let report = Context.ShutdownReport(undelivered: undelivered.withLock { $0 }, isComplete: isComplete)
        if isFirst { logger?.info("context \(report)") }
        return report
    }

    /// A loop has made a turn. Counted only if somebody watches: tests, which look again after each turn.
    @inline(__always)
    func noteTurn() {
        if isWatched.load(ordering: .relaxed) { turns.advance() }
    }

    /// Something that a closer may wait for has let go.
    func noteProgress() { progress.advance() }

    /// Waits for a condition that `progress` announces.
    func wait(until deadline: Deadline, _ condition: () -> Bool) -> Bool {
        while true {
            let seen = progress.value
            if condition() { return true }
            if Deadline.now >= deadline { return false }
            if let driver = driver.withLock({ $0 }) {
                guard (try? driver.turn(until: deadline)) != nil else { return false }
            } else {
                progress.sleep(while: seen, until: deadline)
            }
        }
    }

    /// Ends the loops; sockets that are still open end with them.
    func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let doors = doors.withLock { $0 }
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for core in sockets.withLock({ Array($0.values) }) { core.endWaits(.terminated) }
        for door in doors { door.post(.stop) }
        for thread in threads { thread.join() }
        driver.withLock { $0.take() }?.end()
        let left = sockets.withLock { sockets in
            defer { sockets = [:] }
            return sockets.values
        }
        for core in left { core.endMonitors() }
    }

    // MARK: Logging

    /// What monitors get, for the log.
    func log(_ type: SocketType, _ kind: SocketEvent.Kind, _ endpoint: String, _ peer: SocketAddress?) {
        guard let logger else { return }
        logger.debug(
            "\(kind)",
            metadata: ["socket": "\(type)", "endpoint": "\(endpoint)", "peer": "\(peer.map(\.description) ?? "")"])
    }
}

/// A number that threads can wait to change.
final class FutexCounter: Sendable {
    private let word: Word

    /// Sendable: one atomic at a fixed address.
    private final class Word: @unchecked Sendable {
        let pointer: UnsafeMutablePointer<Atomic<UInt32>>
        init() {
            pointer = .allocate(capacity: 1)
            pointer.initialize(to: Atomic(0))
        }
        deinit {
            pointer.deinitialize(count: 1)
            pointer.deallocate()
        }
    }

    init() { word = Word() }

    var value: UInt32 { word.pointer.pointee.load(ordering: .acquiring) }

    func advance() {
        word.pointer.pointee.add(1, ordering: .acquiringAndReleasing)
        Futex.wake(word.pointer, count: .max)
    }

    func sleep(while seen: UInt32, until deadline: Deadline?) {
        _ = Futex.wait(word.pointer, while: seen, until: deadline)
    }
}
