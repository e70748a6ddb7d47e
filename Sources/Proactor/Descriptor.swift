import CLiburing
import Glibc

/// An owned file descriptor: closed once, by its last owner, and never inherited (CLOEXEC).
public struct Descriptor: ~Copyable, Sendable {
    /// The number, borrowed: valid as long as this value lives.
    public let number: Int32

    /// Takes over an open descriptor.
    public init(owning number: Int32) {
        precondition(number >= 0, "a descriptor is not negative")
        self.number = number
    }

    deinit { _ = Glibc.close(number) }  // EINTR must not be retried: the number is free already (close(2))

    /// One send on a connected socket, by the calling thread, without an engine: it does not block and raises no
    /// SIGPIPE. For who is sure that no send of an engine is in flight on the descriptor.
    /// - Returns: the bytes that the kernel took, or a negative errno (`-EAGAIN` if it takes none now).
    package static func sendAtOnce(_ number: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let result = proactor_send(
                number, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            if result != -Int64(EINTR) { return Int(result) }
        }
    }

    /// Gives the number away; the caller closes it.
    public consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }
}
