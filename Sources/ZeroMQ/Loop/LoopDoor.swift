import Proactor
import Synchronization

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
    /// A name was resolved.
    case resolved(SocketCore, endpoint: UInt64, SocketAddress?)
    /// Cut one connection: its identity was taken over.
    case cut(SocketCore, peer: UInt64)
    /// Interrupt whoever is suspended on a list, at the deadline.
    case alarm(ReadyList, at: Deadline, id: UInt64)
    /// Take an alarm back.
    case cancelAlarm(id: UInt64)
    /// End the loop.
    case stop
}

/// The one door of a loop: pipes announce themselves in `list`, orders go by `post`. Everything behind it belongs to
/// the loop's thread.
final class LoopDoor: Sendable {
    let list: ReadyList
    /// Runs Swift tasks on the loop's thread.
    private let mail = Mutex<[LoopCommand]>([])
    private let call: CallNode

    init(waker: Waker?) {
        list = ReadyList(waker: waker)
        call = CallNode()
    }

    /// Orders something; by any thread. Orders keep their order.
    func post(_ command: LoopCommand) {
        mail.withLock { $0.append(command) }
        nudge()
    }

    /// Makes the loop look at its mail and its jobs.
    func nudge() { list.wake(list.push(call.node, .call)) }

    /// Takes the orders; by the loop.
    func takeCommands() -> [LoopCommand] {
        mail.withLock { mail in
            defer { mail.removeAll() }
            return mail
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
