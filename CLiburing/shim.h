// What Swift cannot import by itself, and typed names for everything newer than the installed headers.
//
// Debian 12 ships liburing 2.3 while kernels are far newer: each constant below carries the first kernel that
// knows it, under a name of our own (PROACTOR_…), so nothing above this file holds a number.
#ifndef PROACTOR_SHIM_H
#define PROACTOR_SHIM_H

// Swift's own C module first: what it and the headers below declare alike then belongs to it alone. Otherwise both
// modules declare `timespec`, `sigset_t`…, and which of them the compiler takes for the owner (whose import a file
// must name, under MemberImportVisibility) changes from build to build.
#ifdef __swift__
#pragma clang module import SwiftGlibc
#endif
// No _GNU_SOURCE here, and a system header before liburing.h, which would define it: fd_set has other member names
// under it, and Swift's Glibc module is built without. Two definitions that differ break a clean build, depending on
// which module the compiler happens to build first.
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/futex.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// ---- io_uring: numbers newer than liburing 2.3 (linux/io_uring.h of the kernel named) ----

static const uint32_t PROACTOR_ENTER_NO_IOWAIT = 1u << 7;      // 6.15
static const uint32_t PROACTOR_FEAT_NO_IOWAIT = 1u << 17;      // 6.15
static const uint8_t PROACTOR_OP_SOCKET = 45;                  // 5.19
static const uint8_t PROACTOR_OP_SEND_ZC = 47;                 // 6.0
static const uint8_t PROACTOR_OP_FUTEX_WAKE = 52;              // 6.7
static const uint32_t PROACTOR_FUTEX2_SIZE_U32 = 0x02;         // 6.7, for the ring's futex operations
static const uint32_t PROACTOR_FUTEX2_PRIVATE = 128;           // 6.7
static const uint64_t PROACTOR_FUTEX_ANY = 0xffffffffu;        // FUTEX_BITSET_MATCH_ANY as a 64-bit mask

// Flags that liburing defines through an enumeration, which Swift does not import as numbers.
static const uint8_t PROACTOR_SQE_CQE_SKIP_SUCCESS = 1u << 6;  // 5.17
static const uint8_t PROACTOR_SQE_BUFFER_SELECT = 1u << 5;     // 5.7

// ---- futex: how a blocked application thread sleeps (futex(2)) ----

/// Sleeps while `*word == expected`, at most until the absolute CLOCK_MONOTONIC time; a null deadline waits on.
/// Returns 0 when woken, otherwise a negative errno (-EAGAIN, -EINTR, -ETIMEDOUT).
static inline int proactor_futex_wait(const void *word, uint32_t expected, const struct timespec *deadline) {
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, deadline, NULL,
                     FUTEX_BITSET_MATCH_ANY);
    return r < 0 ? -errno : 0;
}

/// Wakes at most `count` threads that sleep on `word`.
static inline int proactor_futex_wake(const void *word, int count) {
    long r = syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    return r < 0 ? -errno : (int)r;
}

/// A mutex that looks a few times before it sleeps (glibc bounds how often), for sections of some tens of nanoseconds.
static inline void proactor_adaptive_mutex(pthread_mutex_t *mutex) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(mutex, &kind);
    pthread_mutexattr_destroy(&kind);
}

/// Starts to bring a cache line near; any address is allowed.
static inline void proactor_prefetch(const void *address) { __builtin_prefetch(address); }

/// Names the calling thread; the kernel keeps 15 bytes.
static inline void proactor_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/// Gives free pages of the heap back to the kernel.
static inline void proactor_trim_heap(void) { malloc_trim(0); }

/// Whether a path names a socket.
static inline int proactor_is_socket(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

// ---- errno as a value: every call below answers >= 0 or a negative errno, and never sets a global ----

static inline int64_t proactor_result(int64_t r) { return r < 0 ? -(int64_t)errno : r; }

static inline int64_t proactor_send(int fd, const void *bytes, size_t count, int flags) {
    return proactor_result(send(fd, bytes, count, flags));
}
static inline int64_t proactor_receive(int fd, void *bytes, size_t count, int flags) {
    return proactor_result(recv(fd, bytes, count, flags));
}
static inline int64_t proactor_read(int fd, void *bytes, size_t count) { return proactor_result(read(fd, bytes, count)); }
static inline int64_t proactor_send_message(int fd, const struct msghdr *message, int flags) {
    return proactor_result(sendmsg(fd, message, flags));
}
static inline int64_t proactor_receive_message(int fd, struct msghdr *message, int flags) {
    return proactor_result(recvmsg(fd, message, flags));
}
// By number: accept4(2) is declared only under _GNU_SOURCE.
static inline int proactor_accept(int fd, int flags) { return (int)proactor_result(syscall(SYS_accept4, fd, NULL, NULL, flags)); }
static inline int proactor_connect(int fd, const void *address, socklen_t length) {
    return (int)proactor_result(connect(fd, (const struct sockaddr *)address, length));
}
static inline int proactor_eventfd(void) { return (int)proactor_result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

/// Adds one to an eventfd. A full counter means a wake is already on its way, so that is success too.
static inline int proactor_eventfd_add(int fd) {
    uint64_t one = 1;
    for (;;) {
        if (write(fd, &one, sizeof one) >= 0 || errno == EAGAIN) return 0;
        if (errno != EINTR) return -errno;
    }
}

/// writev(2) for a pipe end, which has no MSG_NOSIGNAL (RWF_NOSIGNAL is of 6.18): SIGPIPE is held back meanwhile
/// and taken off the thread again.
static inline int64_t proactor_write_silently(int fd, const struct iovec *list, int count) {
    sigset_t pipe_signal, before, pending;
    const struct timespec none = {0, 0};
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    int64_t result = proactor_result(writev(fd, list, count));
    if (result == -EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe_signal, NULL, &none) < 0 && errno == EINTR) {}
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

/// epoll_pwait2(2), kernel 5.11: nanosecond timeouts. -ENOSYS below, where the caller rounds up to milliseconds.
static inline int proactor_epoll_wait_ns(int fd, struct epoll_event *events, int count, const struct timespec *timeout) {
#ifdef SYS_epoll_pwait2
    return (int)proactor_result(syscall(SYS_epoll_pwait2, fd, events, count, timeout, NULL, 0));
#else
    (void)fd, (void)events, (void)count, (void)timeout;
    return -ENOSYS;
#endif
}
static inline int proactor_epoll_wait_ms(int fd, struct epoll_event *events, int count, int timeout) {
    return (int)proactor_result(epoll_wait(fd, events, count, timeout));
}

/// io_uring_enter(2) with IORING_ENTER_EXT_ARG (5.11): submits, waits and times out in one kernel entry.
static inline int proactor_ring_enter(int fd, unsigned submit, unsigned minimum, unsigned flags,
                                      const struct __kernel_timespec *timeout) {
    struct io_uring_getevents_arg argument;
    memset(&argument, 0, sizeof argument);
    argument.ts = (uint64_t)(uintptr_t)timeout;
    return (int)proactor_result(syscall(SYS_io_uring_enter, fd, submit, minimum, flags | IORING_ENTER_EXT_ARG,
                                        &argument, sizeof argument));
}

// ---- the rings, read and written by hand: one owner thread on our side, the kernel on the other ----

/// Pairs with the kernel's store-release of the same word (its new entries are visible after this load).
static inline uint32_t proactor_load_acquire(const unsigned *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline uint32_t proactor_load_relaxed(const unsigned *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
/// Pairs with the kernel's load-acquire of the same word (what was written before is visible to it).
static inline void proactor_store_release(unsigned *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/// Fills a submission with what nearly every operation has; everything else is zero.
static inline void proactor_sqe_fill(struct io_uring_sqe *sqe, uint8_t opcode, int fd, const void *address,
                                     uint32_t length, uint32_t op_flags, uint64_t user_data) {
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->addr = (uint64_t)(uintptr_t)address;
    sqe->len = length;
    sqe->msg_flags = op_flags;  // one word with poll32_events, accept_flags, cancel_flags, rw_flags
    sqe->user_data = user_data;
}
static inline void proactor_sqe_set_address(struct io_uring_sqe *sqe, uint64_t address) { sqe->addr = address; }
static inline void proactor_sqe_set_offset(struct io_uring_sqe *sqe, uint64_t offset) { sqe->off = offset; }
static inline void proactor_sqe_set_buffer_group(struct io_uring_sqe *sqe, uint16_t group) { sqe->buf_group = group; }
/// The bitset of a futex operation (6.7) travels in `addr3`.
static inline void proactor_sqe_set_futex_mask(struct io_uring_sqe *sqe, uint64_t mask) { sqe->addr3 = mask; }

/// The number of the newest opcode of liburing 2.3's enumeration is too small for a newer kernel: ask by number.
static inline int proactor_ring_supports(const struct io_uring_probe *probe, int opcode) {
    return io_uring_opcode_supported(probe, opcode);
}

/// A store that later plain code of this thread cannot be moved across by the compiler (it emits nothing).
static inline void proactor_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

#endif
