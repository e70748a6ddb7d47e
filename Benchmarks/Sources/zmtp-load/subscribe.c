// Fan-out: subscribers that take all that is published, as fast as it comes.
//
// All frames have one size, so a byte's place in its stream tells which message it must belong to. Every frame of
// the warm-up is checked, then the first whole one of each receive (which shows any loss, repetition or change of
// order before it), and the exact number of bytes of each subscriber.
#include "zmtp-load.h"

#include <inttypes.h>
#include <stdio.h>

/// Bytes of one receive: what stays in a core's cache.
enum { receive_size = 131072 };

struct subscriber {
    unsigned topic;
    uint64_t have, expected;  // bytes
};

struct stream {
    unsigned topics;
    size_t body, frame;  // bytes
};

static void check_frame(const struct stream *stream, unsigned topic, uint64_t index, const char *frame) {
    const unsigned topics = stream->topics > 0 ? stream->topics : 1;
    char header[raw_short_header], named[bench_topic_size];
    raw_header(header, stream->body);
    bench_put_topic(named, topic);
    const uint64_t sequence = index * topics + topic;
    uint64_t found;
    memcpy(&found, frame + stream->frame - sizeof found, sizeof found);
    if (memcmp(frame, header, sizeof header) != 0 || memcmp(frame + sizeof header, named, sizeof named) != 0
        || found != sequence)
        bench_fail("message %" PRIu64 " of topic %u is lost, changed or out of order", index, topic);
}

static void check(const struct stream *stream, const struct subscriber *subscriber, const char *bytes, size_t count,
                  bool all) {
    uint64_t index = (subscriber->have + stream->frame - 1) / stream->frame;
    for (size_t at = index * stream->frame - subscriber->have; at + stream->frame <= count; at += stream->frame) {
        check_frame(stream, subscriber->topic, index++, bytes + at);
        if (!all) return;
    }
}

void run_subscribe(const char *port, int count, unsigned topics, size_t size, uint64_t messages, int server) {
    if (size < bench_topic_size + 8 || size > 255 || topics > 100) bench_fail("bad arguments");
    const struct stream stream = {topics, size, raw_short_header + size};
    const uint64_t warm_up = bench_warm_up(messages), total = warm_up + messages;
    struct connections connections = open_connections(port, "SUB", count, EPOLLIN);
    struct subscriber *subscribers = calloc((size_t)count, sizeof *subscribers);
    uint64_t expected = 0;
    for (int i = 0; i < count; i++) {
        char prefix[bench_topic_size];
        subscribers[i].topic = topics > 0 ? (unsigned)i % topics : 0;
        bench_put_topic(prefix, subscribers[i].topic);
        raw_subscribe(connections.fds[i], prefix, topics > 0 ? sizeof prefix : 0);
        const uint64_t share = topics > 0 ? total / topics + (subscribers[i].topic < total % topics) : total;
        expected += subscribers[i].expected = share * stream.frame;
    }

    char *bytes = malloc(receive_size);
    const uint64_t warm = (uint64_t)((double)expected * (double)warm_up / (double)total);
    uint64_t have = 0, start_have = 0, start = 0;
    double server_cpu = 0;
    while (have < expected) {
        struct epoll_event events[events_per_turn];
        const int ready = wait_for_events(&connections, events, "message");
        for (int i = 0; i < ready; i++) {
            struct subscriber *subscriber = &subscribers[events[i].data.u32];
            const size_t n = receive_some(connections.fds[events[i].data.u32], bytes, receive_size);
            check(&stream, subscriber, bytes, n, start == 0);
            subscriber->have += n;
            if (subscriber->have > subscriber->expected) bench_fail("a subscriber got more than was published");
            have += n;
        }
        if (start == 0 && have >= warm) {
            start = bench_now(), start_have = have;
            server_cpu = bench_cpu_seconds_of(server);
        }
    }
    const double seconds = (double)(bench_now() - start) / 1e9;
    server_cpu = bench_cpu_seconds_of(server) - server_cpu;
    printf("{\"role\":\"subscribe\",\"connections\":%d,\"size\":%zu,\"messages\":%" PRIu64
           ",\"deliveries\":%.1f,\"seconds\":%.9f,\"server_cpu_seconds\":%.9f,\"cpu_seconds\":%.6f}\n",
           count, size, messages, (double)(have - start_have) / (double)stream.frame, seconds, server_cpu,
           bench_cpu_seconds());
    bench_wait_for_end_of_input();
}
