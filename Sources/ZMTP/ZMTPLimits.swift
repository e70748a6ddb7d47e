/// Every bound that this module puts on a peer, by name. Time is not among them: who owns the clock bounds the
/// handshake. A violation is a `ZMTPError` that closes the session.
public struct ZMTPLimits: Hashable, Sendable {
    /// Octets of one frame's body; nil is no bound, as libzmq's MAXMSGSIZE of -1. It is checked in the header,
    /// before a body octet arrives; sizes of 2^63 and more are refused in any case (37/ZMTP, Framing).
    public var maximumMessageSize: Int?
    /// Frames of one message: a peer could otherwise send empty frames with MORE for ever. 65,536.
    public var maximumParts: Int
    /// Octets in all bodies of one message; nil is no bound, since a message of one frame has none by default.
    public var maximumMessageBytes: Int?
    /// Octets of one command's body, during the handshake and after it. 65,536: metadata fits.
    public var maximumCommandSize: Int
    /// Octets of the prefix in a SUBSCRIBE or CANCEL command, which may be larger than other commands. 1,048,576.
    /// The message form of ZMTP 3.0 is bounded as a message.
    public var maximumSubscriptionSize: Int
    /// Octets of all command frames between the frames of one message: they wait there for the message's end.
    /// 65,536: thousands of PINGs, no endless flood of them.
    public var maximumBytesBetweenParts: Int
    /// Properties in one READY; each costs two allocations of ours. 128.
    public var maximumPropertyCount: Int

    /// The defaults, each of which can be changed.
    public init(
        maximumMessageSize: Int? = nil, maximumParts: Int = 65_536, maximumMessageBytes: Int? = nil,
        maximumCommandSize: Int = 65_536, maximumSubscriptionSize: Int = 1_048_576,
        maximumBytesBetweenParts: Int = 65_536, maximumPropertyCount: Int = 128
    ) {
        self.maximumMessageSize = maximumMessageSize
        self.maximumParts = maximumParts
        self.maximumMessageBytes = maximumMessageBytes
        self.maximumCommandSize = maximumCommandSize
        self.maximumSubscriptionSize = maximumSubscriptionSize
        self.maximumBytesBetweenParts = maximumBytesBetweenParts
        self.maximumPropertyCount = maximumPropertyCount
    }
}
