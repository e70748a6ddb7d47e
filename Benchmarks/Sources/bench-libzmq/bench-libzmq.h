// The libzmq contender: what its roles share.
#ifndef BENCH_LIBZMQ_H
#define BENCH_LIBZMQ_H

#include <contender.h>
#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

/// Fails with the call's name and libzmq's reason.
__attribute__((noreturn)) void fail(const char *call);

/// A socket with the mark for both directions; 0 is none.
void *open_socket(void *context, int type, int mark);

/// Binds and prints `{"endpoint": …}`, so that the runner can start the other side.
void bind_and_tell(void *socket, const char *endpoint);

/// Sends the warm-up and then `count` stamped bodies.
void send_all(void *socket, size_t size, uint64_t count);

/// Receives and checks the warm-up and then `count` bodies.
/// Returns the seconds from the last message of the warm-up to the last of all.
double receive_all(void *socket, size_t size, uint64_t count);

/// Prints the result line; `extra` is JSON to go into it, starting with a comma, or "".
void tell(const char *role, size_t size, uint64_t messages, double seconds, const char *extra);

void run_throughput(const char *role, const char *endpoint, size_t size, uint64_t count, int mark);
void run_inproc(size_t size, uint64_t count);
void run_req(const char *endpoint, size_t size, uint64_t count);
void run_rep(const char *endpoint, size_t size, uint64_t count);
void run_idle(int type, const char *role, const char *endpoint);
void run_publish(const char *endpoint, uint64_t subscribers, unsigned topics, size_t size, uint64_t count,
                 uint64_t rate, int mark);
void run_collect(const char *endpoint, uint64_t count, int mark);
void run_router_echo(const char *endpoint);
void run_clients(const char *endpoint, int threads, uint64_t depth, uint64_t count, bool shared);
void run_heartbeat(const char *endpoint, int milliseconds);

#endif
