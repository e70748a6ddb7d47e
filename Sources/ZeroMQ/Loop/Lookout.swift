import Proactor

/// Looks after a set of foreign descriptors for somebody who waits elsewhere, and tells once when one is ready. Lives
/// on one loop.
final class Lookout {
    /// Held until the engine has forgotten its number.
    private let descriptors: DescriptorSet
    private var handle: Handle?
    private var watch: (any Watch)?

    init(_ descriptors: DescriptorSet) { self.descriptors = descriptors }

    /// Begins to look, unless it does already.
    func start<B: Backend & ~Copyable>(telling watch: any Watch, on loop: Loop<B>) {
        let isLooking = self.watch != nil
        self.watch = watch
        guard !isLooking else { return }
        if handle == nil {
            guard let handle = try? loop.backend.watch(foreign: descriptors.number) else {
                // Without room in the engine the waiter looks for itself, as often as it asks.
                return tell()
            }
            self.handle = handle
            loop.own(handle, .lookout(self))
        }
        if let handle { loop.backend.poll(handle, for: .readable) }
    }

    func complete<B: Backend & ~Copyable>(_ completion: Completion, on loop: Loop<B>) {
        if completion.token.purpose == .close {
            if let handle { loop.disown(handle) }
            handle = nil
        } else {
            tell()
        }
    }

    private func tell() {
        let watch = watch.take()
        watch?.fire()
    }

    func end<B: Backend & ~Copyable>(on loop: Loop<B>) {
        watch = nil
        if let handle { loop.backend.close(handle) }
    }
}
