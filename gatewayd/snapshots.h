/* What the gateway knows as of now, in snapshots that never change: signing keys, roles, routes and
 * certificates. Whoever asks gets a reference of its own; one who has read something newer puts it in place.
 * That workers get the same, and in which order, is control.c's. Any thread. */
#ifndef GATEWAYD_SNAPSHOTS_H
#define GATEWAYD_SNAPSHOTS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"
#include "worker.h"

struct route_source;
struct seal;
struct store;

struct snapshots {
	pthread_mutex_t mu; /* guards the pointers */
	struct worker_snapshots now; /* references; no config */
};

void snapshots_init(struct snapshots *s);
void snapshots_release(struct snapshots *s);

/* References; NULL, or none, before there is one. */
struct keyring *snapshots_keys(struct snapshots *s);
struct route_table *snapshots_routes(struct snapshots *s);
struct certs snapshots_certs(struct snapshots *s);
/* Takes references of what is in `next` as current; the old ones go. */
void snapshots_adopt(struct snapshots *s, const struct worker_snapshots *next);

/* Where they are read from, and which of them. */
struct snapshots_from {
	struct store *store;
	struct seal *seal;
	struct route_source *source;
	bool keys, roles, routes;
};
/* Reads what is wanted into `out`, whose references are the caller's: snapshots_let_go. A routing document
 * that can't be used leaves the last good one in force; without one it is an error. Not at the same time on
 * two threads. */
enum err snapshots_load(struct snapshots *s, const struct snapshots_from *from, struct worker_snapshots *out,
    struct fail *f);
void snapshots_let_go(struct worker_snapshots *s);

#endif
