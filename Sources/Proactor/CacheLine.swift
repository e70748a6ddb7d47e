import CLiburing

/// Memory as the processor sees it.
package enum CacheLine {
    /// Starts to bring the line of an address near, for a use that comes soon; the address may be any.
    ///
    /// Among ten thousand connections nearly every line that a message needs is far away. Where it is known whose turn
    /// comes next, the waits for them overlap instead of adding up.
    package static func fetch(_ address: UnsafeRawPointer) { proactor_prefetch(address) }

    /// The same for the line behind it too.
    package static func fetchTwo(_ address: UnsafeRawPointer) {
        proactor_prefetch(address)
        proactor_prefetch(address + 64)
    }
}
