import Proactor

/// Somebody who waits and can be told that the time is over.
protocol Interruptible: AnyObject, Sendable {
    func interrupt()
}

extension ReadyList: Interruptible {}

/// All that may be asked of a loop by others.
enum LoopCommand: Sendable {
    /// Accept connections of a listening descriptor, which the loop owns from now on.
    case listen(SocketCore, endpoint: UInt64, text: String, descriptor: Int32)
    /// Connect, and go on connecting.
    case dial(SocketCore, endpoint: UInt64, target: Endpoint, pipe: Pipe?)
    /// Serve a connection that another loop accepted.
    case serve(SocketCore, endpoint: UInt64, text: String, descriptor: Int32)
    /// End a listener or the attempts to connect, with its connections.
    case end(SocketCore, endpoint: UInt64)
    /// End everything of a socket; unsent messages have until the deadline.
    case close(SocketCore, linger: Deadline?)
    /// A closed socket's unsent messages have no longer than this.
    case hurry(SocketCore, by: Deadline)
    /// A name was resolved.
    case resolved(SocketCore, endpoint: UInt64, SocketAddress?)
    /// Cut one connection, for the reason given.
    case cut(SocketCore, peer: UInt64, SocketEvent.Kind)
    /// Ask the peers of a socket whether they have admitted it.
    case confirm(SocketCore)
    /// Tell the peers of a DISH that it has joined or left a group.
    case group(SocketCore, Frame, joins: Bool)
    /// Interrupt whoever waits there, at the deadline.
    case alarm(any Interruptible, at: Deadline, id: UInt64)
    /// Take an alarm back.
    case cancelAlarm(id: UInt64)
    /// A publisher has orders about its subscribers.
    case streams(Fanout)
    /// Tell the publishers that a socket is connected to of a change of its subscriptions.
    case tell(SocketCore, Subscriptions.Change)
    /// Memory has come back: who waits for it goes on.
    case memoryCame
    /// Tell the watch, once, when a descriptor of the set is ready. The same number again: once more.
    case lookOut(id: UInt64, DescriptorSet, any Watch)
    /// Look out no more.
    case endLookout(id: UInt64)
    /// End the loop.
    case stop

    /// Gives back what an order holds that nobody will obey.
    func drop() {
        switch self {
        case .listen(let core, let endpoint, let text, let descriptor):
            Transport.cleanUp(text)
            _ = Descriptor(owning: descriptor)
            core.released(endpoint)
        case .serve(_, _, _, let descriptor): _ = Descriptor(owning: descriptor)
        default: break
        }
    }
}

/// The one door of a loop: pipes announce themselves in `list`, orders go by `post`. Everything behind it belongs to
/// the loop's thread.
final class LoopDoor: MemoryWaiter {
    let list: ReadyList
    /// Runs Swift tasks on the loop's thread.
    private let mail = Locked(Mail())
    private let call: CallNode

    private struct Mail {
        var commands: [LoopCommand] = []
        var isClosed = false
    }

    init(waker: Waker?) {
        list = ReadyList(waker: waker)
        call = CallNode()
    }

    /// Orders something; by any thread. Orders keep their order.
    func post(_ command: LoopCommand) {
        let isClosed = mail.withLock { mail in
            if !mail.isClosed { mail.commands.append(command) }
            return mail.isClosed
        }
        if isClosed { command.drop() } else { nudge() }
    }

    /// The loop is gone: orders and pipes that come from now on go nowhere.
    func close() {
        let rest = mail.withLock { mail in
            defer { mail = Mail(isClosed: true) }
            return mail.commands
        }
        for command in rest { command.drop() }
        list.close()
    }

    func memoryCame() { post(.memoryCame) }

    /// Makes the loop look at its mail and its jobs.
    func nudge() { list.wake(list.push(call.node, .call)) }

    /// Takes the orders; by the loop.
    func takeCommands() -> [LoopCommand] {
        mail.withLock { mail in
            defer { mail.commands.removeAll() }
            return mail.commands
        }
    }
}

/// A list node without a pipe.
///
/// Sendable: the node's fields are atomic or belong to the list it is in.
final class CallNode: @unchecked Sendable {
    let node: UnsafeMutablePointer<ReadyNode>

    init() {
        node = .allocate(capacity: 1)
        node.initialize(to: ReadyNode(edge: .call, owner: nil))
    }

    deinit {
        node.deinitialize(count: 1)
        node.deallocate()
    }
}
