// What every contender does in the same way: stamping and checking bodies, warm-up, clocks, resource use.
//
// Inline where it runs once per message: neither side may pay a call that the other does not.
#ifndef BENCH_CONTENDER_H
#define BENCH_CONTENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/// Nanoseconds on CLOCK_MONOTONIC.
static inline uint64_t bench_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/// Writes the sequence number into a body: 8 bytes at its start, and again at its end from 16 bytes up (so that a
/// body cut short or joined wrongly is seen); below 8 bytes only the low byte.
static inline void bench_stamp(void *body, size_t size, uint64_t sequence) {
    if (size >= 8) {
        memcpy(body, &sequence, 8);
        if (size >= 16) memcpy((char *)body + size - 8, &sequence, 8);
    } else if (size > 0) {
        *(unsigned char *)body = (unsigned char)sequence;
    }
}

/// Whether a body carries the sequence number as `bench_stamp` wrote it.
static inline bool bench_is_stamped(const void *body, size_t size, uint64_t sequence) {
    uint64_t found;
    if (size >= 8) {
        memcpy(&found, body, 8);
        if (found != sequence) return false;
        if (size < 16) return true;
        memcpy(&found, (const char *)body + size - 8, 8);
        return found == sequence;
    }
    return size == 0 || *(const unsigned char *)body == (unsigned char)sequence;
}

/// What a published body begins with: its topic. Any two are of one length, so none is a prefix of another.
enum { bench_topic_size = 8 };

/// Writes the topic with that number, 0 to 99.
static inline void bench_put_topic(void *body, unsigned number) {
    memcpy(body, "topic-", 6);
    ((char *)body)[6] = (char)('0' + number / 10);
    ((char *)body)[7] = (char)('0' + number % 10);
}

/// Body of the message with that number in a run of the fan-in load: the receiver adds all of them up.
static inline uint64_t bench_mixed(uint64_t number) { return (number + 1) * 0x9E3779B97F4A7C15u; }

/// Messages (or round trips) sent before the measured ones: a tenth, at least one.
static inline uint64_t bench_warm_up(uint64_t count) { return count / 10 > 0 ? count / 10 : 1; }

/// CPU seconds of this process so far, user and system, all threads (getrusage).
double bench_cpu_seconds(void);

/// CPU seconds of another process so far, all threads; to be subtracted from each other. Fails the run if the
/// process is gone.
double bench_cpu_seconds_of(int pid);

/// Resident memory of another process in KiB.
long bench_resident_kib_of(int pid);

/// The largest resident set of this process so far, in KiB (getrusage).
long bench_max_rss(void);

/// Ends this process when its parent dies, however that happens: no contender outlives its runner.
void bench_die_with_parent(void);

/// Raises the limit of open descriptors to the hard limit (as root to `wanted`, if that is higher).
/// Returns the limit that holds now.
uint64_t bench_raise_descriptor_limit(uint64_t wanted);

/// Whether this process holds an io_uring now, as /proc tells it: proof of a backend that does not rest on what the
/// backend says of itself.
bool bench_has_ring(void);

/// Sleeps until a point of CLOCK_MONOTONIC in nanoseconds.
void bench_sleep_until(uint64_t point);

/// Blocks until standard input ends: the runner closes it to say "leave".
void bench_wait_for_end_of_input(void);

/// Sorts samples in nanoseconds in place.
void bench_sort(uint64_t *samples, size_t count);

/// Prints a line to standard error and exits with status 1: a run that went wrong has no result.
__attribute__((noreturn, format(printf, 1, 2))) void bench_fail(const char *format, ...);

#endif
