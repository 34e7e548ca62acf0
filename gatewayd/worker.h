/* One worker of the data lane: a thread, its event loop, and everything that it owns (front, API,
 * authentication, caches, connections to nodes, counters). Nothing of it is shared; what reaches it
 * comes by message.
 *
 * worker_new, worker_free: the main thread, before start and after join. The rest as stated. */
#ifndef GATEWAYD_WORKER_H
#define GATEWAYD_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "certs.h"

struct change;
struct config;
struct crew;
struct ctl;
struct fleet;
struct gate;
struct issuer;
struct keyring;
struct obs;
struct pool;
struct role_set;
struct route_table;
struct store;
struct peers;
struct seal;
struct upstream;
struct worker;

struct worker_config {
	int index;
	const struct config *config;
	struct ctl *ctl;
	struct obs *obs;
	struct pool *lane;
	struct store *store;
	struct seal *seal;
	struct fleet *fleet; /* outlives the workers */
	const _Atomic bool *state_fresh, *draining, *basic_without_tls, *verified_only;
	const struct issuer *issuers; /* outlive the workers */
	size_t nissuers;
	int http_fd, grpc_fd, admin_fd; /* taken */
	struct crew *http_crew, *grpc_crew; /* outlive the workers, as what follows */
	struct peers *peers;
	struct gate *gate;
};

/* Snapshots that hold from now on; NULL: unchanged. A worker takes references of its own. */
struct worker_snapshots {
	struct keyring *keys;
	struct role_set *roles;
	struct route_table *routes;
	struct certs certs; /* none: unchanged */
	const struct config *config; /* that has changed; lives until the end */
};

enum err worker_new(const struct worker_config *c, const struct worker_snapshots *s,
    struct worker **out, struct fail *f);
void worker_free(struct worker *w);
/* The thread, which waits for worker_go before it serves. */
enum err worker_start(struct worker *w);
void worker_go(struct worker *w);
/* Stops the loop and joins; messages that are still under way are delivered by worker_settle. */
void worker_join(struct worker *w);
/* Main thread, after worker_join and after the control lane has ended. */
void worker_settle(struct worker *w);

/* Feed thread: hands changes and snapshots to all workers and returns when each has applied them. */
void workers_apply(struct worker *const *w, size_t n, const struct change *c, size_t nchanges,
    bool flush, int64_t seq, const struct worker_snapshots *s);
/* Main thread: stop accepting; *left is decremented by each worker as it becomes idle. */
void workers_drain(struct worker *const *w, size_t n, atomic_int *left);

/* Scrapes: the upstream counters are readable from any thread. */
struct upstream *worker_upstream(struct worker *w);

#endif
