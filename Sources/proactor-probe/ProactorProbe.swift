import ArgumentParser
import Proactor
import ProactorLaws

/// Which backend runs here, and why. Meant for the places where that is in doubt: inside a container, under a seccomp
/// filter, on another kernel.
@main
struct ProactorProbe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proactor-probe",
        abstract: "Tells which backend runs here and why; with --laws checks that it keeps its laws.",
        discussion: """
            Exit status 0 only if the asked backend runs and, with --laws, no law is broken. Without --backend the \
            environment variable PROACTOR_BACKEND decides, and without that the choice is automatic.
            """)

    @Option(help: "auto, io_uring or epoll.", transform: ProactorProbe.choice)
    var backend: BackendChoice?

    @Flag(help: "Run every law on the backend.")
    var laws = false

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func run() throws {
        let finding = finding()
        // As text a failure goes to standard error, where the argument parser puts what is thrown.
        if !json, let error = finding.error { throw error }
        print(json ? finding.json.text : finding.description)
        guard finding.succeeded else { throw ExitCode.failure }
    }

    private static func choice(_ text: String) throws -> BackendChoice {
        guard let choice = BackendChoice(text) else { throw ValidationError("use auto, io_uring or epoll") }
        return choice
    }

    private func finding() -> Finding {
        do throws(ProactorError) {
            let report = try BackendSelection.select(backend).report
            return Finding(report: report, laws: laws ? results(on: report.backend) : nil)
        } catch {
            return Finding(asked: (try? BackendChoice.resolve(backend)) ?? .automatic, error: error)
        }
    }

    private func results(on kind: BackendKind) -> [LawResult] {
        switch kind {
        case .ioUring: Laws.run(on: IOUringBackend.self)
        case .epoll: Laws.run(on: EpollBackend.self)
        }
    }
}
