// Many idle ZeroMQ connections from several processes: raw sockets that complete the ZMTP 3.1 handshake (NULL) as
// PUSH or DEALER and then hold still until standard input ends, so that a server's memory can be read.
#include <contender.h>
#include <errno.h>
#include <raw-zmtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    bench_die_with_parent();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 5) bench_fail("usage: idle-clients PORT CONNECTIONS PROCESSES PUSH|DEALER");
    const int count = atoi(argv[2]), processes = atoi(argv[3]);
    if (count < 1 || processes < 1) bench_fail("bad arguments");
    const struct sockaddr_in address = raw_loopback(argv[1]);
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
        int *fds = calloc((size_t)share, sizeof *fds);  // never closed: the process ends with them
        raw_connect(&address, argv[4], fds, share);
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
