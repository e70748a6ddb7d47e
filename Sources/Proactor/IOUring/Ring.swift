import CLiburing
import Glibc

/// One io_uring: its queues, read and written by hand, and the entry into the kernel. One owner thread.
///
/// `liburing` makes and maps the rings; the hot path uses its pointers but not its calls. A submission that finds
/// the queue full enters early; if the kernel takes nothing then, it goes to a backlog that keeps the order.
struct Ring: ~Copyable {
    /// liburing's record of the mapping; on the heap, as its calls keep the address.
    let handle: UnsafeMutablePointer<io_uring>
    /// What the kernel granted of the flags asked for.
    let setUp: Set
    private let submissionHead: UnsafeMutablePointer<UInt32>
    private let submissionTail: UnsafeMutablePointer<UInt32>
    private let kernelFlags: UnsafeMutablePointer<UInt32>
    private let submissions: UnsafeMutablePointer<io_uring_sqe>
    private let submissionMask: UInt32
    private let completionHead: UnsafeMutablePointer<UInt32>
    private let completionTail: UnsafeMutablePointer<UInt32>
    private let completions: UnsafeMutablePointer<io_uring_cqe>
    private let completionMask: UInt32
    private let enterDescriptor: Int32
    private let enterFlags: UInt32

    /// Our end of the submission queue; the kernel sees it at the next entry.
    private var tail: UInt32
    /// Our end of the completion queue.
    private var head: UInt32
    private var backlog = SubmissionBacklog()
    private let forkPage: ForkPage
    private var isOpen = true

    /// Kernel entries made.
    private(set) var entries: UInt64 = 0
    /// Times the submission queue was full.
    private(set) var submissionOverflows: UInt64 = 0
    /// Times the kernel flagged an overflown completion queue.
    private(set) var completionOverflows: UInt64 = 0

    /// Takes over a ring that `Ring.make` has set up and mapped.
    init(
        adopting handle: UnsafeMutablePointer<io_uring>, setUp: Set, noIOWait: Bool, _ forkPage: consuming ForkPage
    ) {
        self.handle = handle
        self.forkPage = forkPage
        self.setUp = setUp
        let (sq, cq) = (handle.pointee.sq, handle.pointee.cq)
        submissionHead = sq.khead
        submissionTail = sq.ktail
        kernelFlags = sq.kflags
        submissions = sq.sqes
        submissionMask = sq.ring_mask
        completionHead = cq.khead
        completionTail = cq.ktail
        completions = cq.cqes
        completionMask = cq.ring_mask
        let isRegistered = handle.pointee.enter_ring_fd != handle.pointee.ring_fd
        enterDescriptor = handle.pointee.enter_ring_fd
        enterFlags =
            (isRegistered ? UInt32(IORING_ENTER_REGISTERED_RING) : 0) | (noIOWait ? PROACTOR_ENTER_NO_IOWAIT : 0)
        tail = proactor_load_relaxed(sq.ktail)
        head = proactor_load_relaxed(cq.khead)
        // The indirection of the submission queue is filled once, as the identity.
        for index in 0..<sq.ring_entries { sq.array[Int(index)] = index }
    }

    deinit {
        if isOpen { io_uring_queue_exit(handle) }
        handle.deallocate()
    }

    /// Ends the ring before its owner frees what the kernel might still write to.
    mutating func exit() {
        guard isOpen else { return }
        isOpen = false
        if isForked {
            // The ring is the parent's: only this process' copies of its descriptor and mappings go.
            munmap(handle.pointee.sq.ring_ptr, handle.pointee.sq.ring_sz)
            _ = Glibc.close(handle.pointee.ring_fd)
        } else {
            io_uring_queue_exit(handle)
        }
    }

    /// Whether this process is a forked child of the one that made the ring.
    var isForked: Bool { forkPage.isChild }

    // MARK: Submitting

    /// Submissions that the kernel has not taken yet.
    var pending: UInt32 {
        (tail &- proactor_load_relaxed(submissionHead)) &+ UInt32(truncatingIfNeeded: backlog.count)
    }

    /// The next submission, to be filled before anything else is asked of the ring.
    mutating func next() -> UnsafeMutablePointer<io_uring_sqe> {
        if hasRoom, !isForked {
            defer { tail &+= 1 }
            return submissions + Int(tail & submissionMask)
        }
        return nextAfterFlush()
    }

    @inline(never)
    private mutating func nextAfterFlush() -> UnsafeMutablePointer<io_uring_sqe> {
        // The queue is shared with the parent, which alone may fill it; the child's `wait` tells it so.
        guard !isForked else { return backlog.append() }
        submissionOverflows += 1
        _ = enter(minimum: 0, timeout: nil)
        if hasRoom {
            defer { tail &+= 1 }
            return submissions + Int(tail & submissionMask)
        }
        return backlog.append()
    }

    private var hasRoom: Bool {
        backlog.isEmpty && tail &- proactor_load_relaxed(submissionHead) <= submissionMask
    }

    private mutating func moveBacklog() {
        while !backlog.isEmpty, tail &- proactor_load_relaxed(submissionHead) <= submissionMask {
            submissions[Int(tail & submissionMask)] = backlog.removeFirst()
            tail &+= 1
        }
    }

    // MARK: Entering

    /// Whether the kernel holds work or completions that only an entry brings out.
    var isFlagged: Bool {
        proactor_load_relaxed(kernelFlags) & UInt32(IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN) != 0
    }

    /// Submits what is pending and waits for `minimum` completions, at most for the timeout.
    ///
    /// GETEVENTS always: it is what runs deferred work and brings back an overflown completion queue (6.1, 5.5).
    /// - Returns: how many submissions were taken, or a negative errno.
    mutating func enter(minimum: UInt32, timeout: UnsafePointer<__kernel_timespec>?) -> Int32 {
        if !backlog.isEmpty { moveBacklog() }
        if proactor_load_relaxed(kernelFlags) & UInt32(IORING_SQ_CQ_OVERFLOW) != 0 { completionOverflows += 1 }
        proactor_store_release(submissionTail, tail)
        entries += 1
        return proactor_ring_enter(
            enterDescriptor, tail &- proactor_load_relaxed(submissionHead), minimum,
            UInt32(IORING_ENTER_GETEVENTS) | enterFlags, timeout)
    }

    /// Waits a little without submitting: the kernel is out of memory for requests (EAGAIN).
    mutating func pause(_ timeout: UnsafePointer<__kernel_timespec>) {
        entries += 1
        _ = proactor_ring_enter(enterDescriptor, 0, 1, UInt32(IORING_ENTER_GETEVENTS) | enterFlags, timeout)
    }

    // MARK: Completing

    /// Where the kernel's end of the completion queue is now; `hasPassed` tells when all up to it was taken.
    var completionEnd: UInt32 { proactor_load_acquire(completionTail) }

    /// Whether everything up to a former `completionEnd` was taken. Both wrap, hence the signed difference.
    func hasPassed(_ end: UInt32) -> Bool { Int32(bitPattern: head &- end) >= 0 }

    /// Whether a completion lies in the queue.
    var hasCompletion: Bool { head != proactor_load_acquire(completionTail) }

    /// Takes one completion off the queue. Its place is the kernel's again at once.
    mutating func takeCompletion() -> Entry? {
        guard head != proactor_load_acquire(completionTail) else { return nil }
        let entry = completions + Int(head & completionMask)
        let value = Entry(userData: entry.pointee.user_data, result: entry.pointee.res, flags: entry.pointee.flags)
        head &+= 1
        proactor_store_release(completionHead, head)
        return value
    }

    /// A completion as the kernel wrote it.
    struct Entry {
        let userData: UInt64
        let result: Int32
        let flags: UInt32

        var hasMore: Bool { flags & UInt32(IORING_CQE_F_MORE) != 0 }
        var hasBuffer: Bool { flags & UInt32(IORING_CQE_F_BUFFER) != 0 }
        var buffer: UInt16 { UInt16(truncatingIfNeeded: flags >> 16) }
        /// More bytes were waiting when the receive was done (5.19).
        var isSocketNonempty: Bool { flags & UInt32(IORING_CQE_F_SOCK_NONEMPTY) != 0 }
    }
}

/// Submissions that found no room even after an early entry, in order. Empty in all but the worst moments.
struct SubmissionBacklog: ~Copyable {
    private var storage: UnsafeMutablePointer<io_uring_sqe>?
    private var capacity = 0
    private var first = 0
    private var end = 0

    deinit { storage?.deallocate() }

    var isEmpty: Bool { first == end }
    var count: Int { end - first }

    /// A place at the end, valid until the next call.
    mutating func append() -> UnsafeMutablePointer<io_uring_sqe> {
        if end == capacity {
            let larger = UnsafeMutablePointer<io_uring_sqe>.allocate(capacity: max(64, count * 2))
            if let storage {
                larger.update(from: storage + first, count: count)  // trivial type
                storage.deallocate()
            }
            capacity = max(64, count * 2)
            (first, end) = (0, count)
            storage = larger
        }
        defer { end += 1 }
        return storage! + end
    }

    mutating func removeFirst() -> io_uring_sqe {
        let value = storage![first]
        first += 1
        if first == end { (first, end) = (0, 0) }
        return value
    }
}
