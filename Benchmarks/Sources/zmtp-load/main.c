// The load for all scenarios with many connections, the same for every contender: raw ZMTP clients of one process, one
// thread and one epoll set. Each mode prints one JSON line.
#include "zmtp-load.h"

#include <stdio.h>

static const char usage[] = "usage: zmtp-load subscribe PORT CONNECTIONS TOPICS SIZE COUNT SERVER-PID  (TOPICS 0: all)\n"
                            "       zmtp-load push PORT CONNECTIONS BYTES-PER-WRITE COUNT\n"
                            "       zmtp-load echo PORT CONNECTIONS SECONDS SERVER-PID\n"
                            "       zmtp-load hold PORT CONNECTIONS SECONDS SERVER-PID";

int main(int argc, char **argv) {
    bench_die_with_parent();
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_raise_descriptor_limit(1 << 16);
    const char *mode = argc > 1 ? argv[1] : "";
    const int count = argc > 3 ? atoi(argv[3]) : 0;
    if (count < 1) bench_fail("%s", usage);
    if (argc == 8 && strcmp(mode, "subscribe") == 0)
        run_subscribe(argv[2], count, (unsigned)atoi(argv[4]), (size_t)atol(argv[5]), (uint64_t)atoll(argv[6]),
                      atoi(argv[7]));
    else if (argc == 6 && strcmp(mode, "push") == 0)
        run_push(argv[2], count, (size_t)atol(argv[4]), (uint64_t)atoll(argv[5]));
    else if (argc == 6 && strcmp(mode, "echo") == 0)
        run_echo(argv[2], count, atof(argv[4]), atoi(argv[5]));
    else if (argc == 6 && strcmp(mode, "hold") == 0)
        run_hold(argv[2], count, atof(argv[4]), atoi(argv[5]));
    else
        bench_fail("%s", usage);
    return 0;
}

struct connections open_connections(const char *port, const char *type, int count, uint32_t events) {
    const struct sockaddr_in address = raw_loopback(port);
    struct connections all = {count, epoll_create1(EPOLL_CLOEXEC), calloc((size_t)count, sizeof(int))};
    raw_connect(&address, type, all.fds, count);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = events, .data.u32 = (uint32_t)i};
        if (epoll_ctl(all.poller, EPOLL_CTL_ADD, all.fds[i], &event) != 0) bench_fail("epoll: %s", strerror(errno));
    }
    return all;
}

int wait_for_events(const struct connections *connections, struct epoll_event *events, const char *what) {
    const int ready = epoll_wait(connections->poller, events, events_per_turn, patience_ms);
    if (ready == 0) bench_fail("no %s for %d seconds", what, patience_ms / 1000);
    if (ready < 0 && errno != EINTR) bench_fail("epoll: %s", strerror(errno));
    return ready;
}

size_t receive_some(int fd, void *bytes, size_t size) {
    const ssize_t n = recv(fd, bytes, size, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n <= 0) bench_fail("the server left: %s", n == 0 ? "end of stream" : strerror(errno));
    return (size_t)n;
}
