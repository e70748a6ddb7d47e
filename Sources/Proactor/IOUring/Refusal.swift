import CLiburing
import Glibc

/// Why the kernel refuses a ring, told apart: a sysctl, a filter, an old kernel, a memory-lock limit.
extension Ring.Refusal {
    /// The error for the caller: `unavailable` with reason and cure, or `system` for want of a resource.
    var explained: ProactorError { explained(in: .current) }

    /// What this process may do, as far as it matters here.
    struct Surroundings {
        /// Value of kernel.io_uring_disabled (6.6); nil where the sysctl does not exist.
        var disabled: Int?
        /// Whether a seccomp filter is in force.
        var isFiltered = false
        var kernel: KernelVersion?
        /// Bytes that may be locked in memory; nil without a limit.
        var lockLimit: UInt64?

        static var current: Surroundings {
            var result = Surroundings()
            result.disabled = readText("/proc/sys/kernel/io_uring_disabled").flatMap {
                Int($0.prefix { $0.isNumber })
            }
            for line in (readText("/proc/self/status") ?? "").split(separator: "\n")
            where line.hasPrefix("Seccomp:") {
                result.isFiltered = line.hasSuffix("2")
            }
            result.kernel = KernelVersion(EngineReport.runningKernel)
            var limit = rlimit()
            if getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max
            {
                result.lockLimit = UInt64(limit.rlim_cur)
            }
            return result
        }
    }

    func explained(in surroundings: Surroundings) -> ProactorError {
        let cause: (reason: String, cure: String)
        let isSetUp = stage == "io_uring_setup"
        switch error.code {
        case EMFILE, ENFILE: return .system(error, during: stage)
        case ENOMEM:
            // Rings count as locked memory of processes without CAP_IPC_LOCK: all of them until 5.12, and still on
            // 6.18. With more room than any ring needs it is memory itself that is short.
            guard let limit = surroundings.lockLimit, isSetUp, limit <= Self.smallLockLimit
            else { return .system(error, during: stage) }
            cause = (
                "the rings exceed the limit of locked memory, \(limit >> 10) KiB",
                "raise it (ulimit -l, or LimitMEMLOCK of the service)"
            )
        case _ where isTooOld(surroundings): cause = Self.tooOld(surroundings)
        case EPERM where isSetUp && surroundings.disabled == 2:
            cause = (
                "the sysctl kernel.io_uring_disabled is 2: off for everybody",
                "run sysctl kernel.io_uring_disabled=0, or use epoll"
            )
        case EPERM where isSetUp && surroundings.disabled == 1 && geteuid() != 0:
            cause = (
                "the sysctl kernel.io_uring_disabled is 1: only with CAP_SYS_ADMIN or in kernel.io_uring_group",
                "run sysctl kernel.io_uring_disabled=0, join that group, or use epoll"
            )
        case EPERM, EACCES, ENOSYS:
            cause = forbidden(surroundings)
        case EINVAL: cause = Self.tooOld(surroundings)
        default:
            cause = ("the kernel's io_uring does not work as it should", "use epoll")
        }
        return .unavailable(.ioUring, stage: stage, error, reason: cause.reason, cure: cause.cure)
    }

    /// A few rings of the largest size take this much.
    private static var smallLockLimit: UInt64 { 4 << 20 }

    private func isTooOld(_ surroundings: Surroundings) -> Bool {
        guard error.code == ENOSYS || error.code == EINVAL, let kernel = surroundings.kernel else { return false }
        return kernel < KernelVersion(major: 5, minor: 11)
    }

    private static func tooOld(_ surroundings: Surroundings) -> (String, String) {
        let name = surroundings.kernel.map { "kernel \($0)" } ?? "this kernel"
        return ("\(name) lacks what the engine needs (first in 5.11)", "use a newer kernel, or epoll")
    }

    private func forbidden(_ surroundings: Surroundings) -> (String, String) {
        if surroundings.isFiltered {
            return (
                "a seccomp filter forbids it (as containers' default profiles do)",
                "allow io_uring_setup, io_uring_enter and io_uring_register in the profile, or use epoll"
            )
        }
        if error.code == ENOSYS {
            return ("the kernel was built without io_uring, or a sandbox hides it", "use another kernel, or epoll")
        }
        return ("a security module or a policy forbids it", "have the policy allow io_uring, or use epoll")
    }
}

extension Ring.Refusal.Surroundings {
    /// The beginning of a small text file.
    fileprivate static func readText(_ path: String) -> String? {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let file = Descriptor(owning: number)
        return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { memory in
            let count = read(file.number, memory.baseAddress!, memory.count)
            return count < 0 ? nil : String(decoding: memory.prefix(count), as: UTF8.self)
        }
    }
}
