/* How many connections are open on all workers of the process, in all and from each client address. IPv6
 * addresses count by their /64: one host commonly holds a whole one.
 *
 * Looked at when a connection comes and when it goes, never on the way of a request. The total is one atomic
 * number; addresses are in shards, each behind a lock that is held for one look-up. Any thread. */
#ifndef FRONT_PEERS_H
#define FRONT_PEERS_H

#include <stddef.h>
#include <sys/socket.h>

#include "base/err.h"

struct peers;

/* 0: no limit. */
enum err peers_new(size_t max, size_t max_each, struct peers **out);
void peers_free(struct peers *p);
/* E_LIMIT when that connection is one too many (nothing is counted then), E_NOMEM. */
enum err peers_enter(struct peers *p, const struct sockaddr *addr);
/* Once for each peers_enter that was OK. */
void peers_leave(struct peers *p, const struct sockaddr *addr);

#endif
