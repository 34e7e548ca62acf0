/* How many connections are open, in all and from each client address, on one worker. IPv6 addresses
 * count by their /64: one host commonly holds a whole one. One thread: the worker's. */
#ifndef FRONT_PEERS_H
#define FRONT_PEERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/siphash.h"

struct peer_slot {
	uint64_t key[2]; /* address; v4 as ::ffff:a.b.c.d */
	uint32_t n;      /* 0: free */
};

struct peers {
	struct peer_slot *slots; /* open addressing, power of two; NULL without a limit per address */
	size_t cap, used;
	size_t open;
	size_t max, max_each; /* 0: no limit */
	struct siphash_key hash;
};

void peers_init(struct peers *p, size_t max, size_t max_each);
void peers_release(struct peers *p);
/* E_LIMIT when that connection is one too many (nothing is counted then), E_NOMEM. */
enum err peers_enter(struct peers *p, const struct sockaddr *addr);
/* Once for each peers_enter that was OK. */
void peers_leave(struct peers *p, const struct sockaddr *addr);

#endif
