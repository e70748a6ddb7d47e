// One socket with many peers, all of them the raw clients of zmtp-load.
#include "bench-libzmq.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void set(void *socket, int option, int value, const char *name) {
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) fail(name);
}

/// A socket for many peers; with an endpoint it is bound, and the endpoint told.
static void *open_for_many(void *context, int type, int mark, const char *endpoint) {
    bench_raise_descriptor_limit(1 << 16);
    void *socket = open_socket(context, type, mark);
    set(socket, ZMQ_BACKLOG, 4096, "ZMQ_BACKLOG");  // many come at once; the default of 100 would only slow that
    if (endpoint) bind_and_tell(socket, endpoint);
    return socket;
}

/// An XPUB whose sends wait for the slowest subscriber (ZMQ_XPUB_NODROP). It tells of every subscription, so it
/// knows when all are there.
void run_publish(const char *endpoint, uint64_t subscribers, unsigned topics, size_t size, uint64_t count,
                 uint64_t rate, int mark) {
    const uint64_t total = bench_warm_up(count) + count;
    void *context = zmq_ctx_new();
    void *socket = open_for_many(context, ZMQ_XPUB, mark, NULL);
    set(socket, ZMQ_XPUB_NODROP, 1, "ZMQ_XPUB_NODROP");
    set(socket, ZMQ_XPUB_VERBOSE, 1, "ZMQ_XPUB_VERBOSE");
    bind_and_tell(socket, endpoint);
    char *body = calloc(1, size);
    for (uint64_t known = 0; known < subscribers; known++)
        if (zmq_recv(socket, body, size, 0) < 0) fail("zmq_recv");
    const uint64_t start = bench_now();
    for (uint64_t sequence = 0; sequence < total; sequence++) {
        bench_put_topic(body, topics > 0 ? (unsigned)(sequence % topics) : 0);
        memcpy(body + size - sizeof sequence, &sequence, sizeof sequence);
        if (rate > 0) bench_sleep_until(start + sequence * 1000000000u / rate);
        if (zmq_send(socket, body, size, 0) < 0) fail("zmq_send");
    }
    bench_wait_for_end_of_input();  // the load has all, and has read our CPU clock
    zmq_close(socket);
    zmq_ctx_term(context);
    tell("publish", size, count, 0, "");
    free(body);
}

/// A PULL that adds up the bodies of 8 bytes.
void run_collect(const char *endpoint, uint64_t count, int mark) {
    const uint64_t warm_up = bench_warm_up(count), total = warm_up + count;
    void *context = zmq_ctx_new();
    void *socket = open_for_many(context, ZMQ_PULL, mark, endpoint);
    uint64_t start = 0, sum = 0;
    zmq_msg_t message;
    zmq_msg_init(&message);
    for (uint64_t received = 0; received < total;) {
        if (zmq_msg_recv(&message, socket, 0) < 0) fail("zmq_msg_recv");
        uint64_t body;
        if (zmq_msg_size(&message) != sizeof body) bench_fail("a message has %zu bytes", zmq_msg_size(&message));
        memcpy(&body, zmq_msg_data(&message), sizeof body);
        sum += body;
        if (++received == warm_up) start = bench_now();
    }
    const uint64_t end = bench_now();
    if (zmq_msg_more(&message)) bench_fail("a message has more than one part");
    zmq_msg_close(&message);
    zmq_close(socket);
    zmq_ctx_term(context);
    char extra[64];
    snprintf(extra, sizeof extra, ",\"sum\":%lu", sum);
    tell("collect", 8, count, (double)(end - start) / 1e9, extra);
}

static void *echo(void *socket) {
    zmq_msg_t name, body;
    zmq_msg_init(&name);
    zmq_msg_init(&body);
    while (zmq_msg_recv(&name, socket, 0) >= 0) {
        if (zmq_msg_recv(&body, socket, 0) < 0) fail("zmq_msg_recv");
        if (zmq_msg_more(&body)) bench_fail("a request has more than one part");
        // Both are handed over as they are: nothing is copied.
        if (zmq_msg_send(&name, socket, ZMQ_SNDMORE) < 0 || zmq_msg_send(&body, socket, 0) < 0) fail("zmq_msg_send");
    }
    if (zmq_errno() != ETERM) fail("zmq_msg_recv");
    zmq_msg_close(&name);
    zmq_msg_close(&body);
    zmq_close(socket);
    return NULL;
}

/// A ROUTER that sends each request back.
void run_router_echo(const char *endpoint) {
    void *context = zmq_ctx_new();
    void *socket = open_for_many(context, ZMQ_ROUTER, 1000, endpoint);
    pthread_t thread;
    pthread_create(&thread, NULL, echo, socket);  // hands the socket over: a full fence
    bench_wait_for_end_of_input();
    zmq_ctx_shutdown(context);
    pthread_join(thread, NULL);
    zmq_ctx_term(context);
    tell("router-echo", 0, 0, 0, "");
}

/// A ROUTER with quiet peers and heartbeats.
void run_heartbeat(const char *endpoint, int milliseconds) {
    void *context = zmq_ctx_new();
    void *socket = open_for_many(context, ZMQ_ROUTER, 1000, NULL);
    set(socket, ZMQ_HEARTBEAT_IVL, milliseconds, "ZMQ_HEARTBEAT_IVL");
    set(socket, ZMQ_HEARTBEAT_TIMEOUT, 5000, "ZMQ_HEARTBEAT_TIMEOUT");
    bind_and_tell(socket, endpoint);
    bench_wait_for_end_of_input();
    zmq_close(socket);
    zmq_ctx_term(context);
    tell("heartbeat", 0, 0, 0, "");
}
