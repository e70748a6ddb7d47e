import ChildProcesses
import FoundationEssentials
import Glibc

/// What `proactor-probe --json` says: one object, on success and on failure.
struct ProbeReport: Decodable {
    struct Feature: Decodable {
        var name: String
        var since: String
        var used: Bool
        var reason: String
    }

    struct Law: Decodable {
        var name: String
        /// Nothing where it cannot be judged here; `message` says why.
        var holds: Bool?
        var message: String
    }

    var backend: String
    var runs: Bool
    var reason: String
    var errno: Int32
    var kernel: String
    var features: [Feature]
    /// Only where the backend does not run.
    var stage: String?
    var cure: String?
    /// Only with `--laws`.
    var laws: [Law]?

    /// Runs the probe under a kernel that refuses. A probe that says anything but one object of JSON throws.
    static func probe(
        _ arguments: [String], on kernel: RefusingKernel, environment: [String: String] = [:],
        within timeout: Duration = .seconds(60)
    ) throws -> (report: ProbeReport, succeeded: Bool) {
        // The environment of whoever runs the tests must not decide.
        let environment = ["PROACTOR_BACKEND": ""].merging(environment) { $1 }
        let probe = BuiltPrograms.path(of: "proactor-probe")
        let run = try kernel.run(probe, arguments + ["--json"], environment: environment, within: timeout)
        guard case .exited(let status) = run.ending else {
            throw Silence(description: "the probe ended by \(run.ending): \(run.errors)")
        }
        do {
            return (try JSONDecoder().decode(ProbeReport.self, from: Data(run.output.utf8)), status == 0)
        } catch {
            throw Silence(description: "no report (status \(status)): \(run.output) \(run.errors): \(error)")
        }
    }

    struct Silence: Error, CustomStringConvertible { let description: String }

    /// Why a forced io_uring cannot run on the kernel as it is; nil where it does. Shown by what is skipped for it.
    static let withoutRing: String? = {
        do {
            let (report, succeeded) = try probe(["--backend", "io_uring"], on: RefusingKernel())
            return succeeded ? nil : "io_uring does not run here at all: \(report.reason)"
        } catch {
            // A probe that is broken is for the tests to show.
            return nil
        }
    }()
}
