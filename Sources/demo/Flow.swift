import Proactor
import ZeroMQ

/// PUSH to PULL as fast as it goes: how many messages, checked for order, size and number.
struct Flow {
    let messages: Int
    let size: Int
    /// From the first message to the last.
    let elapsed: Duration

    var messagesPerSecond: Double { Double(messages) / elapsed.seconds }
    /// Of bodies, a million bytes each.
    var megabytesPerSecond: Double { messagesPerSecond * Double(size) / 1e6 }

    /// What must not happen.
    enum Failure: Error, CustomStringConvertible {
        case wrongMessage(Int)
        case wrongCount(sent: Int, received: Int)

        var description: String {
            switch self {
            case .wrongMessage(let number): "message \(number) is not the one that was sent"
            case .wrongCount(let sent, let received): "\(sent) sent, \(received) received"
            }
        }
    }

    /// Sends for the span given, receives until the end mark.
    static func measure(
        on backend: BackendChoice, _ transport: String, size: Int, for span: Duration
    ) throws -> Flow {
        let receiving = try Context(backend: backend)
        let sending = try Context(backend: backend)
        defer {
            sending.close(timeout: .seconds(1))
            receiving.close(timeout: .seconds(1))
        }
        let pull = try PullSocket(receiving)
        let endpoint = try pull.bind(anywhere(transport))
        let push = try PushSocket(sending)
        try push.connect(endpoint)

        let limit = Deadline.after(span + .seconds(3))
        let sender = Worker { try send(push, size: size, for: span, limit) }
        let received = Result { try receive(pull, size: size, limit) }
        let sent = try sender.join()
        let flow = try received.get()
        guard flow.messages == sent else { throw Failure.wrongCount(sent: sent, received: flow.messages) }
        return flow
    }

    /// Each body begins with its number; an empty message is the end mark.
    private static func send(
        _ push: PushSocket, size: Int, for span: Duration, _ limit: Deadline
    ) throws -> Int {
        var body = [UInt8](repeating: 0x5A, count: size)
        let end = Deadline.after(span)
        var number = 0
        // The clock is looked at once for many messages: it would cost as much as a message does.
        while number % 1024 != 0 || Deadline.now < end {
            try body.withUnsafeMutableBytes { body in
                body.storeBytes(of: UInt64(number), as: UInt64.self)
                try push.send(UnsafeRawBufferPointer(body), until: limit)
            }
            number += 1
        }
        try push.send(Message(), until: limit)
        return number
    }

    private static func receive(_ pull: PullSocket, size: Int, _ limit: Deadline) throws -> Flow {
        var number = 0
        var start = Deadline.distantPast
        var isOver = false
        var isRight = true
        while !isOver {
            try pull.receive(until: limit) { body, hasMore in
                if number == 0 { start = .now }
                isOver = body.isEmpty
                guard !isOver else { return }
                isRight =
                    body.count == size && !hasMore
                    && body.loadUnaligned(as: UInt64.self) == UInt64(number)
                number += 1
            }
            guard isRight else { throw Failure.wrongMessage(number - 1) }
        }
        return Flow(messages: number, size: size, elapsed: Deadline.now.since(start))
    }
}

/// Any free address of a transport; the abstract names of ipc leave nothing behind.
func anywhere(_ transport: String) -> String { transport == "tcp" ? "tcp://127.0.0.1:*" : "ipc://*" }
