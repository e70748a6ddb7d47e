import ZMTP

/// The name of a RADIO-DISH group: 0 to 255 bytes, none of them zero (48/RADIO-DISH). Groups match as a whole.
public struct Group: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The longest name, in bytes.
    public static let maximumCount = 255

    /// The name's bytes.
    public let name: Frame

    /// The group with that name in UTF-8.
    /// - Throws: `invalidMessage` if it is too long or has a zero byte.
    public init(_ name: String) throws(ZeroMQError) { try self.init(Frame(name)) }

    /// The group with that name.
    /// - Throws: `invalidMessage` if it is too long or has a zero byte.
    public init(_ name: Frame) throws(ZeroMQError) {
        guard Self.isValid(name) else {
            throw ZeroMQError(.invalidMessage, "a group has 0 to 255 bytes, none of them zero: not \(name)")
        }
        self.name = name
    }

    /// The group with that name; a literal that is none is a mistake of the program.
    public init(stringLiteral value: String) {
        name = Frame(value)
        precondition(Self.isValid(name), "a group has 0 to 255 bytes, none of them zero")
    }

    /// From a peer.
    init?(received name: Frame) {
        guard Self.isValid(name) else { return nil }
        self.name = name
    }

    private static func isValid(_ name: Frame) -> Bool {
        name.count <= maximumCount && !name.withUnsafeBytes { $0.contains(0) }
    }

    /// The name.
    public var description: String { name.description }
}

/// A message and the group it was sent to.
public struct GroupMessage: Sendable, Hashable {
    /// The group.
    public var group: Group
    /// What was sent: one frame.
    public var message: Message

    /// A message to a group.
    public init(group: Group, message: Message) {
        self.group = group
        self.message = message
    }
}
