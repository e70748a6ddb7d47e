// For tests: many idle ZeroMQ connections from a process of their own. Raw sockets shake hands (ZMTP 3.1, NULL) as PUSH
// or DEALER and hold still until standard input ends. Says "ready N" and "left N".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { greeting_size = 64, at_once = 16 };

static const unsigned char greeting[greeting_size] = {0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1, 'N', 'U', 'L', 'L'};

static void fail(const char *what) {
    fprintf(stderr, "idle-clients: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_all(int fd, const void *bytes, size_t size) {
    if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) fail("send");
}

static void receive_all(int fd, void *bytes, size_t size) {
    for (size_t have = 0; have < size;) {
        const ssize_t n = recv(fd, (char *)bytes + have, size - have, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) fail("the server hung up");
        have += (size_t)n;
    }
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc != 4) return fprintf(stderr, "usage: idle-clients PORT CONNECTIONS PUSH|DEALER\n"), 2;
    const int count = atoi(argv[2]);
    const size_t type_size = strlen(argv[3]);
    if (type_size > 6) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    // READY (37/ZMTP, The NULL Security Mechanism) with the socket type alone.
    unsigned char ready[64] = {0x04, 0, 5, 'R', 'E', 'A', 'D', 'Y', 11};
    memcpy(ready + 9, "Socket-Type", 11);
    ready[23] = (unsigned char)type_size;
    memcpy(ready + 24, argv[3], type_size);
    const size_t ready_size = 24 + type_size;
    ready[1] = (unsigned char)(ready_size - 2);

    for (int open = 0; open < count;) {
        int fds[at_once];
        const int lot = count - open < at_once ? count - open : at_once;
        for (int i = 0; i < lot; i++) {
            fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (fds[i] < 0 || connect(fds[i], (const struct sockaddr *)&address, sizeof address) != 0) fail("connect");
            send_all(fds[i], greeting, greeting_size);
        }
        for (int i = 0; i < lot; i++) {
            unsigned char peer[greeting_size];
            receive_all(fds[i], peer, greeting_size);
            send_all(fds[i], ready, ready_size);
        }
        for (int i = 0; i < lot; i++) {
            unsigned char frame[2 + 255];
            receive_all(fds[i], frame, 2);
            receive_all(fds[i], frame + 2, frame[1]);
        }
        open += lot;
    }
    printf("ready %d\n", count);
    fflush(stdout);
    while (getchar() != EOF) {}
    printf("left %d\n", count);
    return 0;
}
