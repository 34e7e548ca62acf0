/* Pokes between replicas over NATS: "read the feed now". They carry no state; one that is lost costs
 * a poll. A server that is away is waited for without end, and is no error. `on_poke` is
 * called on threads of libnats; poke_send: any thread. */
#ifndef STORE_POKE_H
#define STORE_POKE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/id.h"

struct poke;

struct poke_hooks {
	void *ctx;
	void (*on_poke)(void *ctx); /* another replica wrote, or the server is back */
};

/* url: one or more of nats://host:port, separated by commas. E_CONFIG when it is none. */
enum err poke_start(struct poke **p, const char *url, struct id replica,
    const struct poke_hooks *h, struct fail *f);
/* Returns when no hook runs or will run any more. */
void poke_stop(struct poke *p);
/* False when the server is away. */
bool poke_send(struct poke *p);
bool poke_connected(const struct poke *p);

#endif
