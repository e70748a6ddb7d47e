// A server that only holds its connections, so that their memory can be read from outside.
#include "bench-libzmq.h"

void run_idle(int type, const char *role, const char *endpoint) {
    bench_raise_descriptor_limit(1 << 16);
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, type, 1000);
    const int backlog = 4096;  // many clients come at once; the default of 100 would only slow the set-up
    if (zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog) != 0) fail("ZMQ_BACKLOG");
    bind_and_tell(socket, endpoint);
    bench_wait_for_end_of_input();
    zmq_close(socket);
    zmq_ctx_term(context);
    tell(role, 0, 0, 0, "");
}
