import CLiburing
import Glibc

/// Finding out by doing: set-up alone proves nothing, as filters may forbid entering, registering or one opcode.
extension Ring {
    /// Runs a no-op through the ring and asks which operations the kernel has.
    /// - Returns: the features of `allowed` that depend on operations rather than on set-up.
    mutating func examine(_ allowed: EngineFeatures) throws(Refusal) -> EngineFeatures {
        submitNop(Internal.ignored.rawValue)
        var time = __kernel_timespec(tv_sec: 1, tv_nsec: 0)
        let entered = enter(minimum: 1, timeout: &time)
        guard entered >= 0 else { throw Refusal(stage: "io_uring_enter", error: SystemError(code: -entered)) }
        guard let nop = takeCompletion() else {
            throw Refusal(stage: "io_uring_enter", error: .timedOut)
        }
        guard nop.result == 0 else { throw Refusal(stage: "IORING_OP_NOP", error: SystemError(code: -nop.result)) }
        let operations = try supportedOperations()
        for (opcode, name) in Self.required where !operations.contains(opcode) {
            throw Refusal(stage: name, error: SystemError(code: EINVAL))
        }
        return features(allowed, operations)
    }

    /// What the engine cannot do without.
    private static var required: [(UInt8, String)] {
        [
            (UInt8(IORING_OP_SEND.rawValue), "IORING_OP_SEND"), (UInt8(IORING_OP_RECV.rawValue), "IORING_OP_RECV"),
            (UInt8(IORING_OP_SENDMSG.rawValue), "IORING_OP_SENDMSG"),
            (UInt8(IORING_OP_RECVMSG.rawValue), "IORING_OP_RECVMSG"),
            (UInt8(IORING_OP_ACCEPT.rawValue), "IORING_OP_ACCEPT"),
            (UInt8(IORING_OP_CONNECT.rawValue), "IORING_OP_CONNECT"),
            (UInt8(IORING_OP_POLL_ADD.rawValue), "IORING_OP_POLL_ADD"),
            (UInt8(IORING_OP_ASYNC_CANCEL.rawValue), "IORING_OP_ASYNC_CANCEL"),
            (UInt8(IORING_OP_READ.rawValue), "IORING_OP_READ"),
            (UInt8(IORING_OP_WRITE.rawValue), "IORING_OP_WRITE"),
        ]
    }

    private func supportedOperations() throws(Refusal) -> [UInt8] {
        // The kernel fills at most 256 rows.
        let size = MemoryLayout<io_uring_probe>.size + 256 * MemoryLayout<io_uring_probe_op>.stride
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        let probe = memory.assumingMemoryBound(to: io_uring_probe.self)
        let answer = io_uring_register_probe(handle, probe, 256)
        guard answer >= 0 else { throw Refusal(stage: "io_uring_register", error: SystemError(code: -answer)) }
        return (0...UInt8.max).filter { proactor_ring_supports(probe, Int32($0)) != 0 }
    }

    /// Features without a bit of their own are told by an operation (or a granted set-up flag) of the same kernel.
    private func features(_ allowed: EngineFeatures, _ operations: [UInt8]) -> EngineFeatures {
        var granted: EngineFeatures = []
        // MSG_RING is of 5.18, SOCKET of 5.19, SEND_ZC of 6.0.
        if operations.contains(PROACTOR_OP_SOCKET) {
            granted.formUnion([.multishotAccept, .bufferRing, .cancelByDescriptor])
        }
        if operations.contains(PROACTOR_OP_SEND_ZC) { granted.insert(.multishotReceive) }
        if operations.contains(PROACTOR_OP_FUTEX_WAKE) { granted.insert(.futexWake) }
        granted.formIntersection(allowed)
        if !granted.contains(.bufferRing) { granted.remove(.multishotReceive) }
        return granted
    }
}

/// A whole engine put through its paces, as `automatic` does before it takes it.
enum RingSelfTest {
    /// Sends, receives and cancels over a socket pair.
    /// - Throws: `unavailable` naming the operation that was refused; `system` for want of resources.
    /// - Returns: the features that the engine uses.
    static func run(_ features: EngineFeatures) throws(ProactorError) -> EngineReport {
        var configuration = EngineConfiguration()
        configuration.features = features
        (configuration.submissionDepth, configuration.receiveBufferCount) = (8, 8)
        configuration.receiveBufferSize = 256
        var engine = try IOUringBackend(configuration)
        var batch = CompletionBatch(capacity: 16)
        let (near, far) = try Descriptor.pair().release()
        let farEnd = Descriptor(owning: far)  // owned before anything can throw
        let sender = try engine.adopt(Descriptor(owning: near))
        let receiver = try engine.adopt(farEnd)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 7)

        let sending = engine.send(sender, UnsafeRawBufferPointer(memory), toCompletion: true)
        try expect(8, of: sending, "SEND", &engine, &batch)
        let receiving = engine.receive(receiver, into: memory, untilFull: true)
        try expect(8, of: receiving, "RECV", &engine, &batch)
        let waiting = engine.receive(receiver, multishot: true)
        try engine.wait(until: .distantPast, into: &batch)
        engine.cancel(waiting)
        try expect(-ECANCELED, of: waiting, "ASYNC_CANCEL", &engine, &batch)
        return engine.report
    }

    private static func expect(
        _ result: Int32, of token: Token, _ operation: String, _ engine: inout IOUringBackend,
        _ batch: inout CompletionBatch
    ) throws(ProactorError) {
        let deadline = Deadline.after(.seconds(1))
        repeat {
            try engine.wait(until: deadline, into: &batch)
            for index in 0..<batch.count where batch[index].token == token {
                let found = batch[index].result
                guard found != result else { return }
                throw Ring.Refusal(
                    stage: "IORING_OP_\(operation)", error: SystemError(code: found < 0 ? -found : EPROTO)
                ).explained
            }
        } while .now < deadline
        throw Ring.Refusal(stage: "IORING_OP_\(operation)", error: .timedOut).explained
    }
}
