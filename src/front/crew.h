/* The listeners of all workers on one address. The kernel gives a new connection to any of them,
 * by a hash: of sixteen connections one of two workers easily gets eleven, and of a gRPC client
 * that has only one or two, two workers of four get none. So a worker that accepts a connection
 * passes it to the one that has the fewest.
 *
 * Made before the workers run, freed after they have ended; the rest is for any of their threads.
 * Counts are all that the workers share; a connection goes over by message. */
#ifndef FRONT_CREW_H
#define FRONT_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/err.h"

struct crew;
struct listener;

/* n: workers. */
enum err crew_new(size_t n, struct crew **out);
void crew_free(struct crew *c);

/* Takes a seat for the listener, for good. */
size_t crew_join(struct crew *c, struct listener *l);
/* It takes no more connections from others. */
void crew_close(struct crew *c, size_t seat);
/* A connection that `seat` has accepted is counted, and passed on if another has fewer. False: it stays. */
bool crew_pass(struct crew *c, size_t seat, int fd, const struct sockaddr_storage *peer);
/* A connection has ended that stayed with, or came to, this seat. */
void crew_left(struct crew *c, size_t seat);

#endif
