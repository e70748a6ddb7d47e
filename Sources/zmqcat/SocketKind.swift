import Proactor
import ZeroMQ

/// A socket type as zmqcat knows it. A new type of the library is one more row of `all`.
struct SocketKind: Sendable {
    /// How messages go.
    enum Course: Sendable {
        /// Each way by itself.
        case free
        /// Send, receive, send, receive (REQ).
        case asks
        /// Receive, send, receive, send (REP).
        case answers
    }

    /// What makes a socket; the texts are subscriptions, or groups to join.
    typealias Make = @Sendable (Context, SocketOptions, [String]) throws(ZeroMQError) -> Port

    /// As the command line has it.
    let name: String
    /// What it is for, in a line of the help.
    let summary: String
    let course: Course
    /// Whether so many peers are there.
    let hasPeers: @Sendable (Socket, Int) -> Bool
    let make: Make

    init(
        _ name: String, _ summary: String, course: Course = .free,
        hasPeers: @escaping @Sendable (Socket, Int) -> Bool = { $0.statistics.peers.count >= $1 },
        _ make: @escaping Make
    ) {
        self.name = name
        self.summary = summary
        self.course = course
        self.hasPeers = hasPeers
        self.make = make
    }

    static let all: [SocketKind] = [
        SocketKind("push", "hands messages to the peers in turn") { (context, options, _) throws(ZeroMQError) in
            Port(try PushSocket(context, options))
        },
        SocketKind("pull", "takes messages from all peers") { (context, options, _) throws(ZeroMQError) in
            Port(try PullSocket(context, options))
        },
        SocketKind(
            "pub", "sends to all that are subscribed",
            hasPeers: { socket, count in
                let publisher = socket as? PublishSocket
                return (try? publisher?.subscribers(atLeast: count, until: .distantPast)) != nil
            }
        ) { (context, options, _) throws(ZeroMQError) in Port(try PublishSocket(context, options)) },
        SocketKind("sub", "takes what it is subscribed to with --subscribe, or everything") {
            (context, options, topics) throws(ZeroMQError) in
            Port(
                try SubscribeSocket(context, options, topics: topics.isEmpty ? [Frame()] : topics.map { Frame($0) })
            )
        },
        SocketKind(
            "xpub", "the same as pub, and takes subscriptions as messages",
            hasPeers: { socket, count in
                let publisher = socket as? XPublishSocket
                return (try? publisher?.subscribers(atLeast: count, until: .distantPast)) != nil
            }
        ) { (context, options, _) throws(ZeroMQError) in Port(try XPublishSocket(context, options)) },
        SocketKind("xsub", "takes what it is subscribed to by messages that it sends") {
            (context, options, topics) throws(ZeroMQError) in
            let socket = try XSubscribeSocket(context, options)
            for topic in topics { socket.subscribe(Frame(topic)) }
            return Port(socket)
        },
        SocketKind("pair", "talks with one peer, both ways") { (context, options, _) throws(ZeroMQError) in
            Port(try PairSocket(context, options))
        },
        SocketKind("req", "asks with each message of the input, writes the answers", course: .asks) {
            (context, options, _) throws(ZeroMQError) in Port(try RequestSocket(context, options))
        },
        SocketKind("rep", "writes what it is asked, answers with the input or --echo", course: .answers) {
            (context, options, _) throws(ZeroMQError) in Port(try ReplySocket(context, options))
        },
        SocketKind("dealer", "sends to the peers in turn, takes from all") {
            (context, options, _) throws(ZeroMQError) in Port(try DealerSocket(context, options))
        },
        SocketKind("router", "the same with the peer's name as the first frame") {
            (context, options, _) throws(ZeroMQError) in Port(try RouterSocket(context, options))
        },
        SocketKind("stream", "bytes over tcp, with the connection's name as the first frame") {
            (context, options, _) throws(ZeroMQError) in Port(try StreamSocket(context, options))
        },
        SocketKind("client", "talks with a server") { (context, options, _) throws(ZeroMQError) in
            Port(try ClientSocket(context, options))
        },
        SocketKind("server", "talks with clients, whose numbers are the first frame") {
            (context, options, _) throws(ZeroMQError) in Port(numbered: try ServerSocket(context, options))
        },
        SocketKind("peer", "talks with peers, whose numbers are the first frame") {
            (context, options, _) throws(ZeroMQError) in Port(numbered: try PeerSocket(context, options))
        },
        SocketKind("channel", "talks with one channel, both ways") { (context, options, _) throws(ZeroMQError) in
            Port(try ChannelSocket(context, options))
        },
        SocketKind("scatter", "hands messages to gatherers in turn") {
            (context, options, _) throws(ZeroMQError) in Port(try ScatterSocket(context, options))
        },
        SocketKind("gather", "takes messages from all scatterers") {
            (context, options, _) throws(ZeroMQError) in Port(try GatherSocket(context, options))
        },
        SocketKind("radio", "sends to the group that the first frame names") {
            (context, options, _) throws(ZeroMQError) in Port(radio: try RadioSocket(context, options))
        },
        SocketKind("dish", "takes what is sent to the groups of --subscribe") {
            (context, options, groups) throws(ZeroMQError) in
            try Port(dish: DishSocket(context, options), groups: groups)
        },
    ]

    /// The names, for the help.
    static var names: String { all.map(\.name).joined(separator: ", ") }

    /// One line for each type.
    static var table: String {
        all.map { "  \($0.name)\(String(repeating: " ", count: 9 - $0.name.count))\($0.summary)" }
            .joined(separator: "\n")
    }
}
