import Proactor
import ProactorLaws

/// What the probe found, for people and as JSON. A failure has the same fields as a success: a script that watches a
/// fleet reads one form.
struct Finding {
    /// What runs; nil where the asked backend does not.
    private let report: EngineReport?
    private let asked: BackendChoice
    /// Why not; nil where it runs.
    let error: ProactorError?
    private let laws: [LawResult]?

    /// A backend runs.
    init(report: EngineReport, laws: [LawResult]?) {
        self.report = report
        self.laws = laws
        asked = .automatic
        error = nil
    }

    /// None does, or not the one that was asked for.
    init(asked: BackendChoice, error: ProactorError) {
        self.asked = asked
        self.error = error
        report = nil
        laws = nil
    }

    /// Whether the exit status is 0. A law that cannot be judged here is not broken; the text says which.
    var succeeded: Bool {
        report != nil && !(laws ?? []).contains { if case .fail = $0.outcome { true } else { false } }
    }

    /// For people: the report, the laws, how many are broken.
    var description: String {
        guard let report else { return reason }
        guard let laws else { return "\(report)" }
        let broken = laws.count { if case .fail = $0.outcome { true } else { false } }
        let skipped = laws.count { if case .skipped = $0.outcome { true } else { false } }
        return "\(report)\n\n" + laws.map { "\($0)\n" }.joined()
            + "\(laws.count) laws: \(broken) broken, \(skipped) skipped"
    }

    /// `backend`, `runs`, `reason`, `errno`, `kernel` and `features` always; `stage` and `cure` of a refusal; `laws`
    /// where they were asked for.
    var json: JSON {
        var members: [(String, JSON)] = [
            ("backend", .string(report.map { "\($0.backend)" } ?? "\(asked)")),
            ("runs", .boolean(report != nil)),
            ("reason", .string(reason)),
            ("errno", .number(Int(report?.errno ?? error?.errno ?? 0))),
            ("kernel", .string(report?.kernel ?? EngineReport.runningKernel)),
            ("features", .array((report?.features ?? []).map(Finding.json))),
        ]
        switch error {
        case .unavailable(_, let stage, _, _, let cure):
            members += [("stage", .string(stage)), ("cure", .string(cure))]
        case .system(_, let during): members += [("stage", .string(during))]
        case .forked, nil: break
        }
        if let laws { members.append(("laws", .array(laws.map(Finding.json)))) }
        return .object(members)
    }

    private var reason: String {
        switch error {
        case .unavailable(_, _, _, let reason, _): reason
        case .some(let error): "\(error)"
        case nil: report?.reason ?? ""
        }
    }

    private static func json(_ feature: EngineReport.Feature) -> JSON {
        .object([
            ("name", .string(feature.name)), ("since", .string(feature.since)), ("used", .boolean(feature.isUsed)),
            ("reason", .string(feature.reason)),
        ])
    }

    private static func json(_ law: LawResult) -> JSON {
        let (holds, message): (JSON, String) =
            switch law.outcome {
            case .pass: (.boolean(true), "")
            case .fail(let how): (.boolean(false), how)
            case .skipped(let why): (.null, why)
            }
        return .object([
            ("law", .number(law.name.number)), ("name", .string(law.name.sentence)), ("holds", holds),
            ("message", .string(message)),
        ])
    }
}
