import Proactor
import ZeroMQ

/// REQ to REP, one request at a time: how many a second, and how long the middle one took.
struct RoundTrips {
    let perSecond: Double
    /// Half of the round trips took less; microseconds.
    let median: Double

    /// What must not happen.
    enum Failure: Error, CustomStringConvertible {
        case wrongAnswer

        var description: String { "an answer differs from its request" }
    }

    /// Asks for the span given; the other side answers with what it was asked.
    static func measure(on backend: BackendChoice, _ transport: String, for span: Duration) throws -> RoundTrips {
        let answering = try Context(backend: backend)
        let asking = try Context(backend: backend)
        defer {
            asking.close(timeout: .seconds(1))
            answering.close(timeout: .seconds(1))
        }
        let reply = try ReplySocket(answering)
        let endpoint = try reply.bind(anywhere(transport))
        let request = try RequestSocket(asking)
        try request.connect(endpoint)

        let limit = Deadline.after(span + .seconds(3))
        let answerer = Worker { try answer(reply, limit) }
        let trips = Result { try ask(request, for: span, limit) }
        try answerer.join()
        return try trips.get()
    }

    /// An empty request is the last one.
    private static func answer(_ reply: ReplySocket, _ limit: Deadline) throws {
        while true {
            let message = try reply.receive(until: limit)
            try reply.send(message, until: limit)
            if message.byteCount == 0 { return }
        }
    }

    private static func ask(
        _ request: RequestSocket, for span: Duration, _ limit: Deadline
    ) throws -> RoundTrips {
        let body = Message([UInt8](repeating: 0x5A, count: 64))
        // The first one waits for the connection, so it does not count.
        try request.send(body, until: limit)
        _ = try request.receive(until: limit)

        var times: [Duration] = []
        let start = Deadline.now
        var last = start
        while last.since(start) < span {
            try request.send(body, until: limit)
            guard try request.receive(until: limit) == body else { throw Failure.wrongAnswer }
            let now = Deadline.now
            times.append(now.since(last))
            last = now
        }
        try request.send(Message(), until: limit)
        _ = try request.receive(until: limit)
        times.sort()
        return RoundTrips(
            perSecond: Double(times.count) / last.since(start).seconds,
            median: times[times.count / 2].seconds * 1e6)
    }
}
