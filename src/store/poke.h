/* Pokes between replicas over NATS: "there is something new, read now". They carry no state, so a lost
 * one costs at most one poll of the feed, and NATS being away is never an error. */
#ifndef STORE_POKE_H
#define STORE_POKE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/id.h"

struct poke;

/* Connects in the background and for ever. `cb` runs on a thread of libnats when another replica pokes:
 * it must not block. */
enum err poke_new(const char *url, struct id replica, void (*cb)(void *arg), void *arg,
    struct poke **out, struct fail *f);
void poke_free(struct poke *p);
/* Any thread; does not wait for the network. */
void poke_send(struct poke *p);
bool poke_connected(struct poke *p);

#endif
