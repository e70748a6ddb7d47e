#include "raw-zmtp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { greeting_size = 64, at_once = 16 };

/// Greeting: signature, version, mechanism, as-server, filler.
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
    unsigned char frame[128] = {raw_command, 0, 5, 'R', 'E', 'A', 'D', 'Y'};
    size_t size = 8;
    size += add_property(frame + size, "Socket-Type", type);
    if (strcmp(type, "DEALER") == 0) size += add_property(frame + size, "Identity", "");
    frame[1] = (unsigned char)(size - raw_short_header);
    send_all(fd, frame, size);
}

static void receive_ready(int fd) {
    unsigned char frame[raw_short_header + 255];
    receive_all(fd, frame, raw_short_header);
    receive_all(fd, frame + raw_short_header, frame[1]);
    if (frame[0] != raw_command || frame[1] < 6 || memcmp(frame + raw_short_header, "\5READY", 6) != 0)
        bench_fail("no READY");
}

static void connect_lot(const struct sockaddr_in *address, const char *type, int *fds, int count) {
    const int one = 1;
    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[i] < 0 || connect(fds[i], (const struct sockaddr *)address, sizeof *address) != 0)
            bench_fail("connect: %s", strerror(errno));
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // as every ZeroMQ library does
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

struct sockaddr_in raw_loopback(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void raw_connect(const struct sockaddr_in *address, const char *type, int *fds, int count) {
    for (int open = 0; open < count; open += at_once)
        connect_lot(address, type, fds + open, count - open < at_once ? count - open : at_once);
}

void raw_subscribe(int fd, const void *prefix, size_t size) {
    unsigned char frame[64] = {raw_command, 0, 9, 'S', 'U', 'B', 'S', 'C', 'R', 'I', 'B', 'E'};
    if (12 + size > sizeof frame) bench_fail("a prefix of %zu bytes is too long", size);
    if (size > 0) memcpy(frame + 12, prefix, size);
    frame[1] = (unsigned char)(10 + size);
    send_all(fd, frame, 12 + size);
}
