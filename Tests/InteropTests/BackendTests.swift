import Proactor
import Testing
import ZeroMQ

/// Which backends the interop tests cover on this machine: one that cannot run shows here as skipped, with its reason.
@Suite("Interop tests cover")
struct BackendTests {
    @Test("io_uring", .disabled(if: Ours.whyNot(.ioUring) != nil, "\(Ours.whyNot(.ioUring) ?? "")"))
    func ioUring() throws {
        try Ours.context(on: .ioUring).close()
        #expect(Ours.backends.contains(.ioUring))
    }

    @Test("epoll", .disabled(if: Ours.whyNot(.epoll) != nil, "\(Ours.whyNot(.epoll) ?? "")"))
    func epoll() throws {
        try Ours.context(on: .epoll).close()
        #expect(Ours.backends.contains(.epoll))
    }
}
