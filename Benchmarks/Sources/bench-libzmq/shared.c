// Several threads talk with one ROUTER that echoes (router-echo). Sockets of stock libzmq belong to one thread at a
// time, so each thread has a DEALER of its own, in one context; or all share one DEALER under a mutex (--shared).
#include "bench-libzmq.h"

#include <pthread.h>
#include <stdlib.h>

enum { body_size = 64 };

struct caller {
    void *socket;
    pthread_mutex_t *mutex;  // NULL where the socket is the thread's own
    uint64_t number, depth, rounds, sum;
};

static void lock(struct caller *caller) {
    if (caller->mutex) pthread_mutex_lock(caller->mutex);
}

static void unlock(struct caller *caller) {
    if (caller->mutex) pthread_mutex_unlock(caller->mutex);
}

/// Sends `depth` requests and then receives as many replies, over and over. Of a shared socket a reply may be that to
/// another thread's request: each is counted, and all are added up.
static void *call(void *argument) {
    struct caller *caller = argument;
    char body[body_size] = {0}, reply[body_size + 1];  // one more, to see a reply that is too long
    for (uint64_t round = 0; round < caller->rounds; round++) {
        for (uint64_t place = 0; place < caller->depth; place++) {
            const uint64_t number = bench_mixed((round * caller->depth + place) << 8 | caller->number);
            bench_stamp(body, sizeof body, number);
            lock(caller);
            if (zmq_send(caller->socket, body, sizeof body, 0) < 0) fail("zmq_send");
            unlock(caller);
            caller->sum += number;
        }
        for (uint64_t place = 0; place < caller->depth; place++) {
            lock(caller);
            const int length = zmq_recv(caller->socket, reply, sizeof reply, 0);
            unlock(caller);
            if (length < 0) fail("zmq_recv");
            uint64_t number;
            memcpy(&number, reply, sizeof number);
            if (length != body_size || !bench_is_stamped(reply, body_size, number)) bench_fail("a reply is changed");
            caller->sum -= number;
        }
    }
    return NULL;
}

static double call_all(struct caller *callers, int count, uint64_t rounds) {
    pthread_t threads[count];
    const uint64_t start = bench_now();
    for (int i = 0; i < count; i++) {
        callers[i].rounds = rounds;
        pthread_create(&threads[i], NULL, call, &callers[i]);
    }
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    return (double)(bench_now() - start) / 1e9;
}

void run_clients(const char *endpoint, int threads, uint64_t depth, uint64_t count, bool shared) {
    uint64_t rounds = count / ((uint64_t)threads * depth);
    if (rounds == 0) rounds = 1;
    void *context = zmq_ctx_new();
    struct caller *callers = calloc((size_t)threads, sizeof *callers);
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    for (int i = 0; i < threads; i++) {
        void *socket = shared && i > 0 ? callers[0].socket : open_socket(context, ZMQ_DEALER, 1000);
        if (!(shared && i > 0) && zmq_connect(socket, endpoint) != 0) fail("zmq_connect");
        callers[i] = (struct caller){socket, shared ? &mutex : NULL, (uint64_t)i, depth, 0, 0};
    }
    call_all(callers, threads, rounds / 10 > 0 ? rounds / 10 : 1);
    const double seconds = call_all(callers, threads, rounds);
    uint64_t balance = 0;
    for (int i = 0; i < threads; i++) {
        balance += callers[i].sum;
        if (!(shared && i > 0)) zmq_close(callers[i].socket);
    }
    if (balance != 0) bench_fail("the replies are not those to the requests");
    zmq_ctx_term(context);
    tell("clients", body_size, rounds * (uint64_t)threads * depth, seconds, "");
    free(callers);
}
