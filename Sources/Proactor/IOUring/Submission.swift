import CLiburing

/// Submissions by kind: each fills one entry of the queue, straight-line.
extension Ring {
    /// `user_data` of the submissions that belong to no operation. A purpose is never above 127.
    enum Internal: UInt64 {
        /// Its result matters to nobody (cancel, futex wake).
        case ignored = 0xFF00_0000_0000_0000
        /// The waker's eventfd was read.
        case wake = 0xFF00_0000_0000_0001
    }

    mutating func submitReceive(
        _ descriptor: Int32, into memory: UnsafeMutableRawPointer, count: UInt32, flags: Int32, pollFirst: Bool,
        _ userData: UInt64
    ) {
        let sqe = next()
        proactor_sqe_fill(
            sqe, UInt8(IORING_OP_RECV.rawValue), descriptor, memory, count, UInt32(bitPattern: flags), userData)
        if pollFirst { sqe.pointee.ioprio = UInt16(IORING_RECVSEND_POLL_FIRST) }
    }

    /// Receives into a buffer that the kernel takes from the pool only when bytes are there.
    mutating func submitReceiveSelecting(_ descriptor: Int32, multishot: Bool, pollFirst: Bool, _ userData: UInt64)
    {
        let sqe = next()
        proactor_sqe_fill(sqe, UInt8(IORING_OP_RECV.rawValue), descriptor, nil, 0, 0, userData)
        sqe.pointee.flags = PROACTOR_SQE_BUFFER_SELECT
        sqe.pointee.ioprio =
            (multishot ? UInt16(IORING_RECV_MULTISHOT) : 0) | (pollFirst ? UInt16(IORING_RECVSEND_POLL_FIRST) : 0)
        proactor_sqe_set_buffer_group(sqe, ReceivePool.group)
    }

    /// The same for a pipe end.
    mutating func submitReadSelecting(_ descriptor: Int32, _ userData: UInt64) {
        let sqe = next()
        proactor_sqe_fill(sqe, UInt8(IORING_OP_READ.rawValue), descriptor, nil, 0, 0, userData)
        proactor_sqe_set_offset(sqe, .max)
        sqe.pointee.flags = PROACTOR_SQE_BUFFER_SELECT
        proactor_sqe_set_buffer_group(sqe, ReceivePool.group)
    }

    mutating func submitSend(
        _ descriptor: Int32, _ memory: UnsafeRawPointer, count: UInt32, flags: Int32, skipSuccess: Bool,
        _ userData: UInt64
    ) {
        let sqe = next()
        proactor_sqe_fill(
            sqe, UInt8(IORING_OP_SEND.rawValue), descriptor, memory, count, UInt32(bitPattern: flags), userData)
        if skipSuccess { sqe.pointee.flags = PROACTOR_SQE_CQE_SKIP_SUCCESS }
    }

    mutating func submitSendMessage(
        _ descriptor: Int32, _ message: UnsafePointer<msghdr>, flags: Int32, _ userData: UInt64
    ) {
        proactor_sqe_fill(
            next(), UInt8(IORING_OP_SENDMSG.rawValue), descriptor, message, 1, UInt32(bitPattern: flags), userData)
    }

    mutating func submitReceiveMessage(
        _ descriptor: Int32, _ message: UnsafeMutablePointer<msghdr>, _ userData: UInt64
    ) {
        proactor_sqe_fill(next(), UInt8(IORING_OP_RECVMSG.rawValue), descriptor, message, 1, 0, userData)
    }

    mutating func submitRead(
        _ descriptor: Int32, into memory: UnsafeMutableRawPointer, count: UInt32, _ userData: UInt64
    ) {
        let sqe = next()
        proactor_sqe_fill(sqe, UInt8(IORING_OP_READ.rawValue), descriptor, memory, count, 0, userData)
        proactor_sqe_set_offset(sqe, .max)  // the file's own position: pipes and eventfds have no other
    }

    mutating func submitAccept(_ listener: Int32, multishot: Bool, _ userData: UInt64) {
        let sqe = next()
        proactor_sqe_fill(
            sqe, UInt8(IORING_OP_ACCEPT.rawValue), listener, nil, 0, UInt32(SOCK_CLOEXEC.rawValue), userData)
        if multishot { sqe.pointee.ioprio = UInt16(IORING_ACCEPT_MULTISHOT) }
    }

    mutating func submitConnect(
        _ descriptor: Int32, _ address: UnsafeRawPointer, length: socklen_t, _ userData: UInt64
    ) {
        let sqe = next()
        proactor_sqe_fill(sqe, UInt8(IORING_OP_CONNECT.rawValue), descriptor, address, 0, 0, userData)
        proactor_sqe_set_offset(sqe, UInt64(length))
    }

    mutating func submitPoll(_ descriptor: Int32, _ events: UInt32, _ userData: UInt64) {
        proactor_sqe_fill(next(), UInt8(IORING_OP_POLL_ADD.rawValue), descriptor, nil, 0, events, userData)
    }

    /// Cancels the operation with this `user_data`.
    mutating func submitCancel(_ target: UInt64, skipSuccess: Bool) {
        let sqe = next()
        proactor_sqe_fill(
            sqe, UInt8(IORING_OP_ASYNC_CANCEL.rawValue), -1, nil, 0, 0, Internal.ignored.rawValue)
        proactor_sqe_set_address(sqe, target)
        if skipSuccess { sqe.pointee.flags = PROACTOR_SQE_CQE_SKIP_SUCCESS }
    }

    /// Cancels every operation on the descriptor (5.19), or with -1 every one of the ring.
    mutating func submitCancelAll(_ descriptor: Int32, skipSuccess: Bool) {
        let key = descriptor < 0 ? IORING_ASYNC_CANCEL_ANY : IORING_ASYNC_CANCEL_FD
        let sqe = next()
        proactor_sqe_fill(
            sqe, UInt8(IORING_OP_ASYNC_CANCEL.rawValue), descriptor, nil, 0,
            UInt32(key | IORING_ASYNC_CANCEL_ALL), Internal.ignored.rawValue)
        if skipSuccess { sqe.pointee.flags = PROACTOR_SQE_CQE_SKIP_SUCCESS }
    }

    /// Wakes one thread that sleeps on the word (6.7).
    mutating func submitFutexWake(_ word: UnsafeRawPointer, skipSuccess: Bool) {
        let sqe = next()
        proactor_sqe_fill(
            sqe, PROACTOR_OP_FUTEX_WAKE, Int32(PROACTOR_FUTEX2_SIZE_U32 | PROACTOR_FUTEX2_PRIVATE), word, 0, 0,
            Internal.ignored.rawValue)
        proactor_sqe_set_offset(sqe, 1)  // how many threads
        proactor_sqe_set_futex_mask(sqe, PROACTOR_FUTEX_ANY)
        if skipSuccess { sqe.pointee.flags = PROACTOR_SQE_CQE_SKIP_SUCCESS }
    }

    mutating func submitNop(_ userData: UInt64) {
        proactor_sqe_fill(next(), UInt8(IORING_OP_NOP.rawValue), -1, nil, 0, 0, userData)
    }
}
