import ChildProcesses
import Glibc
import Testing

private let python = "/usr/bin/python3"

/// The launcher itself, with a Python line that makes the calls: were a filter not in force, every test of a fallback
/// would pass for nothing.
@Suite("The refusing kernel", .enabled(if: access(python, X_OK) == 0, "python3 is missing"))
struct RefusingKernelTests {
    /// Makes each of the three calls with arguments that no kernel accepts, and prints the errno of each: EFAULT,
    /// EINVAL or EBADF where nothing refuses, or what a sandbox around these tests answers.
    static let calls = """
        import ctypes
        c = ctypes.CDLL(None, use_errno=True)
        for number in (425, 426, 427):
            ctypes.set_errno(0)
            c.syscall(number, -1, 0, 0, 0, 0, 0)
            print(ctypes.get_errno(), flush=True)
        """

    @Test(
        "Only the named call gets the named answer", arguments: RefusingKernel.Call.allCases,
        RefusingKernel.Verdict.errors)
    func answers(call: RefusingKernel.Call, verdict: RefusingKernel.Verdict) throws {
        let plain = try RefusingKernel().run(python, ["-c", Self.calls])
        let refused = try RefusingKernel.answering(call, verdict).run(python, ["-c", Self.calls])
        var expected = plain.output.split(separator: "\n").map { Int32($0) }
        try #require(expected.count == 3 && refused.ending == .exited(0))
        expected[call.index] = verdict.errno
        #expect(refused.output.split(separator: "\n").map { Int32($0) } == expected)
    }

    @Test("A killing filter kills at the call, not before", arguments: RefusingKernel.Call.allCases)
    func killing(call: RefusingKernel.Call) throws {
        let kernel = RefusingKernel.answering(call, .kill)
        let ended = try kernel.run(python, ["-c", Self.calls])
        #expect(ended.ending == .signalled(SIGSYS))
        #expect(ended.output.split(separator: "\n").count == call.index)
        #expect(try kernel.run(python, ["-c", "pass"]).ending == .exited(0))
    }

    @Test("Limits hold inside, also for root")
    func limits() throws {
        let limits = """
            import ctypes, resource as r
            print(r.getrlimit(r.RLIMIT_MEMLOCK)[1], r.getrlimit(r.RLIMIT_NOFILE)[1])
            print(ctypes.CDLL(None).mlock(ctypes.create_string_buffer(65536), ctypes.c_size_t(65536)))
            """
        let kernel = RefusingKernel(lockedMemory: 0, files: 32)
        #expect(try kernel.run(python, ["-c", limits]).output == "0 32\n-1\n")
    }

    @Test("A program that hangs is ended at its timeout, and a mistake in the command is told")
    func hanging() throws {
        #expect(throws: ChildProcess.Failure.self) {
            try RefusingKernel().run(python, ["-c", "import signal; signal.pause()"], within: .seconds(1))
        }
        let launcher = BuiltPrograms.path(of: "seccomp-launch")
        let wrong = try ChildProcess.run(launcher, ["--answer", "reboot=EPERM", "/bin/true"], within: .seconds(10))
        #expect(wrong.ending == .exited(125) && wrong.errors.contains("unknown call"))
    }
}
