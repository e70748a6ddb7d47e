// The libzmq contender: PUSH to PULL, REQ to REP, inproc and idle servers over libzmq's C API as a good user would
// write them, at its defaults (one I/O thread) except for the marks.
//
// Each role prints one JSON line with its result; the side that binds prints its endpoint first. Order, number and
// size of all messages are checked: a run that lost or changed one has no result.
#include "bench-libzmq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: bench-libzmq pull|push ENDPOINT SIZE COUNT MARK   (pull binds; MARK 0 is none)\n"
    "       bench-libzmq rep|req ENDPOINT SIZE COUNT          (rep binds)\n"
    "       bench-libzmq inproc SIZE COUNT\n"
    "       bench-libzmq pull-idle|router-idle ENDPOINT       (until standard input ends)\n"
    "       bench-libzmq publish ENDPOINT SUBSCRIBERS TOPICS SIZE COUNT RATE MARK  (TOPICS 0: all match; RATE 0: unpaced)\n"
    "       bench-libzmq collect ENDPOINT COUNT MARK          (a PULL; adds bodies of 8 bytes up)\n"
    "       bench-libzmq router-echo ENDPOINT                 (until standard input ends)\n"
    "       bench-libzmq clients ENDPOINT THREADS DEPTH COUNT [--shared]  (a DEALER each, or one under a mutex)\n"
    "       bench-libzmq heartbeat ENDPOINT MILLISECONDS      (the interval; until standard input ends)";

static uint64_t number(const char *text) {
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end != 0) bench_fail("not a number: %s\n%s", text, usage);
    return value;
}

int main(int argc, char **argv) {
    bench_die_with_parent();
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *role = argc > 1 ? argv[1] : "";
    if (argc == 6 && (strcmp(role, "push") == 0 || strcmp(role, "pull") == 0))
        run_throughput(role, argv[2], number(argv[3]), number(argv[4]), (int)number(argv[5]));
    else if (argc == 4 && strcmp(role, "inproc") == 0)
        run_inproc(number(argv[2]), number(argv[3]));
    else if (argc == 5 && strcmp(role, "req") == 0)
        run_req(argv[2], number(argv[3]), number(argv[4]));
    else if (argc == 5 && strcmp(role, "rep") == 0)
        run_rep(argv[2], number(argv[3]), number(argv[4]));
    else if (argc == 3 && strcmp(role, "pull-idle") == 0)
        run_idle(ZMQ_PULL, role, argv[2]);
    else if (argc == 3 && strcmp(role, "router-idle") == 0)
        run_idle(ZMQ_ROUTER, role, argv[2]);
    else if (argc == 9 && strcmp(role, "publish") == 0)
        run_publish(argv[2], number(argv[3]), (unsigned)number(argv[4]), number(argv[5]), number(argv[6]),
                    number(argv[7]), (int)number(argv[8]));
    else if (argc == 5 && strcmp(role, "collect") == 0)
        run_collect(argv[2], number(argv[3]), (int)number(argv[4]));
    else if (argc == 3 && strcmp(role, "router-echo") == 0)
        run_router_echo(argv[2]);
    else if ((argc == 6 || (argc == 7 && strcmp(argv[6], "--shared") == 0)) && strcmp(role, "clients") == 0)
        run_clients(argv[2], (int)number(argv[3]), number(argv[4]), number(argv[5]), argc == 7);
    else if (argc == 4 && strcmp(role, "heartbeat") == 0)
        run_heartbeat(argv[2], (int)number(argv[3]));
    else
        bench_fail("%s", usage);
    return 0;
}

void fail(const char *call) { bench_fail("libzmq: %s: %s", call, zmq_strerror(zmq_errno())); }

void *open_socket(void *context, int type, int mark) {
    void *socket = zmq_socket(context, type);
    if (!socket) fail("zmq_socket");
    if (zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark) != 0) fail("ZMQ_SNDHWM");
    if (zmq_setsockopt(socket, ZMQ_RCVHWM, &mark, sizeof mark) != 0) fail("ZMQ_RCVHWM");
    return socket;
}

void bind_and_tell(void *socket, const char *endpoint) {
    if (zmq_bind(socket, endpoint) != 0) fail("zmq_bind");
    char bound[256];
    size_t length = sizeof bound;
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &length) != 0) fail("ZMQ_LAST_ENDPOINT");
    printf("{\"endpoint\":\"%s\"}\n", bound);
}

void tell(const char *role, size_t size, uint64_t messages, double seconds, const char *extra) {
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    printf("{\"contender\":\"libzmq\",\"version\":\"%d.%d.%d\",\"role\":\"%s\",\"size\":%zu,\"messages\":%" PRIu64
           ",\"seconds\":%.9f,\"cpu_seconds\":%.6f,\"max_rss_kib\":%ld%s}\n",
           major, minor, patch, role, size, messages, seconds, bench_cpu_seconds(), bench_max_rss(), extra);
}
