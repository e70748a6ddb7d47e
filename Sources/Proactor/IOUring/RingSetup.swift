import CLiburing
import Glibc

/// Making a ring: from the newest set-up flags down to those of 5.11.
extension Ring {
    /// What a ring was granted.
    struct Set {
        /// Flags of io_uring_setup(2) in use.
        var flags: UInt32 = 0
        /// The kernel's feature bits.
        var kernel: UInt32 = 0
        /// Features in use, of those that set-up decides.
        var features: EngineFeatures = []
    }

    /// Why a ring could not be made: the call that failed and its errno.
    struct Refusal: Error {
        let stage: String
        let error: SystemError
    }

    /// Sizes: the completion queue is 16 times the submission queue, at most what any kernel allows.
    private static func completionEntries(_ depth: Int) -> UInt32 { UInt32(min(depth * 16, 65536)) }

    /// Sets up and maps a ring, asking for no more than `allowed`.
    static func make(depth: Int, allowed: EngineFeatures, _ page: consuming ForkPage) throws(Refusal) -> Ring {
        let handle = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        handle.initialize(to: io_uring())
        var set = Set()
        let answer = negotiate(handle, depth: depth, allowed: allowed, &set)
        guard answer == 0 else {
            handle.deallocate()
            throw Refusal(stage: "io_uring_setup", error: SystemError(code: -answer))
        }
        guard set.kernel & UInt32(IORING_FEAT_EXT_ARG) != 0 else {
            io_uring_queue_exit(handle)
            handle.deallocate()
            // Entering with a timeout needs 5.11; below it every wait would cost a timer operation.
            throw Refusal(stage: "io_uring_setup", error: SystemError(code: ENOSYS))
        }
        if allowed.contains(.registeredRing), io_uring_register_ring_fd(handle) == 1 {
            set.features.insert(.registeredRing)
        }
        let noIOWait = allowed.contains(.noIOWait) && set.kernel & PROACTOR_FEAT_NO_IOWAIT != 0
        if noIOWait { set.features.insert(.noIOWait) }
        if allowed.contains(.skipSuccess), set.kernel & UInt32(IORING_FEAT_CQE_SKIP) != 0 {
            set.features.insert(.skipSuccess)
        }
        return Ring(adopting: handle, setUp: set, noIOWait: noIOWait, page)
    }

    /// Tries the rungs from the best allowed one down: a kernel that does not know a flag answers EINVAL.
    private static func negotiate(
        _ handle: UnsafeMutablePointer<io_uring>, depth: Int, allowed: EngineFeatures, _ set: inout Set
    ) -> Int32 {
        let base = UInt32(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP)
        var answer: Int32 = -EINVAL
        for rung in rungs where allowed.isSuperset(of: rung.needs) {
            var parameters = io_uring_params()
            parameters.flags = base | rung.flags
            parameters.cq_entries = completionEntries(depth)
            answer = io_uring_queue_init_params(UInt32(depth), handle, &parameters)
            if answer == 0 {
                set.flags = parameters.flags
                set.kernel = parameters.features
                set.features = rung.needs
                return 0
            }
            guard answer == -EINVAL else { return answer }
        }
        return answer
    }

    /// Set-up flags by kernel, newest first. SUBMIT_ALL (5.18: one bad submission does not stop the others) has no
    /// feature of its own, so it comes with what is newer and is tried alone.
    private static var rungs: [(flags: UInt32, needs: EngineFeatures)] {
        let all = UInt32(IORING_SETUP_SUBMIT_ALL)
        let single = UInt32(IORING_SETUP_SINGLE_ISSUER)
        let taskRun = UInt32(IORING_SETUP_TASKRUN_FLAG)
        let cooperative = UInt32(IORING_SETUP_COOP_TASKRUN) | taskRun
        let deferred = UInt32(IORING_SETUP_DEFER_TASKRUN) | taskRun
        return [
            (all | single | deferred, [.singleIssuer, .deferredTaskRun]),  // 6.1
            (all | single | cooperative, [.singleIssuer, .cooperativeTaskRun]),  // 6.0
            (all | single, [.singleIssuer]),  // 6.0, cooperation masked
            (all | cooperative, [.cooperativeTaskRun]),  // 5.19
            (all, []),  // 5.18
            (0, []),  // 5.11
        ]
    }
}
