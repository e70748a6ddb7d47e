// Load for echo servers: N connections on one epoll thread, 64-byte requests, one outstanding on each, for a time.
//
// The server's CPU time is read from its process clock at both ends of the measured window, so neither the set-up
// of connections nor the warm-up counts. Every reply is checked.
#include <arpa/inet.h>
#include <contender.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { request_size = 64, events_per_turn = 256 };

struct connection {
    int fd;
    uint32_t received;
    uint64_t sequence;
    char reply[request_size];
};

static void request(struct connection *connection) {
    char body[request_size] = {0};
    bench_stamp(body, sizeof body, ++connection->sequence);
    if (send(connection->fd, body, sizeof body, MSG_NOSIGNAL) != sizeof body)
        bench_fail("send: %s", strerror(errno));  // 64 bytes always fit an empty socket buffer
}

/// Takes what is there. Returns whether a whole reply came.
static bool receive(struct connection *connection) {
    const ssize_t n = recv(connection->fd, connection->reply + connection->received,
                           request_size - connection->received, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) bench_fail("the server left: %s", n == 0 ? "end of stream" : strerror(errno));
    connection->received += (uint32_t)n;
    if (connection->received < request_size) return false;
    if (!bench_is_stamped(connection->reply, request_size, connection->sequence)) bench_fail("a reply is wrong");
    connection->received = 0;
    return true;
}

int main(int argc, char **argv) {
    bench_die_with_parent();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 5) bench_fail("usage: echo-load PORT CONNECTIONS SECONDS SERVER-PID");
    const int count = atoi(argv[2]);
    const double seconds = atof(argv[3]);
    const int server = atoi(argv[4]);
    if (count < 1 || server < 1) bench_fail("bad arguments");
    bench_raise_descriptor_limit(1 << 16);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    const int poller = epoll_create1(EPOLL_CLOEXEC), one = 1;
    for (int i = 0; i < count; i++) {
        struct connection *connection = &connections[i];
        connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0)
            bench_fail("connect: %s", strerror(errno));
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event);
        request(connection);
    }

    const uint64_t warm = bench_now() + (uint64_t)(seconds * 0.2e9);
    const uint64_t wanted_end = warm + (uint64_t)(seconds * 1e9);
    uint64_t start = 0, end = 0, requests = 0;
    double server_cpu = 0, own_cpu = 0;
    while (end < wanted_end) {
        struct epoll_event events[events_per_turn];
        const int ready = epoll_wait(poller, events, events_per_turn, 5000);
        if (ready == 0) bench_fail("no reply for 5 seconds");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!receive(connection)) continue;
            requests++;
            request(connection);
        }
        end = bench_now();
        if (start == 0 && end >= warm) {
            start = end;
            requests = 0;
            server_cpu = bench_cpu_seconds_of(server);
            own_cpu = bench_cpu_seconds();
        }
    }
    server_cpu = bench_cpu_seconds_of(server) - server_cpu;
    printf("{\"role\":\"load\",\"connections\":%d,\"messages\":%" PRIu64
           ",\"seconds\":%.9f,\"server_cpu_seconds\":%.9f,\"cpu_seconds\":%.6f}\n",
           count, requests, (double)(end - start) / 1e9, server_cpu, bench_cpu_seconds() - own_cpu);
    for (int i = 0; i < count; i++) close(connections[i].fd);
    return 0;
}
