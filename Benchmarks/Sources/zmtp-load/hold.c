// Quiet peers that answer heartbeats (RFC 37, Connection Heartbeating): each PING with a PONG of the same context.
//
// The window begins a fifth of its length after the last handshake. Messages are the PINGs of all within it.
#include "zmtp-load.h"

#include <inttypes.h>
#include <stdio.h>

enum { buffer_size = 128, time_to_live_size = 2 };

struct peer {
    size_t received;
    unsigned char bytes[buffer_size];
};

/// Answers the command at the start of the buffer. Returns its size, 0 if it is not whole.
static size_t answer(int fd, const unsigned char *bytes, size_t count) {
    if (count < raw_short_header || count < (size_t)raw_short_header + bytes[1]) return 0;
    const size_t head = raw_short_header + 5 + time_to_live_size, size = (size_t)raw_short_header + bytes[1];
    if (bytes[0] != raw_command || size < head || memcmp(bytes + raw_short_header, "\4PING", 5) != 0)
        bench_fail("not a PING");
    unsigned char pong[buffer_size] = {raw_command, (unsigned char)(bytes[1] - time_to_live_size), 4, 'P', 'O', 'N', 'G'};
    memcpy(pong + raw_short_header + 5, bytes + head, size - head);
    if (send(fd, pong, size - time_to_live_size, MSG_NOSIGNAL) != (ssize_t)(size - time_to_live_size))
        bench_fail("send: %s", strerror(errno));
    return size;
}

void run_hold(const char *port, int count, double seconds, int server) {
    const struct connections connections = open_connections(port, "DEALER", count, EPOLLIN);
    struct peer *peers = calloc((size_t)count, sizeof *peers);
    const uint64_t warm = bench_now() + (uint64_t)(seconds * 0.2e9), wanted_end = warm + (uint64_t)(seconds * 1e9);
    uint64_t start = 0, end = 0, pings = 0;
    double server_cpu = 0;
    while (end < wanted_end) {
        struct epoll_event events[events_per_turn];
        const int ready = epoll_wait(connections.poller, events, events_per_turn, 10);
        for (int i = 0; i < ready; i++) {
            const uint32_t index = events[i].data.u32;
            struct peer *peer = &peers[index];
            peer->received += receive_some(connections.fds[index], peer->bytes + peer->received,
                                           buffer_size - peer->received);
            for (size_t size; (size = answer(connections.fds[index], peer->bytes, peer->received)) > 0; pings++)
                memmove(peer->bytes, peer->bytes + size, peer->received -= size);
        }
        end = bench_now();
        if (start == 0 && end >= warm) start = end, pings = 0, server_cpu = bench_cpu_seconds_of(server);
    }
    server_cpu = bench_cpu_seconds_of(server) - server_cpu;
    printf("{\"role\":\"hold\",\"connections\":%d,\"size\":0,\"messages\":%" PRIu64
           ",\"seconds\":%.9f,\"server_cpu_seconds\":%.9f,\"cpu_seconds\":%.6f}\n",
           count, pings, (double)(end - start) / 1e9, server_cpu, bench_cpu_seconds());
    bench_wait_for_end_of_input();
}
