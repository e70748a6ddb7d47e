import ZMTP

/// A socket as the place where a proxy puts messages, frame by frame, as they lie in the pipe they come from.
///
/// Three ways, by what decides where a message goes: the turn of the peers (PUSH, DEALER, PAIR), a name in its first
/// frame (ROUTER), or the pattern itself, which then wants whole messages (all others). In the first two ways frames go
/// from pipe to pipe, and messages that follow each other to the same peer are published together. By the sender.
struct Outlet: ~Copyable {
    private enum Way {
        case inTurn, byName, whole
    }

    /// What becomes of the next message.
    enum Prospect {
        case taken
        /// It stays where it is: wait for room.
        case held
        /// The pattern drops it, under this reason.
        case dropped(LossReason)
    }

    let socket: Socket
    private let way: Way
    /// The socket, if several may use it at once.
    private let shared: (any SharedSendingSocket)?
    /// Where the present message goes.
    private var pipe: Pipe?
    /// Whether there are messages in `pipe` that are counted and not yet published.
    private var isOpen = false
    /// The frames of the present message, where they are collected.
    private var frames: [Frame] = []
    /// A message that was collected and then refused.
    private var refused: Message?

    /// - Parameter isDirect: whether messages come frame by frame out of pipes, so that they can be looked at first.
    init(_ socket: Socket, isDirect: Bool) {
        self.socket = socket
        shared = socket as? any SharedSendingSocket
        let isConflating = socket.core.options.isConflating
        way =
            switch socket.type {
            case .push where !isConflating, .dealer where !isConflating, .pair: .inTurn
            case .router where isDirect: .byName
            default: .whole
            }
    }

    /// Whether the first frame of a message is a name that is not sent.
    var takesName: Bool { way == .byName }

    // MARK: One message

    /// Finds out where the next message goes.
    /// - Parameter name: its first frame, where that matters.
    mutating func prepare(name: () -> Frame) throws(ZeroMQError) -> Prospect {
        switch way {
        case .inTurn: return try prepareInTurn()
        case .byName: return try prepare(named: name())
        case .whole:
            if let message = refused {
                refused = nil
                guard try offer(message) else { return .held }
            }
            frames.removeAll(keepingCapacity: true)
            return socket.seesRoom() ? .taken : .held
        }
    }

    private mutating func prepareInTurn() throws(ZeroMQError) -> Prospect {
        if let pipe {
            if socket.core.sender.pointee.staysWith(pipe) { return .taken }
            try flush()
        }
        pipe = socket.core.sender.pointee.choose()
        return pipe == nil ? .held : .taken
    }

    private mutating func prepare(named name: Frame) throws(ZeroMQError) -> Prospect {
        if socket.core.sendList.hasNews {
            try flush()
            socket.core.sender.pointee.settle()
        }
        let isMandatory = socket.core.options.isRouterMandatory
        guard let route = socket.core.route(name), socket.core.sender.pointee.finds(route) else {
            return .dropped(.noRoute)
        }
        if route !== pipe { try flush() }
        pipe = route
        if route.writer.pointee.hasRoom() { return .taken }
        guard isMandatory else { return .dropped(.mark) }
        try flush()
        socket.core.sender.pointee.block(route)
        return .held
    }

    /// Puts a frame of the message that was prepared.
    mutating func put(_ frame: LentFrame) {
        guard let pipe, way != .whole else { return frames.append(Frame(frame)) }
        let flags: FrameFlags = frame.hasMore ? .more : []
        if let owner = frame.owner {
            pipe.writer.pointee.put(flags, frame.body, owner: owner.takeUnretainedValue())
        } else {
            pipe.writer.pointee.put(flags, frame.body)
        }
    }

    /// Puts a frame of the message that was prepared.
    mutating func put(_ frame: Frame, hasMore: Bool) {
        guard let pipe, way != .whole else { return frames.append(frame) }
        frame.withUnsafeBytes { bytes in
            let flags: FrameFlags = hasMore ? .more : []
            if let owner = frame.owner {
                pipe.writer.pointee.put(flags, bytes, owner: owner)
            } else {
                pipe.writer.pointee.put(flags, bytes)
            }
        }
    }

    /// The last frame was put.
    mutating func finish() throws(ZeroMQError) {
        guard let pipe, way != .whole else {
            _ = try offer(Message(frames: frames))
            return
        }
        pipe.writer.pointee.accept(bytes: 0, messages: 1)
        isOpen = true
    }

    /// - Returns: false if the message was refused for want of room, and is kept.
    private mutating func offer(_ message: Message) throws(ZeroMQError) -> Bool {
        do throws(ZeroMQError) {
            let result = if let shared { try shared.trySend(message) } else { try socket.offer(message) }
            switch result {
            case .sent: break
            case .noRoute: socket.core.losses.add(1, .noRoute)
            case .full:
                refused = message
                return false
            }
        } catch {
            // A message that the pattern cannot send: one frame too many, or too few.
            guard error.code == .invalidMessage || error.code == .wrongState else { throw error }
            socket.core.losses.add(1, .unexpected)
        }
        return true
    }

    // MARK: Runs

    /// Publishes what was put.
    mutating func flush() throws(ZeroMQError) {
        defer {
            pipe = nil
            isOpen = false
        }
        if let pipe, isOpen { try socket.core.commitRun(pipe) }
    }

    /// Messages that were taken from their source and could not be put anywhere.
    var refusedCount: Int { refused == nil ? 0 : 1 }
}
