import ZMTP

extension SocketCore {
    /// Endpoints, peers and addresses. Changed when connections come and go; read by name on ROUTER's send path.
    struct Registry: Sendable {
        struct Entry: Sendable {
            let id: UInt64
            let text: String
            let door: LoopDoor?
            let inproc: String?
            /// The queue that is kept while the peer is away.
            let pipe: Pipe?
        }
        struct Connection: Sendable {
            let peer: Peer
            let inbound: Pipe?
            let outbound: Pipe?
            /// Nil for inproc.
            let door: LoopDoor?
            /// The peer as a subscriber of this publisher.
            var subscriber: Subscriber?
            /// What the outbound pipe had passed before this connection: it may outlive several.
            var before = Traffic()
            /// The other socket of an inproc connection, and what it calls this one.
            var partner: (core: SocketCore, id: UInt64)?
            /// The peer has admitted us as well.
            var isConfirmed = false
        }
        /// Where a name leads.
        struct Route: Sendable {
            /// The peer.
            let id: UInt64
            let outbound: Pipe?
        }
        var entries: [Entry] = []
        /// Binds whose address the kernel still holds for us.
        var listeners: Set<UInt64> = []
        var lastEndpoint = ""
        var connections: [UInt64: Connection] = [:]
        var routes: [Frame: Route] = [:]
        /// Each takes itself out when it is dropped.
        var monitors: [ObjectIdentifier: Listening] = [:]
        struct Listening: Sendable {
            weak var monitor: SocketMonitor?
        }
        /// SERVER and PEER: the pipe towards each number.
        var numbers: [UInt32: Pipe] = [:]
        private var lastNumber = UInt32.random(in: 0...(.max))
        /// Names that a connect gave to a queue before its peer came, and which queue that is.
        var reserved: [Frame: Pipe] = [:]
        var reservations: [ObjectIdentifier: PeerName] = [:]
        /// No event will come any more: no loop holds anything of the socket.
        var isOver = false
        /// Doors of the loops that hold nothing of this closed socket any more.
        var leftLoops: [ObjectIdentifier] = []
        var undelivered: [(endpoint: String, messages: Int)] = []
        /// What went over connections that are gone.
        var departed = Exchange()
        /// By endpoint.
        var tallies: [String: EndpointTally] = [:]
        /// Outbound pipes that have ended since the sender's news was last swept.
        var endedPipes = 0

        /// A number that no peer has, never 0.
        mutating func nextNumber() -> UInt32 {
            repeat { lastNumber &+= 1 } while lastNumber == 0 || numbers[lastNumber] != nil
            return lastNumber
        }

        mutating func unreserve(_ pipe: Pipe) {
            switch reservations.removeValue(forKey: ObjectIdentifier(pipe)) {
            case .number(let number): numbers[number] = nil
            case .routingID(let name): reserved[name] = nil
            case nil: break
            }
        }
    }

    /// What a connect may call its peer from the start.
    enum PeerName: Sendable {
        case routingID(Frame)
        case number(UInt32)
    }
}
