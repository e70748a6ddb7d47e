// The load's modes share their connections and their one epoll set.
#ifndef ZMTP_LOAD_H
#define ZMTP_LOAD_H

#include <contender.h>
#include <errno.h>
#include <raw-zmtp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { events_per_turn = 256, patience_ms = 5000 };

/// Connections whose handshakes are done, and the set that watches them for `events`; an event's data is the index.
struct connections {
    int count, poller;
    int *fds;
};
struct connections open_connections(const char *port, const char *type, int count, uint32_t events);

/// Waits for events; a silence of `patience_ms` fails the run with `what` did not come.
int wait_for_events(const struct connections *connections, struct epoll_event *events, const char *what);

/// Receives what is there. Returns 0 if that is nothing; the server's leaving fails the run.
size_t receive_some(int fd, void *bytes, size_t size);

/// Subscribers that check and count all that is published; `topics` 0 is everything. See subscribe.c.
void run_subscribe(const char *port, int count, unsigned topics, size_t size, uint64_t messages, int server);

/// Pushers that write runs of frames. See push.c.
void run_push(const char *port, int count, size_t bytes_per_write, uint64_t messages);

/// Clients with one request outstanding each. See echo.c.
void run_echo(const char *port, int count, double seconds, int server);

/// Quiet peers that answer heartbeats. See hold.c.
void run_hold(const char *port, int count, double seconds, int server);

#endif
