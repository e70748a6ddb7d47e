// Many idle ZeroMQ connections from several processes: raw sockets that complete the ZMTP 3.1 handshake (NULL) as
// PUSH or DEALER and then hold still until standard input ends, so that a server's memory can be read.
#include <arpa/inet.h>
#include <contender.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { greeting_size = 64, at_once = 16 };

/// ZMTP 3.1 (RFC 37), greeting: signature, version, mechanism, as-server, filler.
static const unsigned char greeting[greeting_size] = {0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1, 'N', 'U', 'L', 'L'};

static void send_all(int fd, const void *bytes, size_t size) {
    if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) bench_fail("send: %s", strerror(errno));
}

static void receive_all(int fd, void *bytes, size_t size) {
    for (size_t have = 0; have < size;) {
        const ssize_t n = recv(fd, (char *)bytes + have, size - have, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) bench_fail("handshake: %s", n == 0 ? "the server hung up" : strerror(errno));
        have += (size_t)n;
    }
}

static size_t add_property(unsigned char *at, const char *name, const char *value) {
    const size_t name_size = strlen(name), value_size = strlen(value);
    at[0] = (unsigned char)name_size;
    memcpy(at + 1, name, name_size);
    const uint32_t length = htonl((uint32_t)value_size);
    memcpy(at + 1 + name_size, &length, 4);
    memcpy(at + 5 + name_size, value, value_size);
    return 5 + name_size + value_size;
}

static void send_ready(int fd, const char *type) {
    unsigned char frame[128] = {0x04, 0, 5, 'R', 'E', 'A', 'D', 'Y'};
    size_t size = 8;
    size += add_property(frame + size, "Socket-Type", type);
    if (strcmp(type, "DEALER") == 0) size += add_property(frame + size, "Identity", "");
    frame[1] = (unsigned char)(size - 2);
    send_all(fd, frame, size);
}

static void receive_ready(int fd) {
    unsigned char frame[2 + 255];
    receive_all(fd, frame, 2);
    receive_all(fd, frame + 2, frame[1]);
    if (frame[0] != 0x04 || frame[1] < 6 || memcmp(frame + 2, "\5READY", 6) != 0) bench_fail("no READY");
}

/// Opens a few connections together and completes their handshakes.
static void open_lot(const struct sockaddr_in *address, int count, const char *type) {
    int fds[at_once];
    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[i] < 0 || connect(fds[i], (const struct sockaddr *)address, sizeof *address) != 0)
            bench_fail("connect: %s", strerror(errno));
        send_all(fds[i], greeting, greeting_size);
    }
    for (int i = 0; i < count; i++) {
        unsigned char peer[greeting_size];
        receive_all(fds[i], peer, greeting_size);
        if (peer[0] != 0xFF || peer[9] != 0x7F || peer[10] < 3) bench_fail("not a ZMTP 3 greeting");
        send_ready(fds[i], type);
    }
    for (int i = 0; i < count; i++) receive_ready(fds[i]);
}

int main(int argc, char **argv) {
    bench_die_with_parent();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 5) bench_fail("usage: idle-clients PORT CONNECTIONS PROCESSES PUSH|DEALER");
    const int count = atoi(argv[2]), processes = atoi(argv[3]);
    if (count < 1 || processes < 1) bench_fail("bad arguments");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_raise_descriptor_limit(1 << 16);

    int ready[2], leave[2];
    if (pipe(ready) != 0 || pipe(leave) != 0) bench_fail("pipe: %s", strerror(errno));
    for (int process = 0; process < processes; process++) {
        const int share = count / processes + (process < count % processes);
        const pid_t child = fork();
        if (child < 0) bench_fail("fork: %s", strerror(errno));
        if (child > 0) continue;
        bench_die_with_parent();
        close(ready[0]), close(leave[1]);
        for (int open = 0; open < share; open += at_once)
            open_lot(&address, share - open < at_once ? share - open : at_once, argv[4]);
        char byte = 1;
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        while (read(leave[0], &byte, 1) < 0 && errno == EINTR) {}  // ends when the parent closes its end
        _exit(0);
    }
    close(ready[1]), close(leave[0]);
    for (int process = 0; process < processes; process++) {
        char byte;
        if (read(ready[0], &byte, 1) != 1) bench_fail("a client process failed");
    }
    printf("{\"ready\":%d}\n", count);
    bench_wait_for_end_of_input();
    close(leave[1]);
    while (wait(NULL) > 0) {}
    printf("{\"left\":%d}\n", count);
    return 0;
}
