import CSupport
import ZeroMQ

/// REQ to REP, one round trip after the other, timed as bench-libzmq does.
enum Latency {
    static func req(_ setting: Setting, endpoint: String, size: Int, count: UInt64) throws {
        let context = try setting.makeContext()
        let req = try RequestSocket(context)
        try req.connect(endpoint)
        let warmUp = bench_warm_up(count)
        var samples = [UInt64](repeating: 0, count: Int(count))
        let body = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { body.deallocate() }
        let bytes = UnsafeRawBufferPointer(body)
        var sum: UInt64 = 0
        var start = bench_now()
        for sequence in 0..<(warmUp + count) {
            bench_stamp(body.baseAddress, size, sequence)
            if sequence == warmUp { start = bench_now() }
            let before = bench_now()
            try req.send(bytes)
            var isRight = false
            try req.receive { reply, hasMore in
                isRight = !hasMore && reply.count == size && bench_is_stamped(reply.baseAddress, size, sequence)
            }
            let after = bench_now()
            guard isRight else { fail("reply \(sequence) is wrong") }
            if sequence >= warmUp {
                samples[Int(sequence - warmUp)] = after - before
                sum += after - before
            }
        }
        let seconds = Double(bench_now() - start) / 1e9
        bench_sort(&samples, samples.count)
        func microseconds(_ share: UInt64) -> Double { Double(samples[Int(count * share / 100)]) / 1e3 }
        let extra =
            ",\"p50_us\":\(microseconds(50)),\"p99_us\":\(microseconds(99))"
            + ",\"mean_us\":\(Double(sum) / Double(count) / 1e3)"
        let report = context.report
        checkBackend(report)
        req.close()
        context.closeCleanly()
        tell(role: "req", report: report, size: size, messages: count, seconds: seconds, extra: extra)
    }

    static func rep(_ setting: Setting, endpoint: String, size: Int, count: UInt64) throws {
        let context = try setting.makeContext()
        let rep = try ReplySocket(context)
        tell(endpoint: try rep.bind(endpoint))
        let body = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { body.deallocate() }
        let start = bench_now()
        for sequence in 0..<(bench_warm_up(count) + count) {
            var isRight = false
            try rep.receive { request, hasMore in
                guard !hasMore, request.count == size else { return }
                isRight = bench_is_stamped(request.baseAddress, size, sequence)
                body.copyMemory(from: request)
            }
            guard isRight else { fail("request \(sequence) is wrong") }
            try rep.send(UnsafeRawBufferPointer(body))
        }
        let seconds = Double(bench_now() - start) / 1e9
        let report = context.report
        checkBackend(report)
        rep.close()
        context.closeCleanly()  // waits until the last reply has left
        tell(role: "rep", report: report, size: size, messages: count, seconds: seconds)
    }
}
