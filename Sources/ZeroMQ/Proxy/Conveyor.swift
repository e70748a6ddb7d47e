import Proactor
import ZMTP

/// One direction of a proxy: carries whole messages from one socket to another, in runs, and copies of them to a third.
///
/// From PULL, DEALER, PAIR and ROUTER frames are taken where they lie and put into the other socket's pipe; bodies with
/// storage of their own (from 32 KiB) go by reference. It takes nothing that the other side has no room for. By the
/// receiver of the source and the sender of the target.
struct Conveyor: ~Copyable {
    /// Messages, and bytes of their frames, that were carried or given up.
    struct Load {
        var carried = Proxy.Traffic()
        var dropped = 0
        var uncaptured = 0
        var end = End.limit

        var isEmpty: Bool { carried.messages + dropped + uncaptured == 0 }
    }

    /// Why a run ended.
    enum End {
        /// The source has nothing.
        case dry
        /// The target has no room.
        case full
        /// There may be more.
        case limit
    }

    private let source: Socket
    private var target: Outlet
    private var capture: Outlet?
    /// Whether frames are taken from pipes; else the pattern is asked for whole messages.
    private let isDirect: Bool
    /// The source, if several may use it at once.
    private let shared: (any SharedReceivingSocket)?

    /// One run carries no more, so that the other direction has its turn.
    private static var messageLimit: Int { 1000 }
    private static var byteLimit: Int { 1 << 20 }

    init(from source: Socket, to target: Socket, capture: Socket?) {
        isDirect = (source.core.isPlainReceiver || source.type == .router) && !source.core.options.isConflating
        shared = source as? any SharedReceivingSocket
        self.source = source
        self.target = Outlet(target, isDirect: isDirect)
        if let capture { self.capture = Outlet(capture, isDirect: false) }
    }

    // MARK: Carrying

    /// Carries what is there, as far as there is room.
    mutating func carry() throws(ZeroMQError) -> Load {
        let (receiver, sender) = (source.core.receiver, target.socket.core.sender)
        try source.core.checkOpen()
        try target.socket.core.checkOpen()
        let tap = capture?.socket.core.sender
        receiver.pointee.enter()
        sender.pointee.enter()
        tap?.pointee.enter()
        defer {
            receiver.pointee.leave()
            sender.pointee.leave()
            tap?.pointee.leave()
        }
        var load = Load()
        while load.carried.messages + load.dropped < Self.messageLimit, load.carried.bytes < Self.byteLimit {
            guard try isDirect ? carryDirectly(&load) : carryWhole(&load) else { break }
        }
        try target.flush()
        try? capture?.flush()
        return load
    }

    /// Carries one message from pipe to pipe.
    /// - Returns: false if it could not, for the reason that is noted.
    private mutating func carryDirectly(_ load: inout Load) throws(ZeroMQError) -> Bool {
        let receiver = source.core.receiver
        guard let pipe = receiver.pointee.peek() else {
            load.end = .dry
            return false
        }
        let name = source.type == .router ? pipe.peer?.routingID : nil
        let reader = pipe.reader
        let prospect = try target.prepare { name ?? Frame(copying: reader.pointee.peek()) }
        if case .held = prospect {
            load.end = .full
            return false
        }
        _ = receiver.pointee.choose()
        defer { receiver.pointee.finish(pipe) }
        var isDropped = false
        if case .dropped(let reason) = prospect {
            target.socket.core.losses.add(1, reason)
            isDropped = true
        }
        let isCaptured = prepareCapture(&load)
        var skipsOne = target.takesName
        var bytes = 0
        if let name {
            if !skipsOne, !isDropped { target.put(name, hasMore: true) }
            if isCaptured { capture?.put(name, hasMore: true) }
            skipsOne = false
            bytes += name.count
        }
        while true {
            let frame = reader.pointee.next()
            bytes += frame.body.count
            if isCaptured { capture?.put(frame) }
            if skipsOne {
                skipsOne = false
                if !frame.hasMore, !isDropped {
                    // A name and nothing behind it is no message for a ROUTER.
                    target.socket.core.losses.add(1, .unexpected)
                    isDropped = true
                }
            } else if !isDropped {
                target.put(frame)
            }
            if !frame.hasMore { break }
        }
        if isCaptured { finishCapture(&load) }
        if isDropped {
            load.dropped += 1
        } else {
            try target.finish()
            load.carried.messages += 1
            load.carried.bytes += bytes
        }
        return true
    }

    /// Carries one message that only the pattern can take.
    private mutating func carryWhole(_ load: inout Load) throws(ZeroMQError) -> Bool {
        // Before it is taken: a message in the hand is lost with the proxy.
        guard source.seesMessage() else {
            load.end = .dry
            return false
        }
        guard case .taken = try target.prepare(name: { Frame() }) else {
            load.end = .full
            return false
        }
        guard let message = shared == nil ? source.take() : try shared?.tryReceive() else {
            load.end = .dry
            return false
        }
        let isCaptured = prepareCapture(&load)
        for (index, frame) in message.enumerated() {
            target.put(frame, hasMore: index + 1 < message.count)
            if isCaptured { capture?.put(frame, hasMore: index + 1 < message.count) }
        }
        if isCaptured { finishCapture(&load) }
        try target.finish()
        load.carried.messages += 1
        load.carried.bytes += message.byteCount
        return true
    }

    // MARK: Copies

    /// Whether the next message is copied: a capture that has no room, or was closed, holds nobody up.
    private mutating func prepareCapture(_ load: inout Load) -> Bool {
        guard capture != nil else { return false }
        if let tap = capture?.socket, tap.core.isOpen, case .taken? = try? capture?.prepare(name: { Frame() }) {
            return true
        }
        load.uncaptured += 1
        return false
    }

    private mutating func finishCapture(_ load: inout Load) {
        do throws(ZeroMQError) {
            try capture?.finish()
        } catch {
            load.uncaptured += 1
        }
    }

    // MARK: Waiting

    /// Has a watch told when more can be carried. After a run that ended for want of messages or room.
    /// - Returns: false if more has come meanwhile.
    func arm(_ watch: any Watch, after end: End) -> Bool {
        switch end {
        case .dry: source.arm(watch, for: .readable)
        case .full: target.socket.arm(watch, for: .writable)
        case .limit: false
        }
    }

    /// Ends: watches no more, and counts what is in the hand as lost.
    /// - Returns: those messages.
    func giveUp(_ watch: any Watch) -> Int {
        source.core.receiveList.disarm(watch)
        target.socket.core.sendList.disarm(watch)
        target.socket.core.losses.add(target.refusedCount, .mark)
        return target.refusedCount
    }
}
