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

    /// Gives the number away; the caller closes it.
    public consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }
}
