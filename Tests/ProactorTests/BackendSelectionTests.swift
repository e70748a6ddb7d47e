import CLiburing
import Testing

@testable import Proactor

@Suite("Selection")
struct BackendSelectionTests {
    @Test("The names users type are auto, io_uring and epoll, and nothing else")
    func names() {
        #expect(BackendChoice("auto") == .automatic)
        #expect(BackendChoice("io_uring") == .ioUring)
        #expect(BackendChoice("epoll") == .epoll)
        #expect(BackendChoice("uring") == nil)
        #expect(BackendChoice("EPOLL") == nil)
    }

    @Test("The program's choice wins over the environment's, and that over automatic")
    func precedence() throws {
        #expect(try BackendChoice.resolve(.ioUring, environment: "epoll") == .ioUring)
        #expect(try BackendChoice.resolve(.automatic, environment: "nonsense") == .automatic)
        #expect(try BackendChoice.resolve(nil, environment: "epoll") == .epoll)
        #expect(try BackendChoice.resolve(nil, environment: nil) == .automatic)
        #expect(try BackendChoice.resolve(nil, environment: "") == .automatic)
        #expect(throws: ProactorError.self) { try BackendChoice.resolve(nil, environment: "kqueue") }
    }

    @Test("Only what is not available falls back", arguments: [ENOSYS, EPERM, EACCES, EINVAL])
    func fallsBack(_ code: Int32) throws {
        for stage in ["io_uring_setup", "io_uring_enter", "io_uring_register", "IORING_OP_SEND"] {
            let error = Ring.Refusal(stage: stage, error: SystemError(code: code)).explained
            let reason = try #require(BackendSelection.fallbackReason(error))
            #expect(reason.contains(stage) && reason.contains("\(code)"))
        }
    }

    @Test("Want of resources is told, never taken for \"not available\"", arguments: [EMFILE, ENFILE, ENOMEM])
    func resources(_ code: Int32) {
        let roomy = Ring.Refusal.Surroundings(lockLimit: 64 << 20)
        let error = Ring.Refusal(stage: "io_uring_setup", error: SystemError(code: code)).explained(in: roomy)
        #expect(BackendSelection.fallbackReason(error) == nil)
        #expect(error.errno == code)
    }

    @Test("Sysctl, filter, old kernel and memory-lock limit are told apart")
    func reasons() {
        let new = KernelVersion(major: 6, minor: 12)
        let old = KernelVersion(major: 5, minor: 10)
        let cases: [(Int32, Ring.Refusal.Surroundings, String)] = [
            (EPERM, .init(disabled: 2, kernel: new), "io_uring_disabled is 2"),
            (EPERM, .init(disabled: 0, isFiltered: true, kernel: new), "seccomp"),
            (ENOSYS, .init(isFiltered: true, kernel: new), "seccomp"),
            (ENOSYS, .init(kernel: old), "kernel 5.10"),
            (EINVAL, .init(kernel: old), "kernel 5.10"),
            (EACCES, .init(disabled: 0, kernel: new), "security module"),
            (ENOMEM, .init(kernel: old, lockLimit: 65536), "locked memory, 64 KiB"),
            (ENOMEM, .init(kernel: new, lockLimit: 0), "locked memory, 0 KiB"),
        ]
        for (code, surroundings, word) in cases {
            let error = Ring.Refusal(stage: "io_uring_setup", error: SystemError(code: code))
                .explained(in: surroundings)
            guard case .unavailable(.ioUring, "io_uring_setup", _, let reason, let cure) = error else {
                Issue.record("errno \(code) must make it unavailable, not \(error)")
                continue
            }
            #expect(reason.contains(word))
            #expect(!cure.isEmpty)
        }
    }

    @Test("Forced epoll is epoll, with every ring feature unused")
    func forcedEpoll() throws {
        let selection = try BackendSelection.select(.epoll)
        #expect(selection.kind == .epoll && selection.errno == 0)
        #expect(selection.report.features.allSatisfy { !$0.isUsed && !$0.reason.isEmpty })
    }

    @Test("Automatic says why, whichever engine it takes")
    func automatic() throws {
        let selection = try BackendSelection.select(.automatic)
        #expect(!selection.reason.isEmpty)
        #expect((selection.kind == .epoll) == (selection.errno != 0))
    }
}
