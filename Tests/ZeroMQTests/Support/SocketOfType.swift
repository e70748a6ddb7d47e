import ZMTP
import ZeroMQ

extension SocketType {
    /// A socket of a type that is known only when the test runs.
    func make(_ context: Context, _ options: SocketOptions = .test) throws -> Socket {
        switch self {
        case .pair: try PairSocket(context, options)
        case .pub: try PublishSocket(context, options)
        case .sub: try SubscribeSocket(context, options)
        case .req: try RequestSocket(context, options)
        case .rep: try ReplySocket(context, options)
        case .dealer: try DealerSocket(context, options)
        case .router: try RouterSocket(context, options)
        case .pull: try PullSocket(context, options)
        case .push: try PushSocket(context, options)
        case .xpub: try XPublishSocket(context, options)
        case .xsub: try XSubscribeSocket(context, options)
        case .stream: try StreamSocket(context, options)
        case .server: try ServerSocket(context, options)
        case .client: try ClientSocket(context, options)
        case .radio: try RadioSocket(context, options)
        case .dish: try DishSocket(context, options)
        case .gather: try GatherSocket(context, options)
        case .scatter: try ScatterSocket(context, options)
        case .peer: try PeerSocket(context, options)
        case .channel: try ChannelSocket(context, options)
        }
    }
}

/// Two types, one of them bound: generated from the table of types, so that no pair can be forgotten.
struct TypePair: Sendable {
    let bound: SocketType
    let connected: SocketType

    var isLegal: Bool { bound.isCompatible(with: connected) }
    /// Stock libzmq lacks one of them: what has messages of one frame is a draft there.
    var isDraft: Bool { bound.isSinglePart || connected.isSinglePart }

    static let all = SocketType.allCases.flatMap { bound in
        SocketType.allCases.map { TypePair(bound: bound, connected: $0) }
    }
    static let drafts = all.filter { $0.isLegal && $0.isDraft }
    static let illegal = all.filter { !$0.isLegal }
}
