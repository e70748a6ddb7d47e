import CLiburing

/// A descriptor that is readable while it is raised (eventfd(2)). For the modules of this package.
///
/// Raising and lowering may be done by any thread; who does both keeps them in order.
package final class Signal: Sendable {
    private let descriptor: Descriptor

    /// A signal that is down.
    package init() throws(ProactorError) {
        let number = proactor_eventfd()
        guard number >= 0 else { throw .system(SystemError(code: -number), during: "eventfd") }
        descriptor = Descriptor(owning: number)
    }

    /// What to poll for reading, borrowed: valid as long as this value lives.
    package var number: Int32 { descriptor.number }

    /// Makes it readable.
    package func raise() { _ = proactor_eventfd_add(descriptor.number) }

    /// Makes it unreadable.
    package func lower() {
        var count: UInt64 = 0
        _ = proactor_read(descriptor.number, &count, MemoryLayout<UInt64>.size)
    }
}
