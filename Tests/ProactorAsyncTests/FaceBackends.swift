import Proactor
import Testing

/// The backends that the tests of the faces run on; both of them, everywhere.
let backends: [BackendChoice] = [.ioUring, .epoll]

/// Skips the test, with the reason, where the backend cannot run.
func requireAvailable(_ backend: BackendChoice) throws {
    do {
        _ = try BackendSelection.select(backend)
    } catch .unavailable(let kind, let stage, let error, let reason, _) {
        try Test.cancel("\(kind) cannot run here: \(stage) answered \(error): \(reason)")
    }
}
