import Synchronization
import ZMTP

/// Receives what it is subscribed to from all publishers, one message from each in turn (29/PUBSUB). Receives only;
/// without a subscription it receives nothing.
///
/// Publishers filter; what is still on its way when a subscription is cancelled is dropped here, and counted as
/// `notSubscribed`.
public final class SubscribeSocket: Socket, ReceivingSocket, @unchecked Sendable {
    // By the receiving half.
    private var filter = PrefixTrie()
    private var version: UInt64 = 0
    private var takesEverything = false

    /// A socket of the context.
    /// - Parameters:
    ///   - context: whose loops serve it.
    ///   - options: for its whole life.
    ///   - topics: subscriptions to begin with.
    public init(
        _ context: Context, _ options: SocketOptions = SocketOptions(), topics: [Frame] = []
    ) throws(ZeroMQError) {
        try super.init(.sub, context, options)
        for topic in topics { subscribe(topic) }
    }

    // MARK: Subscriptions

    /// Takes messages whose first frame begins with `topic`; the empty one takes all. Subscriptions add up: two need
    /// two cancellations. By any thread, at any time; publishers hear of it at once, and on each new connection.
    public func subscribe(_ topic: Frame) { core.change(.subscribe, topic, tellsAgain: false) }

    /// Takes messages whose first frame begins with the text in UTF-8.
    public func subscribe(_ topic: String) { subscribe(Frame(topic)) }

    /// Cancels one subscription.
    /// - Returns: false if there was none.
    @discardableResult
    public func cancel(_ topic: Frame) -> Bool { core.change(.cancel, topic, tellsAgain: false) }

    /// Cancels one subscription.
    @discardableResult
    public func cancel(_ topic: String) -> Bool { cancel(Frame(topic)) }

    // MARK: Filtering

    /// What is not subscribed to is dropped, as a receive would drop it.
    override func canReceive() -> Bool {
        while let pipe = core.receiver.pointee.peek() {
            if admit(pipe) { return true }
        }
        return core.receiver.pointee.hasMessage()
    }

    override func admit(_ pipe: Pipe) -> Bool {
        if core.subscriptions.unsafelyUnwrapped.generation.load(ordering: .relaxed) != version { refilter() }
        if takesEverything { return true }
        let topic = pipe.reader.pointee.peek()
        if filter.matches(topic) != core.options.isMatchingInverted { return true }
        while pipe.reader.pointee.next().hasMore {}
        core.receiver.pointee.finish(pipe)
        core.losses.add(1, .notSubscribed)
        return false
    }

    @inline(never)
    private func refilter() {
        let (prefixes, version) = core.subscriptions.unsafelyUnwrapped.snapshot
        var filter = PrefixTrie()
        for prefix in prefixes { prefix.withUnsafeBytes { filter.insert($0, 0) } }
        takesEverything =
            !core.options.isMatchingInverted && filter.matches(UnsafeRawBufferPointer(start: nil, count: 0))
        self.filter = filter
        self.version = version
    }
}
