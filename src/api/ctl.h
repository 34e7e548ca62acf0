/* What handlers on the control lane work with: the store and what stands around it. One for the
 * process, made by gatewayd before threads start; the pointers never change, what they point to is
 * thread-safe. Handlers are straight-line functions on a control thread. */
#ifndef API_CTL_H
#define API_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct audit;
struct buf;
struct config;
struct feed;
struct fleet;
struct hasher;
struct keyring;
struct mail_sender;
struct mail_templates;
struct obs;
struct oidc;
struct request;
struct route_table;
struct seal;
struct store;
struct store_batch;
struct store_stmt;
struct throttle;

struct ctl {
	struct store *store;
	struct seal *seal;
	struct feed *feed;
	struct hasher *hasher; /* password hashing behind its semaphore, crypto/hasher.h */
	struct throttle *throttle; /* iam/throttle.h; NULL: nothing is limited (tests) */
	struct obs *obs;
	struct fleet *fleet; /* nodes and how they are, upstream/fleet.h; NULL: none (tests) */
	const struct mail_templates *templates;
	struct mail_sender *mail; /* see letters.h */
	struct oidc *oidc; /* authn/oidc.h; NULL: none is configured */
	struct audit *audit; /* iam/audit.h; NULL: none is kept (tests) */
	_Atomic(const struct config *) config; /* replaced by SIGHUP; old ones live until the end */
	struct str issuer, audience;
	struct id replica;
	/* Snapshots as the control lane has them; the caller owns the reference it gets. */
	struct keyring *(*keys)(struct ctl *c);
	struct route_table *(*routes)(struct ctl *c);
	/* Prometheus families that need the workers; appended after obs_write. */
	void (*write_metrics)(struct ctl *c, struct buf *out);
	/* When the certificates expire that clients and nodes are shown, wall; 0: none is. */
	void (*certificate_expiry)(struct ctl *c, int64_t *clients, int64_t *nodes);
	/* NULL when ready, else the name of the check that fails. */
	const char *(*not_ready)(struct ctl *c);
	/* Reads the routing source again now (POST /admin/routing/reload). */
	enum err (*reload_routing)(struct ctl *c, struct fail *f);
	/* False when routing.source is a file: then PUT and rollback are refused with E_CONFLICT. */
	bool routing_in_store;
	void *impl;
};

/* The tenants that an operation touches, found before it runs. The right must be held in every one
 * of them (or platform-wide); `platform`: platform-wide only. */
#define SCOPE_TENANTS 64
struct scope {
	bool platform;
	bool any; /* one of the tenants is enough: reads of a user that several tenants share */
	struct str tenant[SCOPE_TENANTS]; /* in the request's arena */
	unsigned n;
};

/* Writes the batch with an op_id of its own, and returns when the change rows in it hold on every
 * worker of this replica. No change row among stmts: use ctl_write, which does not wait. */
enum err ctl_write(struct ctl *c, const struct store_stmt *stmts, unsigned n, struct fail *f);
/* The waiting alone: every change committed before the call holds on every worker of this replica. */
enum err ctl_sync(struct ctl *c, struct fail *f);
enum err ctl_write_sync(struct ctl *c, const struct store_stmt *stmts, unsigned n, struct fail *f);

#endif
