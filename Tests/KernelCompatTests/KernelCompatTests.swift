import ChildProcesses
import Glibc
import Testing

/// The choice of a backend on kernels that refuse: the real calls with real answers, in a child process each.
/// Where io_uring does not run without any filter, a filter proves nothing, so those tests are skipped with the reason.
@Suite(
    "Backends on kernels that refuse",
    .disabled(if: ProbeReport.withoutRing != nil, "\(ProbeReport.withoutRing ?? "")"))
struct KernelCompatTests {
    @Test(
        "Automatic falls back to epoll where io_uring is not available, and says which errno ruled it out",
        arguments: RefusingKernel.Call.allCases, RefusingKernel.Verdict.unavailable)
    func fallback(call: RefusingKernel.Call, verdict: RefusingKernel.Verdict) throws {
        let (report, succeeded) = try ProbeReport.probe([], on: .answering(call, verdict))
        #expect(succeeded && report.runs)
        #expect(report.backend == "epoll")
        #expect(report.errno == verdict.errno)
        #expect(report.reason.contains(call.rawValue))
        #expect(report.features.allSatisfy { !$0.used && !$0.reason.isEmpty })
    }

    @Test(
        "Forced io_uring never falls back: it fails with errno, stage and cure",
        arguments: RefusingKernel.Call.allCases, RefusingKernel.Verdict.errors)
    func forced(call: RefusingKernel.Call, verdict: RefusingKernel.Verdict) throws {
        let kernel = RefusingKernel.answering(call, verdict)
        let (report, succeeded) = try ProbeReport.probe(["--backend", "io_uring"], on: kernel)
        #expect(!succeeded && !report.runs)
        #expect(report.backend == "io_uring")
        #expect(report.errno == verdict.errno)
        #expect(report.stage?.contains(call.rawValue) == true)
        #expect(!report.reason.isEmpty)
        if verdict != .noMemory { #expect(report.cure?.isEmpty == false) }
    }

    @Test("The environment forces as the flag does, and the flag wins over it")
    func environment() throws {
        let kernel = RefusingKernel.answering(.setup, .notPermitted)
        let asked = ["PROACTOR_BACKEND": "io_uring"]
        #expect(try !ProbeReport.probe([], on: kernel, environment: asked).succeeded)
        #expect(try ProbeReport.probe(["--backend", "epoll"], on: kernel, environment: asked).succeeded)
    }

    @Test("Want of memory is reported, never hidden by a fallback", arguments: RefusingKernel.Call.allCases)
    func noMemory(call: RefusingKernel.Call) throws {
        let (report, succeeded) = try ProbeReport.probe([], on: .answering(call, .noMemory))
        #expect(!succeeded && !report.runs)
        #expect(report.errno == ENOMEM)
    }

    @Test("Want of descriptors is reported, never hidden by a fallback")
    func noDescriptors() throws {
        // The three standard streams and one more: the ring itself, or what it is tried with, finds none.
        let (report, succeeded) = try ProbeReport.probe([], on: RefusingKernel(files: 4))
        #expect(!succeeded && !report.runs)
        #expect(report.errno == EMFILE)
    }

    @Test("Forced epoll makes no call of io_uring, so a filter that kills lets it live")
    func killing() throws {
        let kernel = RefusingKernel(answers: RefusingKernel.Call.allCases.map { ($0, .kill) })
        for (arguments, environment) in [
            (["--backend", "epoll"], [:]), ([], ["PROACTOR_BACKEND": "epoll"]),
        ] {
            let (report, succeeded) = try ProbeReport.probe(arguments, on: kernel, environment: environment)
            #expect(succeeded && report.backend == "epoll")
        }
        // The same filter does kill who tries, so the above says something.
        let probe = BuiltPrograms.path(of: "proactor-probe")
        let tried = try kernel.run(probe, ["--json"], environment: ["PROACTOR_BACKEND": ""])
        #expect(tried.ending == .signalled(SIGSYS))
    }

    // Seen on 6.18: without the capability the rings count as locked memory, and io_uring_setup answers ENOMEM.
    @Test("Without memory that may be locked it works, or states that reason")
    func lockedMemory() throws {
        let (report, succeeded) = try ProbeReport.probe([], on: RefusingKernel(lockedMemory: 0))
        #expect(succeeded || "\(report.reason) \(report.cure ?? "")".lowercased().contains("lock"))
        #expect(succeeded == report.runs)
    }

    @Test("All laws hold on the backend that was fallen back to", .timeLimit(.minutes(5)))
    func laws() throws {
        let kernel = RefusingKernel(answers: RefusingKernel.Call.allCases.map { ($0, .noSuchCall) })
        let (report, succeeded) = try ProbeReport.probe(["--laws"], on: kernel, within: .seconds(240))
        let laws = try #require(report.laws)
        #expect(succeeded && report.backend == "epoll" && !laws.isEmpty)
        for law in laws { #expect(law.holds != false, "\(law.name): \(law.message)") }
    }
}
