import Glibc
import ZeroMQ

/// A generated body by seed and size, as both sides make and recognise it.
struct Body {
    let seed: UInt64
    let size: Int

    var bytes: [UInt8] { GeneratedBody.bytes(seed: seed, size: size) }
    var frame: Frame { Frame(bytes) }
    var theirs: PythonPeer.Frame { .generated(seed: seed, size: size) }

    /// Bodies of these sizes, with seeds from one on.
    static func several(_ sizes: [Int], seed: UInt64) -> [Body] {
        sizes.enumerated().map { Body(seed: seed + UInt64($0.offset), size: $0.element) }
    }
}

/// Frames in front, as given, then bodies: the whole of a message.
struct Shape: CustomStringConvertible {
    var prefix: [[UInt8]] = []
    var bodies: [Body]

    var ours: Message { Message(frames: prefix.map { Frame($0) } + bodies.map(\.frame)) }
    var theirs: [PythonPeer.Frame] { prefix.map { .bytes($0) } + bodies.map(\.theirs) }

    var description: String { "\(prefix) + bodies of \(bodies.map(\.size)) bytes" }

    /// Why a message is another one; nil if it is this.
    func difference(_ message: Message) -> String? {
        let wanted = prefix + bodies.map(\.bytes)
        guard message.count == wanted.count else { return "\(message.count) frames: \(message)" }
        for (index, (frame, bytes)) in zip(message, wanted).enumerated() {
            let same = frame.withUnsafeBytes { frame in
                frame.count == bytes.count
                    && (frame.isEmpty || memcmp(frame.baseAddress!, bytes, bytes.count) == 0)
            }
            guard same else { return "frame \(index) is \(frame)" }
        }
        return nil
    }

    /// The same for what the peer tells: bytes of small frames, size and seed of large ones.
    func difference(_ frames: [PythonPeer.Answer.Received]) -> String? {
        guard frames.count == prefix.count + bodies.count else { return "\(frames.count) frames: \(frames)" }
        for (frame, bytes) in zip(frames, prefix) where frame.bytes != bytes { return "prefix \(frame)" }
        for (frame, body) in zip(frames.dropFirst(prefix.count), bodies) {
            guard frame.size == body.size, frame.seed == body.seed || frame.bytes == body.bytes else {
                return "a frame of \(frame.size) bytes, seed \(frame.seed ?? 0), instead of \(body)"
            }
        }
        return nil
    }
}
