// Many clients of one server: 64-byte requests, one outstanding on each connection, for a time.
//
// The server's CPU time is read from its process clock at both ends of the measured window, its memory before the first
// connection and at the end of the window, with all clients there. Every reply is checked.
#include "zmtp-load.h"

#include <inttypes.h>
#include <stdio.h>

enum { body_size = 64, frame_size = raw_short_header + body_size };

struct client {
    uint32_t received;
    uint64_t sequence;
    char reply[frame_size];
};

static void request(int fd, struct client *client) {
    char frame[frame_size] = {0};
    bench_stamp(frame + raw_header(frame, body_size), body_size, ++client->sequence);
    if (send(fd, frame, sizeof frame, MSG_NOSIGNAL) != sizeof frame)
        bench_fail("send: %s", strerror(errno));  // so few bytes always fit an empty socket buffer
}

/// Takes what is there. Returns whether a whole reply came.
static bool take_reply(int fd, struct client *client) {
    client->received += (uint32_t)receive_some(fd, client->reply + client->received, frame_size - client->received);
    if (client->received < frame_size) return false;
    char header[raw_short_header];
    raw_header(header, body_size);
    if (memcmp(client->reply, header, sizeof header) != 0
        || !bench_is_stamped(client->reply + sizeof header, body_size, client->sequence))
        bench_fail("a reply is wrong");
    client->received = 0;
    return true;
}

void run_echo(const char *port, int count, double seconds, int server) {
    const long before = bench_resident_kib_of(server);
    const struct connections connections = open_connections(port, "DEALER", count, EPOLLIN);
    struct client *clients = calloc((size_t)count, sizeof *clients);
    for (int i = 0; i < count; i++) request(connections.fds[i], &clients[i]);

    const uint64_t warm = bench_now() + (uint64_t)(seconds * 0.2e9), wanted_end = warm + (uint64_t)(seconds * 1e9);
    uint64_t start = 0, end = 0, requests = 0;
    double server_cpu = 0, own_cpu = 0;
    while (end < wanted_end) {
        struct epoll_event events[events_per_turn];
        const int ready = wait_for_events(&connections, events, "reply");
        for (int i = 0; i < ready; i++) {
            const uint32_t index = events[i].data.u32;
            if (!take_reply(connections.fds[index], &clients[index])) continue;
            requests++;
            request(connections.fds[index], &clients[index]);
        }
        end = bench_now();
        if (start == 0 && end >= warm) {
            start = end, requests = 0;
            server_cpu = bench_cpu_seconds_of(server), own_cpu = bench_cpu_seconds();
        }
    }
    server_cpu = bench_cpu_seconds_of(server) - server_cpu, own_cpu = bench_cpu_seconds() - own_cpu;
    const long memory = bench_resident_kib_of(server) - before;
    // Every request has its reply; and the server meets clients that leave in peace.
    for (int open = count; open > 0;) {
        struct epoll_event events[events_per_turn];
        const int ready = wait_for_events(&connections, events, "last reply");
        for (int i = 0; i < ready; i++) {
            const uint32_t index = events[i].data.u32;
            if (take_reply(connections.fds[index], &clients[index])) open--;
        }
    }
    printf("{\"role\":\"echo\",\"connections\":%d,\"size\":%d,\"messages\":%" PRIu64
           ",\"seconds\":%.9f,\"server_cpu_seconds\":%.9f,\"server_rss_kib\":%ld,\"cpu_seconds\":%.6f}\n",
           count, body_size, requests, (double)(end - start) / 1e9, server_cpu,
           memory, own_cpu);
    bench_wait_for_end_of_input();
}
