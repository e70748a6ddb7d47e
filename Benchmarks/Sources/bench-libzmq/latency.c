// REQ to REP, one round trip after the other.
#include "bench-libzmq.h"

#include <stdio.h>
#include <stdlib.h>

void run_req(const char *endpoint, size_t size, uint64_t count) {
    const uint64_t warm_up = bench_warm_up(count), total = warm_up + count;
    uint64_t *samples = calloc(count, sizeof *samples);
    char *body = calloc(1, size), *reply = calloc(1, size + 1);  // one more, to see a reply that is too long
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, ZMQ_REQ, 1000);
    if (zmq_connect(socket, endpoint) != 0) fail("zmq_connect");
    uint64_t sum = 0, start = bench_now();
    for (uint64_t sequence = 0; sequence < total; sequence++) {
        bench_stamp(body, size, sequence);
        if (sequence == warm_up) start = bench_now();
        const uint64_t before = bench_now();
        // zmq_send and zmq_recv: for bodies this small copying is cheaper than a message object.
        if (zmq_send(socket, body, size, 0) < 0) fail("zmq_send");
        const int length = zmq_recv(socket, reply, size + 1, 0);
        const uint64_t after = bench_now();
        if (length < 0) fail("zmq_recv");
        if ((size_t)length != size || !bench_is_stamped(reply, size, sequence))
            bench_fail("reply %lu is wrong", sequence);
        if (sequence >= warm_up) sum += samples[sequence - warm_up] = after - before;
    }
    const double seconds = (double)(bench_now() - start) / 1e9;
    bench_sort(samples, count);
    char extra[160];
    snprintf(extra, sizeof extra, ",\"p50_us\":%.3f,\"p99_us\":%.3f,\"mean_us\":%.3f",
             (double)samples[count / 2] / 1e3, (double)samples[count * 99 / 100] / 1e3,
             (double)sum / (double)count / 1e3);
    zmq_close(socket);
    zmq_ctx_term(context);
    tell("req", size, count, seconds, extra);
    free(samples), free(body), free(reply);
}

void run_rep(const char *endpoint, size_t size, uint64_t count) {
    const uint64_t total = bench_warm_up(count) + count;
    char *body = calloc(1, size + 1);
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, ZMQ_REP, 1000);
    bind_and_tell(socket, endpoint);
    const uint64_t start = bench_now();
    for (uint64_t sequence = 0; sequence < total; sequence++) {
        const int length = zmq_recv(socket, body, size + 1, 0);
        if (length < 0) fail("zmq_recv");
        if ((size_t)length != size || !bench_is_stamped(body, size, sequence))
            bench_fail("request %lu is wrong", sequence);
        if (zmq_send(socket, body, size, 0) < 0) fail("zmq_send");
    }
    const double seconds = (double)(bench_now() - start) / 1e9;
    zmq_close(socket);
    zmq_ctx_term(context);
    tell("rep", size, count, seconds, "");
    free(body);
}
