/// placeholder
public enum BackendChoice: Sendable { case automatic
    /// x
    public static func resolve(_ c: BackendChoice?) throws(ProactorError) -> BackendChoice { .automatic } }
/// placeholder
public struct BackendSelection: Sendable {
    /// x
    public let kind: BackendKind
    /// x
    public let report: EngineReport
    /// x
    public static func select(_ c: BackendChoice, configuration: EngineConfiguration) throws(ProactorError) -> BackendSelection {
        BackendSelection(kind: .epoll, report: EngineReport(backend: .epoll, reason: "placeholder", features: []))
    }
}
