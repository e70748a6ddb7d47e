import CSupport
import ZeroMQ

/// Checks size, order and number of received bodies and takes the time, as bench-libzmq's `receive_all` does.
struct Checker {
    let size: Int
    let count: UInt64
    let total: UInt64
    private(set) var received: UInt64 = 0
    private let warmUp: UInt64
    private var start: UInt64 = 0
    private var end: UInt64 = 0

    init(size: Int, count: UInt64) {
        self.size = size
        self.count = count
        warmUp = bench_warm_up(count)
        total = warmUp + count
    }

    /// From the last message of the warm-up to the last of all.
    var seconds: Double { Double(end - start) / 1e9 }

    @inline(__always)
    mutating func take(_ body: UnsafeRawBufferPointer) {
        guard body.count == size else { fail("message \(received) has \(body.count) bytes") }
        guard bench_is_stamped(body.baseAddress, size, received) else {
            fail("message \(received) is lost, changed or out of order")
        }
        received += 1
        if received == warmUp { start = bench_now() }
        if received == total { end = bench_now() }
    }
}

/// From this size on the sender hands over memory of its own, stamped in place, as bench-libzmq does with a message
/// that libzmq allocated; below it sends from its one buffer, which is copied.
let inPlaceFrom = 65536

/// Sends the warm-up and then `count` stamped bodies.
func sendAll(_ push: PushSocket, size: Int, count: UInt64) throws {
    let total = bench_warm_up(count) + count
    if size >= inPlaceFrom {
        for sequence in 0..<total {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
            bench_stamp(memory.baseAddress, size, sequence)
            let frame = Frame(referring: UnsafeRawBufferPointer(memory)) { $0.deallocate() }
            try push.send(Message(frame))
        }
        return
    }
    let body = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    defer { body.deallocate() }
    body.initializeMemory(as: UInt8.self, repeating: 0)
    let bytes = UnsafeRawBufferPointer(body)
    for sequence in 0..<total {
        bench_stamp(body.baseAddress, size, sequence)
        try push.send(bytes)
    }
}

/// Receives and checks the warm-up and then `count` bodies; borrowed, so nothing is copied out.
/// - Returns: The seconds measured.
func receiveAll(_ pull: PullSocket, size: Int, count: UInt64) throws -> Double {
    var checker = Checker(size: size, count: count)
    while checker.received < checker.total {
        try pull.receive { bytes, hasMore in
            guard !hasMore else { fail("message \(checker.received) has more than one part") }
            checker.take(bytes)
        }
    }
    return checker.seconds
}

/// The same by `for try await`: each message is a value that could be kept.
func receiveAllAsync(_ pull: PullSocket, size: Int, count: UInt64) async throws -> Double {
    var checker = Checker(size: size, count: count)
    for try await message in pull.messages {
        guard message.count == 1 else { fail("message \(checker.received) has \(message.count) parts") }
        message[0].withUnsafeBytes { checker.take($0) }
        if checker.received == checker.total { break }
    }
    return checker.seconds
}
