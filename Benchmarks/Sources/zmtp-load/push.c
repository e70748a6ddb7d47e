// Fan-in: pushers that write runs of frames encoded beforehand, in turn, each as often as its connection takes them.
//
// Bodies have 8 bytes, numbered within the run and mixed; the receiver adds them up, and the runner compares the sums.
#include "zmtp-load.h"

#include <inttypes.h>
#include <stdio.h>

enum { body_size = 8, frame_size = raw_short_header + body_size };

struct pusher {
    size_t offset;  // in the run
    uint64_t left;  // bytes
    bool is_ready;  // stands in the queue
};

/// The pushers whose connections may take bytes, in turn.
struct queue {
    int *indices;
    size_t capacity, head, count;
};

static void append(struct queue *queue, int index) {
    queue->indices[(queue->head + queue->count++) % queue->capacity] = index;
}

static int take_first(struct queue *queue) {
    const int index = queue->indices[queue->head];
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count--;
    return index;
}

/// One write. Returns whether the connection took all of it.
static bool write_some(int fd, struct pusher *pusher, const char *run, size_t run_size) {
    size_t size = run_size - pusher->offset;
    if (size > pusher->left) size = pusher->left;
    const ssize_t n = send(fd, run + pusher->offset, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) bench_fail("send: %s", strerror(errno));
    if (n <= 0) return false;
    pusher->left -= (uint64_t)n;
    pusher->offset = (pusher->offset + (size_t)n) % run_size;
    return (size_t)n == size;
}

void run_push(const char *port, int count, size_t bytes_per_write, uint64_t messages) {
    const size_t frames = bytes_per_write / frame_size, run_size = frames * frame_size;
    if (frames < 1) bench_fail("bad arguments");
    const uint64_t total = bench_warm_up(messages) + messages;
    char *run = malloc(run_size);
    uint64_t *sums = calloc(frames + 1, sizeof *sums);  // of the first so many bodies of a run
    for (size_t i = 0; i < frames; i++) {
        const uint64_t body = bench_mixed(i);
        memcpy(run + i * frame_size + raw_header(run + i * frame_size, body_size), &body, body_size);
        sums[i + 1] = sums[i] + body;
    }

    struct connections connections = open_connections(port, "PUSH", count, EPOLLOUT | EPOLLET);
    struct pusher *pushers = calloc((size_t)count, sizeof *pushers);
    struct queue queue = {calloc((size_t)count, sizeof(int)), (size_t)count, 0, 0};
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        const uint64_t share = total / (uint64_t)count + ((uint64_t)i < total % (uint64_t)count);
        pushers[i] = (struct pusher){.left = share * frame_size, .is_ready = true};
        sum += share / frames * sums[frames] + sums[share % frames];
        append(&queue, i);
    }
    uint64_t start = bench_now();
    int open = count;
    while (open > 0) {
        // As many as stand there now, then a look at the others.
        for (size_t turn = queue.count; turn > 0; turn--) {
            const int index = take_first(&queue);
            struct pusher *pusher = &pushers[index];
            pusher->is_ready = pusher->left > 0 && write_some(connections.fds[index], pusher, run, run_size);
            if (pusher->left == 0) {
                open--;
                pusher->is_ready = true;  // what comes of it now is no news
            } else if (pusher->is_ready) {
                append(&queue, index);
            }
        }
        if (queue.count == (size_t)open || open == 0) continue;
        struct epoll_event events[events_per_turn];
        const int ready = queue.count == 0 ? wait_for_events(&connections, events, "room")
                                           : epoll_wait(connections.poller, events, events_per_turn, 0);
        for (int i = 0; i < ready; i++) {
            struct pusher *pusher = &pushers[events[i].data.u32];
            if (pusher->is_ready) continue;
            pusher->is_ready = true;
            append(&queue, (int)events[i].data.u32);
        }
    }
    printf("{\"role\":\"push\",\"connections\":%d,\"size\":%d,\"messages\":%" PRIu64 ",\"sum\":%" PRIu64
           ",\"seconds\":%.9f,\"cpu_seconds\":%.6f}\n",
           count, body_size, messages, sum, (double)(bench_now() - start) / 1e9, bench_cpu_seconds());
    bench_wait_for_end_of_input();
}
