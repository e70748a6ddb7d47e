// The least that an io_uring echo server can do, in C with liburing alone: the measure for ours.
//
// One thread, single issuer with deferred task run, multishot accept, multishot receive into a provided buffer ring,
// sends straight from the provided buffer, one kernel entry per turn. Its load has one request outstanding per
// connection; nothing here keeps two sends on one connection in order.
#include <contender.h>
#include <errno.h>
#include <inttypes.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { buffers = 4096, buffer_size = 2048, depth = 4096, group = 0 };
enum purpose { accepting, receiving, sending, leaving };

static struct io_uring ring;
static struct io_uring_buf_ring *lent;
static char *memory;
static struct {
    uint32_t sent, length;
} parcel[buffers];  // what is left of a short send
static uint64_t requests;

static uint64_t pack(enum purpose purpose, unsigned buffer, int fd) {
    return (uint64_t)purpose << 56 | (uint64_t)buffer << 32 | (uint32_t)fd;
}

static char *start_of(unsigned buffer) { return memory + (size_t)buffer * buffer_size; }

static void recycle(unsigned buffer) {
    io_uring_buf_ring_add(lent, start_of(buffer), buffer_size, (unsigned short)buffer,
                          io_uring_buf_ring_mask(buffers), 0);
    io_uring_buf_ring_advance(lent, 1);
}

static struct io_uring_sqe *entry(void) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    while (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void start_accept(int listener) {
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    sqe->user_data = pack(accepting, 0, listener);
}

static void start_receive(int fd) {
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = group;
    sqe->user_data = pack(receiving, 0, fd);
}

static void start_send(int fd, unsigned buffer) {
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_send(sqe, fd, start_of(buffer) + parcel[buffer].sent, parcel[buffer].length - parcel[buffer].sent,
                       MSG_NOSIGNAL);
    sqe->user_data = pack(sending, buffer, fd);
}

static void set_up(void) {
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * depth,
    };
    int error = io_uring_queue_init_params(depth, &ring, &parameters);
    if (error) bench_fail("io_uring_queue_init_params: %s", strerror(-error));
    const size_t size = buffers * sizeof(struct io_uring_buf);
    if (posix_memalign((void **)&lent, 4096, size) || posix_memalign((void **)&memory, 4096, buffers * buffer_size))
        bench_fail("no memory");
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)lent, .ring_entries = buffers, .bgid = group};
    error = io_uring_register_buf_ring(&ring, &registration, 0);
    if (error) bench_fail("io_uring_register_buf_ring: %s", strerror(-error));
    io_uring_buf_ring_init(lent);
    for (unsigned buffer = 0; buffer < buffers; buffer++) recycle(buffer);
}

static int listen_and_tell(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 4096) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        bench_fail("cannot listen: %s", strerror(errno));
    printf("{\"endpoint\":\"tcp://127.0.0.1:%u\"}\n", ntohs(address.sin_port));
    return listener;
}

static void complete(const struct io_uring_cqe *cqe) {
    const int fd = (int)(uint32_t)cqe->user_data;
    switch ((enum purpose)(cqe->user_data >> 56)) {
    case accepting:
        if (cqe->res >= 0) start_receive(cqe->res);
        if (!(cqe->flags & IORING_CQE_F_MORE)) start_accept(fd);
        break;
    case receiving:
        if (cqe->res > 0) {
            const unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
            parcel[buffer].sent = 0;
            parcel[buffer].length = (uint32_t)cqe->res;
            requests++;
            start_send(fd, buffer);
            if (!(cqe->flags & IORING_CQE_F_MORE)) start_receive(fd);
        } else if (cqe->res == -ENOBUFS) {
            start_receive(fd);
        } else {
            close(fd);
        }
        break;
    case sending: {
        const unsigned buffer = (cqe->user_data >> 32) & 0xFFFF;
        if (cqe->res > 0 && (parcel[buffer].sent += (uint32_t)cqe->res) < parcel[buffer].length)
            start_send(fd, buffer);
        else
            recycle(buffer);
        break;
    }
    case leaving:
        printf("{\"contender\":\"liburing\",\"role\":\"echo\",\"backend\":\"io_uring\",\"messages\":%" PRIu64
               ",\"cpu_seconds\":%.6f,\"max_rss_kib\":%ld}\n",
               requests, bench_cpu_seconds(), bench_max_rss());
        exit(0);
    }
}

int main(void) {
    bench_die_with_parent();
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_raise_descriptor_limit(1 << 16);
    set_up();
    start_accept(listen_and_tell());
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_poll_add(sqe, STDIN_FILENO, POLLIN);  // the runner closes it to say "leave"
    sqe->user_data = pack(leaving, 0, 0);
    for (;;) {
        const int error = io_uring_submit_and_wait(&ring, 1);
        if (error < 0 && error != -EINTR) bench_fail("io_uring_submit_and_wait: %s", strerror(-error));
        unsigned head, seen = 0;
        struct io_uring_cqe *cqe;
        io_uring_for_each_cqe(&ring, head, cqe) {
            complete(cqe);
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
    }
}
