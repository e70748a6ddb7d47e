/// One entry of the dictionary that peers exchange when they meet (37/ZMTP, Connection Metadata).
public struct Property: Hashable, Sendable {
    /// 1 to 255 letters, digits, `-`, `_`, `.`, `+`; case has no significance. `X-` is the applications' space.
    public let name: String
    /// Up to 2^31-1 octets.
    public let value: [UInt8]

    /// A property of octets.
    public init(name: String, value: [UInt8]) {
        self.name = name
        self.value = value
    }

    /// Whether the name may stand on the wire.
    public var hasValidName: Bool { name.utf8.count <= 255 && Self.isValid(name.utf8) }

    static func isValid(_ name: some Collection<UInt8>) -> Bool {
        !name.isEmpty
            && name.allSatisfy { octet in
                switch octet {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                    UInt8(ascii: "."), UInt8(ascii: "+"):
                    true
                default: false
                }
            }
    }
}

/// The dictionary that peers exchange when they meet, in the order of the wire.
public struct Metadata: Hashable, Sendable {
    /// The entries; no name appears twice.
    public private(set) var properties: [Property] = []

    /// No properties.
    public init() {}

    /// The value of the property of that name, whatever the case of its letters.
    public subscript(_ name: some StringProtocol) -> [UInt8]? {
        properties.first { Self.isSame($0.name, name) }?.value
    }

    /// Adds a property of ours. A bad or doubled name, or a value above 2^31-1 octets, is our own mistake.
    public mutating func add(_ property: Property) {
        precondition(property.hasValidName, "a property name is 1 to 255 letters, digits, - _ . +")
        precondition(property.value.count <= Self.maximumValueCount, "a property value ends at 2^31-1 octets")
        precondition(self[property.name] == nil, "a property has one value")
        properties.append(property)
    }

    /// Names are ASCII, so case folds octet by octet.
    private static func isSame(_ a: some StringProtocol, _ b: some StringProtocol) -> Bool {
        a.utf8.count == b.utf8.count && zip(a.utf8, b.utf8).allSatisfy { lowercase($0) == lowercase($1) }
    }

    private static func lowercase(_ octet: UInt8) -> UInt8 {
        octet >= UInt8(ascii: "A") && octet <= UInt8(ascii: "Z") ? octet | 0x20 : octet
    }

    private static let maximumValueCount = 0x7fff_ffff
}

// On the wire a property is a name (length octet, text) and a value (4 octets of length, big-endian, octets):
// 37/ZMTP, The NULL Security Mechanism; PLAIN and CURVE use the same form.
extension Metadata {
    /// Takes properties up to the end of `bytes`.
    ///
    /// Lengths are compared with what is there before anything is allocated.
    public init(parsing bytes: UnsafeRawBufferPointer, limits: ZMTPLimits = ZMTPLimits()) throws(ZMTPError) {
        var at = 0
        while at < bytes.count {
            guard properties.count < limits.maximumPropertyCount else { throw .tooManyProperties }
            let nameCount = Int(bytes[at])
            guard nameCount > 0 else { throw .invalidPropertyName }
            at += 1
            guard nameCount + 4 <= bytes.count - at else { throw .malformedProperty }
            let name = bytes[at..<at + nameCount]
            guard Property.isValid(name) else { throw .invalidPropertyName }
            at += nameCount
            let valueCount = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            at += 4
            guard valueCount <= Self.maximumValueCount else { throw .propertyValueTooLong }
            guard valueCount <= bytes.count - at else { throw .malformedProperty }
            let property = Property(
                name: String(decoding: name, as: UTF8.self), value: Array(bytes[at..<at + valueCount]))
            guard self[property.name] == nil else { throw .duplicateProperty }
            properties.append(property)
            at += valueCount
        }
    }

    /// The octets of all properties.
    public func encoded() -> [UInt8] {
        var output: [UInt8] = []
        for property in properties {
            output.append(UInt8(property.name.utf8.count))
            output.append(contentsOf: property.name.utf8)
            withUnsafeBytes(of: UInt32(property.value.count).bigEndian) { output.append(contentsOf: $0) }
            output.append(contentsOf: property.value)
        }
        return output
    }
}
