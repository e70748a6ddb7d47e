// PUSH to PULL, between two processes and inside one.
#include "bench-libzmq.h"

#include <pthread.h>
#include <stdlib.h>

/// From this size on the sender asks libzmq for a message and stamps it in place; below it hands over its own buffer
/// with zmq_send, which copies it. Measured with libzmq 4.3.4, five alternated runs each: up to 8 KiB the two differ by
/// less than the noise, at 64 KiB and 1 MiB in place is 1.2 and 1.5 times as fast. `BENCH_LIBZMQ_SEND=copy` or
/// `in-place` forces one, to check the choice on another machine.
static const size_t in_place_from = 65536;

void send_all(void *socket, size_t size, uint64_t count) {
    const uint64_t total = bench_warm_up(count) + count;
    const char *form = getenv("BENCH_LIBZMQ_SEND");
    const bool in_place = form ? strcmp(form, "in-place") == 0 : size >= in_place_from;
    if (in_place) {
        for (uint64_t sequence = 0; sequence < total; sequence++) {
            zmq_msg_t message;
            if (zmq_msg_init_size(&message, size) != 0) fail("zmq_msg_init_size");
            bench_stamp(zmq_msg_data(&message), size, sequence);
            if (zmq_msg_send(&message, socket, 0) < 0) fail("zmq_msg_send");
        }
        return;
    }
    char *body = calloc(1, size);
    for (uint64_t sequence = 0; sequence < total; sequence++) {
        bench_stamp(body, size, sequence);
        if (zmq_send(socket, body, size, 0) < 0) fail("zmq_send");
    }
    free(body);
}

double receive_all(void *socket, size_t size, uint64_t count) {
    const uint64_t warm_up = bench_warm_up(count), total = warm_up + count;
    uint64_t start = 0;
    zmq_msg_t message;
    zmq_msg_init(&message);
    for (uint64_t sequence = 0; sequence < total; sequence++) {
        // Lends the body instead of copying it out; each receive closes the one before.
        if (zmq_msg_recv(&message, socket, 0) < 0) fail("zmq_msg_recv");
        if (zmq_msg_size(&message) != size) bench_fail("message %lu has %zu bytes", sequence, zmq_msg_size(&message));
        if (!bench_is_stamped(zmq_msg_data(&message), size, sequence))
            bench_fail("message %lu is lost, changed or out of order", sequence);
        if (sequence + 1 == warm_up) start = bench_now();
    }
    const uint64_t end = bench_now();
    if (zmq_msg_more(&message)) bench_fail("a message has more than one part");
    zmq_msg_close(&message);
    return (double)(end - start) / 1e9;
}

void run_throughput(const char *role, const char *endpoint, size_t size, uint64_t count, int mark) {
    void *context = zmq_ctx_new();
    double seconds = 0;
    const bool pulls = strcmp(role, "pull") == 0;
    void *socket = open_socket(context, pulls ? ZMQ_PULL : ZMQ_PUSH, mark);
    if (pulls) {
        bind_and_tell(socket, endpoint);
        seconds = receive_all(socket, size, count);
    } else {
        if (zmq_connect(socket, endpoint) != 0) fail("zmq_connect");
        send_all(socket, size, count);
    }
    zmq_close(socket);
    zmq_ctx_term(context);  // a sender waits here until all has left (linger is without end by default)
    tell(role, size, count, seconds, "");
}

struct sender {
    void *socket;
    size_t size;
    uint64_t count;
};

static void *send_from_thread(void *argument) {
    struct sender *sender = argument;
    send_all(sender->socket, sender->size, sender->count);
    return NULL;
}

void run_inproc(size_t size, uint64_t count) {
    void *context = zmq_ctx_new();
    void *pull = open_socket(context, ZMQ_PULL, 0);
    struct sender sender = {open_socket(context, ZMQ_PUSH, 0), size, count};
    if (zmq_bind(pull, "inproc://bench") != 0) fail("zmq_bind");
    if (zmq_connect(sender.socket, "inproc://bench") != 0) fail("zmq_connect");
    pthread_t thread;
    pthread_create(&thread, NULL, send_from_thread, &sender);
    const double seconds = receive_all(pull, size, count);
    pthread_join(thread, NULL);
    zmq_close(sender.socket);
    zmq_close(pull);
    zmq_ctx_term(context);
    tell("inproc", size, count, seconds, "");
}
