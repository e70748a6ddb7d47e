import CLiburing
import Glibc
import Proactor

/// A state without free descriptors, for the calling thread alone where the kernel lets it have a table of its own
/// (unshare(CLONE_FILES)), else for the whole process by a lowered limit.
final class ScarceTable {
    private static let cloneFiles: Int32 = 0x400
    private let isPrivate: Bool
    private let limit: rlimit
    private var fillers: [Int32] = []

    init() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
        self.limit = limit
        // Not in every Swift overlay, hence by name.
        typealias Unshare = @convention(c) (Int32) -> Int32
        typealias CloseRange = @convention(c) (UInt32, UInt32, Int32) -> Int32
        guard limit.rlim_cur <= 1 << 20, let unshare = dlsym(nil, "unshare"),
            unsafeBitCast(unshare, to: Unshare.self)(Self.cloneFiles) == 0
        else {
            isPrivate = false
            return
        }
        isPrivate = true
        // The copies would keep other tests' connections open.
        if let closeRange = dlsym(nil, "close_range") {
            _ = unsafeBitCast(closeRange, to: CloseRange.self)(3, .max, 0)
        }
    }

    /// Takes every free descriptor.
    func fill() throws {
        let probe = dup(1)
        try require(probe >= 0, "dup: errno \(errno)")
        fillers.append(probe)
        if !isPrivate {
            var low = limit
            low.rlim_cur = min(limit.rlim_cur, rlim_t(probe) + 16)
            setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &low)
        }
        while true {
            let number = dup(probe)
            if number < 0 { break }
            fillers.append(number)
        }
        try require(errno == EMFILE, "dup: errno \(errno)")
    }

    /// Gives them back.
    func release() {
        for number in fillers { _ = Glibc.close(number) }
        fillers = []
        restore()
    }

    func restore() {
        guard !isPrivate else { return }
        var limit = limit
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
    }

    deinit { release() }
}
