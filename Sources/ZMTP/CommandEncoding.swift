// Whole command frames, header included, appended to the session's own control bytes.
extension Command {
    /// A command of any name: the body of its frame.
    public static func body(name: StaticString, data: some Collection<UInt8>) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(1 + name.utf8CodeUnitCount + data.count)
        body.append(UInt8(name.utf8CodeUnitCount))
        body.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        body.append(contentsOf: data)
        return body
    }

    /// Puts a frame header in front of a command's body; long above 255 octets (37/ZMTP, Authentication and
    /// Confidentiality).
    public static func appendFrame(body: [UInt8], to output: inout [UInt8]) {
        FrameHeader.append(to: &output, flags: .command, bodyCount: body.count)
        output.append(contentsOf: body)
    }

    /// ERROR, with the reason cut at 255 octets.
    public static func errorBody(reason: String) -> [UInt8] {
        let text = reason.utf8.prefix(255)
        return body(name: "ERROR", data: [UInt8(text.count)] + text)
    }

    /// PING with a time-to-live in tenths of a second, 0 for none, and a context of up to 16 octets.
    public static func appendPing(ttl: UInt16, context: some Collection<UInt8> = [], to output: inout [UInt8]) {
        precondition(context.count <= maximumContextCount)
        let data = [UInt8(ttl >> 8), UInt8(truncatingIfNeeded: ttl)] + context
        appendFrame(body: body(name: "PING", data: data), to: &output)
    }

    /// PONG with the context of the PING that it answers.
    public static func appendPong(context: some Collection<UInt8>, to output: inout [UInt8]) {
        precondition(context.count <= maximumContextCount)
        appendFrame(body: body(name: "PONG", data: context), to: &output)
    }

    /// JOIN: 1 to 255 octets, none of them zero.
    public static func appendJoin(group: some Collection<UInt8>, to output: inout [UInt8]) {
        precondition(group.count <= 255 && !group.contains(0))
        appendFrame(body: body(name: "JOIN", data: group), to: &output)
    }

    /// LEAVE.
    public static func appendLeave(group: some Collection<UInt8>, to output: inout [UInt8]) {
        precondition(group.count <= 255 && !group.contains(0))
        appendFrame(body: body(name: "LEAVE", data: group), to: &output)
    }
}
