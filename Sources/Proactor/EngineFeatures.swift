/// What newer kernels add to io_uring, one bit each. A mask of these makes a new kernel behave like an older one,
/// which is how the laws are checked on rungs that are not installed.
public struct EngineFeatures: OptionSet, Sendable, Hashable {
    /// The bits.
    public let rawValue: UInt32
    /// From the bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Sends that complete without an entry in the completion queue (IOSQE_CQE_SKIP_SUCCESS), 5.17.
    public static let skipSuccess = EngineFeatures(rawValue: 1 << 0)
    /// A registered ring descriptor: saves a file look-up per entry, 5.18.
    public static let registeredRing = EngineFeatures(rawValue: 1 << 1)
    /// One accept for all connections (IORING_ACCEPT_MULTISHOT), 5.19.
    public static let multishotAccept = EngineFeatures(rawValue: 1 << 2)
    /// Rings of provided buffers (IORING_REGISTER_PBUF_RING), 5.19. Below: poll, then receive into a pool buffer.
    public static let bufferRing = EngineFeatures(rawValue: 1 << 3)
    /// Cancelling all operations of a descriptor at once (IORING_ASYNC_CANCEL_FD), 5.19. Below: token by token.
    public static let cancelByDescriptor = EngineFeatures(rawValue: 1 << 4)
    /// No interrupts for task work (IORING_SETUP_COOP_TASKRUN with TASKRUN_FLAG), 5.19.
    public static let cooperativeTaskRun = EngineFeatures(rawValue: 1 << 5)
    /// Many receives from one submission (IORING_RECV_MULTISHOT), 6.0.
    public static let multishotReceive = EngineFeatures(rawValue: 1 << 6)
    /// Only one thread submits (IORING_SETUP_SINGLE_ISSUER), 6.0.
    public static let singleIssuer = EngineFeatures(rawValue: 1 << 7)
    /// Completions run only when the loop enters (IORING_SETUP_DEFER_TASKRUN), 6.1.
    public static let deferredTaskRun = EngineFeatures(rawValue: 1 << 8)
    /// Waking a sleeping thread from the ring (IORING_OP_FUTEX_WAKE), 6.7.
    public static let futexWake = EngineFeatures(rawValue: 1 << 9)
    /// Waiting is not accounted as iowait (IORING_ENTER_NO_IOWAIT), 6.15.
    public static let noIOWait = EngineFeatures(rawValue: 1 << 10)

    /// Everything this package knows.
    public static let all = EngineFeatures(rawValue: (1 << 11) - 1)

    /// Name and first kernel of each feature, oldest first.
    public static let table: [(feature: EngineFeatures, name: String, since: String)] = [
        (.skipSuccess, "skip-success", "5.17"),
        (.registeredRing, "registered-ring", "5.18"),
        (.multishotAccept, "multishot-accept", "5.19"),
        (.bufferRing, "buffer-ring", "5.19"),
        (.cancelByDescriptor, "cancel-by-descriptor", "5.19"),
        (.cooperativeTaskRun, "cooperative-task-run", "5.19"),
        (.multishotReceive, "multishot-receive", "6.0"),
        (.singleIssuer, "single-issuer", "6.0"),
        (.deferredTaskRun, "deferred-task-run", "6.1"),
        (.futexWake, "futex-wake", "6.7"),
        (.noIOWait, "no-iowait", "6.15"),
    ]

    /// The features of a kernel version, given as "5.19".
    public static func kernel(_ version: KernelVersion) -> EngineFeatures {
        table.reduce(into: []) { set, row in
            if let since = KernelVersion(row.since), since <= version { set.insert(row.feature) }
        }
    }
}

/// Major and minor version of a kernel.
public struct KernelVersion: Comparable, Hashable, Sendable, CustomStringConvertible {
    /// The first number.
    public let major: Int
    /// The second number.
    public let minor: Int

    /// A version by its numbers.
    public init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// From text that begins like "6.12" or "6.12.3-distribution"; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1].prefix { $0.isNumber })
        else { return nil }
        self.init(major: major, minor: minor)
    }

    /// Older is less.
    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }

    /// As in "6.12".
    public var description: String { "\(major).\(minor)" }
}
