/// A change of a subscriber's subscriptions, in both of its wire forms (37/ZMTP, The Publish-Subscribe Pattern).
///
/// ZMTP 3.1 has the commands SUBSCRIBE and CANCEL with the prefix as data. Up to 3.0 it is a message of one frame:
/// 01 or 00, then the prefix. A publisher takes both forms from anybody, as the reference does. Subscriptions add
/// up: two need two cancellations.
public enum Subscription: UInt8, Hashable, Sendable {
    /// One holder less for the prefix.
    case cancel = 0
    /// One holder more.
    case subscribe = 1

    /// The change in a message's single body, and where the prefix is; nil if it is a message of another kind,
    /// which XSUB may send.
    public static func parse(message body: UnsafeRawBufferPointer) -> (change: Subscription, prefix: Range<Int>)? {
        guard let first = body.first, let change = Subscription(rawValue: first) else { return nil }
        return (change, 1..<body.count)
    }

    /// The change in a command, and where the prefix is; nil if it is another command.
    public static func parse(command: Command) -> (change: Subscription, prefix: Range<Int>)? {
        switch command.name {
        case .subscribe: (.subscribe, command.data)
        case .cancel: (.cancel, command.data)
        default: nil
        }
    }

    /// The frame for a peer of that version.
    public func appendFrame(
        prefix: some Collection<UInt8>, for version: ProtocolVersion, to output: inout [UInt8]
    ) {
        guard version < .v3_1 else {
            let name: StaticString = self == .subscribe ? "SUBSCRIBE" : "CANCEL"
            Command.appendFrame(body: Command.body(name: name, data: prefix), to: &output)
            return
        }
        if version == .v1_0 {
            V1FrameHeader.append(to: &output, more: false, bodyCount: prefix.count + 1)
        } else {
            FrameHeader.append(to: &output, flags: [], bodyCount: prefix.count + 1)
        }
        output.append(rawValue)
        output.append(contentsOf: prefix)
    }
}
