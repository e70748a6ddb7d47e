import CSupport
import Glibc
import Proactor

/// The lines that the runner reads: the endpoint of the side that binds, then one result. See bench-libzmq, whose
/// lines have the same form.

func tell(endpoint: String) {
    print("{\"endpoint\":\"\(endpoint)\"}")
    fflush(nil)
}

/// - Parameters:
///   - report: Of the engine that did the work: the line names the backend that ran, not the one that was asked for.
///   - extra: Further members, each with a comma before it.
func tell(
    role: String, report: EngineReport, size: Int, messages: UInt64, seconds: Double, extra: String = ""
) {
    print(
        "{\"contender\":\"ours\",\"backend\":\"\(report.backend)\",\"role\":\"\(role)\",\"size\":\(size)"
            + ",\"messages\":\(messages),\"seconds\":\(seconds),\"cpu_seconds\":\(bench_cpu_seconds())"
            + ",\"max_rss_kib\":\(bench_max_rss())\(extra)}")
    fflush(nil)
}

/// Fails the run unless the process really holds what the report says: an io_uring, or none. While it still does.
func checkBackend(_ report: EngineReport) {
    guard bench_has_ring() == (report.backend == .ioUring) else {
        fail("the report says \(report.backend), the descriptors of this process say otherwise")
    }
}

/// Ends the run without a result.
func fail(_ reason: String) -> Never {
    var line = "bench-ours: \(reason)\n"
    line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(1)
}
