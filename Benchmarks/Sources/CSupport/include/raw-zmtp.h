// Clients without a ZeroMQ library: TCP sockets that speak just enough ZMTP 3.1 (RFC 37, mechanism NULL) to be taken
// for peers. The loads are made of them, so that both contenders meet the same one.
#ifndef BENCH_RAW_ZMTP_H
#define BENCH_RAW_ZMTP_H

#include <contender.h>
#include <netinet/in.h>

enum { raw_command = 0x04, raw_short_header = 2 };

/// An address on the loopback interface.
struct sockaddr_in raw_loopback(const char *port);

/// Opens connections and completes their handshakes as sockets of that type, a few at a time, so that no backlog
/// overflows. Blocking; fails the run when the server does not answer as ZMTP demands.
void raw_connect(const struct sockaddr_in *address, const char *type, int *fds, int count);

/// Sends a SUBSCRIBE command (RFC 37, Subscriptions) for the prefix.
void raw_subscribe(int fd, const void *prefix, size_t size);

/// Writes the header of a short frame, 0 to 255 bytes, with no more to follow. Returns its size.
static inline size_t raw_header(void *at, size_t size) {
    unsigned char *header = at;
    header[0] = 0;
    header[1] = (unsigned char)size;
    return raw_short_header;
}

#endif
