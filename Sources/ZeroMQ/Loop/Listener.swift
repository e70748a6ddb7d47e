import Glibc
import Proactor

/// Accepts connections at one endpoint and spreads them over the context's loops. Lives on one loop.
final class Listener {
    let core: SocketCore
    let endpoint: UInt64
    let text: String
    private var handle: Handle?
    private var number: Int32 = -1
    private var isClosing = false

    init(_ core: SocketCore, endpoint: UInt64, text: String) {
        self.core = core
        self.endpoint = endpoint
        self.text = text
    }

    /// Begins to accept.
    /// - Returns: false if the engine had no room; that is reported.
    func start<B: Backend & ~Copyable>(_ descriptor: consuming Descriptor, on loop: Loop<B>) -> Bool {
        do throws(ProactorError) {
            let handle = try loop.backend.adopt(descriptor)
            self.handle = handle
            loop.own(handle, .listener(self))
            loop.backend.accept(handle, multishot: true)
            number = loop.backend.descriptor(of: handle)
            core.report(.listening, place)
            return true
        } catch {
            core.report(.acceptFailed(SystemError(code: error.errno)), place)
            Transport.cleanUp(text)
            core.released(endpoint)
            return false
        }
    }

    func complete<B: Backend & ~Copyable>(_ completion: Completion, on loop: Loop<B>) {
        switch completion.token.purpose {
        case .accept: accepted(completion, on: loop)
        case .close:
            guard let handle else { return }
            self.handle = nil
            // Now, not earlier: who sees this may bind the address again.
            core.released(endpoint)
            if let error = completion.error { core.report(.closeFailed(error), place) }
            core.report(.closed, place)
            loop.ended(self, handle)
        default: break
        }
    }

    private func accepted<B: Backend & ~Copyable>(_ completion: Completion, on loop: Loop<B>) {
        if let error = completion.error {
            guard !isClosing else { return }
            core.report(.acceptFailed(error), place)
            // A multishot accept may end at any time; the owner starts it again (law 1).
            if !completion.hasMore, let handle { loop.backend.accept(handle, multishot: true) }
            return
        }
        let descriptor = completion.takeDescriptor()
        guard !isClosing else { return }
        core.report(
            .accepted,
            EventPlace(
                endpoint: text, peer: Descriptor.peerAddress(of: descriptor.number), descriptor: descriptor.number,
                isBound: true))
        let door = core.context.nextDoor(for: core)
        if door === loop.door {
            loop.startSession(core, endpoint: endpoint, text: text, descriptor, dialer: nil)
        } else {
            door.post(.serve(core, endpoint: endpoint, text: text, descriptor: descriptor.release()))
        }
        if !completion.hasMore, let handle { loop.backend.accept(handle, multishot: true) }
    }

    private var place: EventPlace { EventPlace(endpoint: text, descriptor: number, isBound: true) }

    func close<B: Backend & ~Copyable>(on loop: Loop<B>) {
        guard !isClosing, let handle else { return }
        isClosing = true
        // The path goes first: once the listener is gone another one may bind there, and its path must stay.
        Transport.cleanUp(text)
        loop.backend.close(handle)
    }
}
