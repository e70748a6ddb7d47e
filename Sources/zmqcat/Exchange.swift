import Glibc
import Proactor
import ZeroMQ

/// One run of zmqcat: a socket, an input, an output and a clock, and one thread that waits for all of them.
final class Exchange {
    private let arguments: Zmqcat
    private let context: Context
    private let port: Port
    private let monitor: SocketMonitor?
    private var input: MessageInput
    private var output: MessageOutput
    private let interruption: Interruption

    private let poller: Poller
    private let ids: IDs
    private struct IDs {
        let socket, interruption: Poller.ID
        /// Nil for a type that does not send, and once the input has ended.
        var input: Poller.ID?
    }

    /// The message that could not be sent yet.
    private var pending: Message?
    /// REP: a request waits for its answer.
    private var isAsked = false
    private var request: Message?
    /// What the poller waits for.
    private var asked: (socket: PollEvents, input: PollEvents) = ([], [])
    /// Not before this, for the rate's sake.
    private var nextSend = Deadline.distantPast
    private var sent = 0
    private var received = 0
    private var start = Deadline.now
    private var lastLife = Deadline.now
    /// So many messages are moved before others have their turn.
    private static var batch: Int { 256 }

    init(_ arguments: Zmqcat, _ interruption: Interruption) throws {
        self.arguments = arguments
        self.interruption = interruption
        context = try Context(backend: arguments.backend)
        var options = SocketOptions()
        options.linger = .seconds(arguments.linger)
        options.sendHighWaterMark = arguments.mark
        options.receiveHighWaterMark = arguments.mark
        options.isRouterMandatory = true
        if let name = arguments.routingID { options.routingID = Frame(name) }
        port = try arguments.type.make(context, options, arguments.subscribe)
        let socket = port.socket
        monitor = arguments.verbose ? socket.monitor() : nil
        let hasInput = port.send != nil && !arguments.echo
        input = try MessageInput(
            hasInput ? arguments.input : "/dev/null", arguments.inputFormat ?? arguments.format)
        output = try MessageOutput(
            port.receive == nil ? "/dev/null" : arguments.output, arguments.outputFormat ?? arguments.format)
        poller = Poller(context)
        ids = IDs(
            socket: try poller.add(socket, for: []),
            interruption: try poller.add(descriptor: interruption.descriptor, for: .readable),
            input: hasInput ? try poller.add(descriptor: input.descriptor, for: []) : nil)
        for endpoint in arguments.bind {
            let actual = try socket.bind(endpoint)
            if arguments.verbose { Zmqcat.tell("bound \(actual)") }
        }
        for endpoint in arguments.connect { try socket.connect(endpoint) }
    }

    // MARK: Running

    /// - Returns: the exit status.
    func run() throws -> Int32 {
        if let status = try awaitPeers() { return finish(status) }
        start = .now
        lastLife = .now
        while true {
            let before = sent + received
            try sendSome()
            try receiveSome()
            tellEvents()
            if sent + received > before { lastLife = .now }
            if isDone { return finish(0) }
            // What was received is out before anything is waited for.
            try output.flush()
            if let status = try wait(until: wake) { return finish(status) }
        }
    }

    /// - Returns: the exit status, if it was interrupted or nobody came in time.
    private func awaitPeers() throws -> Int32? {
        while !arguments.type.hasPeers(port.socket, arguments.peers) {
            tellEvents()
            if let silence, Deadline.now >= lastLife + silence { return timedOut() }
            // Whether there are peers is looked at: nothing tells a poller.
            for event in try poller.wait(until: .after(.milliseconds(10))) where event.id == ids.interruption {
                return 128 + interruption.take()
            }
        }
        return nil
    }

    private var isDone: Bool {
        if let count = arguments.count {
            switch arguments.type.course {
            case .free, .asks: if (port.receive == nil ? sent : received) >= count { return true }
            case .answers: if sent >= count { return true }
            }
        }
        guard port.send != nil, !arguments.echo, input.isOver, pending == nil else { return false }
        switch arguments.type.course {
        case .free: return port.receive == nil || arguments.eof
        case .asks: return sent == received
        case .answers: return true
        }
    }

    /// Ends in order: what was received is written, what was sent has its linger.
    private func finish(_ status: Int32) -> Int32 {
        var status = status
        do {
            try output.flush()
        } catch {
            Zmqcat.tell("\(error)")
            status = 1
        }
        port.socket.close()
        let report = context.close(timeout: .seconds(arguments.linger) + .seconds(1))
        tellEvents()
        let left = report.undelivered.reduce(pending == nil ? 0 : 1) { $0 + $1.messages }
        if left > 0 {
            Zmqcat.tell("\(left) \(left == 1 ? "message was" : "messages were") left unsent")
            if status == 0 { status = 3 }
        }
        if arguments.verbose { Zmqcat.tell("\(sent) sent, \(received) received") }
        return status
    }

    // MARK: Sending

    private func sendSome() throws {
        guard let send = port.send else { return }
        for _ in 0..<Self.batch {
            guard isTurnToSend, Deadline.now >= nextSend, let message = try pending ?? nextMessage() else { return }
            pending = nil
            switch try send(message) {
            case .sent:
                sent += 1
                isAsked = false
                if let rate = arguments.rate { nextSend = max(nextSend, start) + .seconds(1 / rate) }
            case .full:
                pending = message
                return
            case .noRoute:
                Zmqcat.tell("no peer is named \(message[0]); its message is dropped")
            }
        }
    }

    private var isTurnToSend: Bool {
        switch arguments.type.course {
        case .free: port.receive != nil || sent < arguments.count ?? .max
        case .asks: sent == received && sent < arguments.count ?? .max
        case .answers: isAsked
        }
    }

    private func nextMessage() throws -> Message? {
        if arguments.echo { return request }
        return try input.next()
    }

    // MARK: Receiving

    private func receiveSome() throws {
        guard let receive = port.receive else { return }
        for _ in 0..<Self.batch {
            guard isTurnToReceive, let message = try receive() else { return }
            received += 1
            if arguments.type.course == .answers {
                isAsked = true
                request = message
            }
            try output.put(message)
        }
    }

    private var isTurnToReceive: Bool {
        switch arguments.type.course {
        case .free: received < arguments.count ?? .max
        case .asks: sent > received
        case .answers: !isAsked
        }
    }

    // MARK: Waiting

    /// When something is due although nothing happens.
    private var wake: Deadline? {
        let soonest = [
            silence.map { lastLife + $0 }, pending != nil && nextSend > .now ? nextSend : nil,
        ].compactMap { $0 }.min()
        // A rate may hold back a message that is not taken from the input yet.
        return isTurnToSend && port.send != nil && nextSend > .now ? min(soonest ?? nextSend, nextSend) : soonest
    }

    /// Whether another message may be taken from the input.
    private var canGoOn: Bool { port.send != nil && pending == nil && Deadline.now >= nextSend }

    private var silence: Duration? { arguments.timeout.map { .seconds($0) } }

    /// - Returns: the exit status, if that is the end.
    private func wait(until deadline: Deadline?) throws -> Int32? {
        var events: PollEvents = []
        if port.receive != nil, isTurnToReceive { events.insert(.readable) }
        if pending != nil, Deadline.now >= nextSend { events.insert(.writable) }
        try ask(ids.socket, events, &asked.socket)
        // A REP looks for the end of its answers although it is not asked.
        let wantsInput = canGoOn && !input.hasEnded && (isTurnToSend || arguments.type.course == .answers)
        if let id = ids.input { try ask(id, wantsInput ? .readable : [], &asked.input) }
        // There is something to send already: only look.
        let isBusy = canGoOn && isTurnToSend && (arguments.echo || input.mayHaveMore)
        for event in try poller.wait(until: isBusy ? .distantPast : deadline) {
            if event.id == ids.interruption { return 128 + interruption.take() }
            if event.id == ids.input, !input.mayHaveMore { try input.fill() }
        }
        if let silence, Deadline.now >= lastLife + silence { return timedOut() }
        return nil
    }

    private func ask(_ id: Poller.ID, _ events: PollEvents, _ asked: inout PollEvents) throws {
        guard events != asked else { return }
        try poller.modify(id, for: events)
        asked = events
    }

    private func timedOut() -> Int32 {
        Zmqcat.tell("nothing came or went for \(arguments.timeout ?? 0) s")
        return 4
    }

    private func tellEvents() {
        while let event = monitor?.poll() { Zmqcat.tell("\(event)") }
    }
}
