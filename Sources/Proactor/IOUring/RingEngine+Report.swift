/// What the engine tells about itself.
extension RingEngine {
    var report: EngineReport {
        let kernel = KernelVersion(EngineReport.runningKernel)
        let rows = EngineFeatures.table.map { row in
            let isUsed = features.contains(row.feature)
            return EngineReport.Feature(
                name: row.name, since: row.since, isUsed: isUsed,
                reason: isUsed ? "" : absence(of: row.feature, since: row.since, kernel))
        }
        return EngineReport(backend: .ioUring, reason: "io_uring works here", features: rows)
    }

    private func absence(of feature: EngineFeatures, since: String, _ kernel: KernelVersion?) -> String {
        if !configuration.features.contains(feature) { return "masked by the configuration" }
        if let kernel, let first = KernelVersion(since), kernel < first { return "the kernel is older" }
        if feature == .cooperativeTaskRun, features.contains(.deferredTaskRun) {
            return "deferred-task-run is used instead"
        }
        return "the kernel did not grant it"
    }
}
