import Proactor
import ZMTP

/// One run of a proxy: what its thread or task has in hand.
final class ProxyShift {
    private let proxy: Proxy
    private let watch: PostWatch
    private var toBackend: Conveyor?
    private var toFrontend: Conveyor?
    /// Whether there is nothing to do until something fires.
    private(set) var isResting = false

    /// Begins.
    init(_ proxy: Proxy) {
        self.proxy = proxy
        watch = PostWatch(proxy.post, 0)
        proxy.orders.withLock { orders in
            precondition(!orders.isRunning, "a proxy runs once at a time")
            orders.isRunning = true
        }
        let (frontend, backend, capture) = (proxy.frontend, proxy.backend, proxy.capture)
        if Proxy.leads(frontend, backend) {
            toBackend = Conveyor(from: frontend, to: backend, capture: capture)
        }
        if frontend !== backend, Proxy.leads(backend, frontend) {
            toFrontend = Conveyor(from: backend, to: frontend, capture: capture)
        }
    }

    /// Ends. A message that is in the hand is lost, with a count.
    func end() {
        let lost = (toBackend?.giveUp(watch) ?? 0) + (toFrontend?.giveUp(watch) ?? 0)
        proxy.control?.core.receiveList.disarm(watch)
        proxy.orders.withLock { orders in
            orders.isRunning = false
            orders.statistics.dropped += lost
        }
    }

    /// One run each way, as the orders are.
    /// - Returns: why it is over, if it is.
    func work(until deadline: Deadline?) throws(ZeroMQError) -> Proxy.Ending? {
        isResting = false
        // Also while it is paused, when nothing watches the sockets.
        for core in [proxy.frontend.core, proxy.backend.core] {
            try core.checkOpen()
            guard core.context.isOpen else {
                throw ZeroMQError(.contextClosed, "the context of this proxy's sockets was closed")
            }
        }
        _ = proxy.post.takeFired()
        try obeyControl()
        let isPaused = proxy.orders.withLock { orders -> Bool? in
            guard orders.isTerminated else { return orders.isPaused }
            orders.isTerminated = false
            return nil
        }
        guard let isPaused else { return .terminated }
        let there = isPaused ? nil : try toBackend?.carry()
        let back = isPaused ? nil : try toFrontend?.carry()
        note(there, back)
        if let deadline, Deadline.now >= deadline { return .deadline }
        isResting =
            (there.map { toBackend!.arm(watch, after: $0.end) } ?? true)
            && (back.map { toFrontend!.arm(watch, after: $0.end) } ?? true)
            && (proxy.control.map { !$0.core.isOpen || $0.arm(watch, for: .readable) } ?? true)
        return nil
    }

    /// Turns a caller-driven context: until something fires, or only once where there is more to do.
    func turn(_ driver: CallerDriver, _ nudge: Nudge, until deadline: Deadline?) throws(ZeroMQError) {
        if isResting {
            try proxy.post.turn(driver, nudge, until: deadline)
        } else {
            try driver.turn(until: .distantPast)
        }
    }

    private func note(_ there: Conveyor.Load?, _ back: Conveyor.Load?) {
        guard (there?.isEmpty ?? true) == false || (back?.isEmpty ?? true) == false else { return }
        proxy.orders.withLock { orders in
            if let there { orders.statistics.toBackend += there.carried }
            if let back { orders.statistics.toFrontend += back.carried }
            orders.statistics.dropped += (there?.dropped ?? 0) + (back?.dropped ?? 0)
            orders.statistics.uncaptured += (there?.uncaptured ?? 0) + (back?.uncaptured ?? 0)
        }
    }

    // MARK: The control socket

    private func obeyControl() throws(ZeroMQError) {
        guard let control = proxy.control as? any ReceivingSocket, control.core.isOpen else { return }
        while let command = try control.tryReceive() {
            var answer: Message?
            switch command.string {
            case "PAUSE": proxy.pause()
            case "RESUME": proxy.resume()
            case "TERMINATE": proxy.terminate()
            case "STATISTICS": answer = Self.report(proxy.statistics)
            default: break
            }
            // A REP owes an answer to whatever it was asked.
            if control.type == .rep, answer == nil { answer = Message() }
            if let answer, let sending = control as? any SendingSocket { _ = try sending.trySend(answer) }
        }
    }

    /// As `zmq_proxy_steerable` answers: received and sent by the frontend, received and sent by the backend.
    private static func report(_ statistics: Proxy.Statistics) -> Message {
        let (there, back) = (statistics.toBackend, statistics.toFrontend)
        return Message(
            frames: [there, back, back, there].flatMap { [$0.messages, $0.bytes] }.map { number in
                withUnsafeBytes(of: UInt64(number)) { Frame(copying: $0) }
            })
    }
}

extension Proxy.Traffic {
    static func += (left: inout Self, right: Self) {
        left.messages += right.messages
        left.bytes += right.bytes
    }
}
