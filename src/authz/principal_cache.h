/* A worker's cache of principals and of session states, and the loads that fill it. Each worker
 * owns one; only its thread touches it. Entries go when the change feed names them; a load that
 * began before a change and ended after it is loaded again, so nothing stale stays.
 *
 * A load result is taken when its as_of is at least the feed sequence that this worker had
 * applied when the load began and at least every invalidation of that key since. */
#ifndef AUTHZ_PRINCIPAL_CACHE_H
#define AUTHZ_PRINCIPAL_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

struct loop;
struct pool;
struct principal;
struct principal_cache;
struct session_state;
struct store;

/* Loads run on `lane`; results come back through `loop`. max: entries of each kind (LRU). */
enum err principal_cache_new(struct loop *loop, struct pool *lane, struct store *store, size_t max,
    struct principal_cache **out);
/* After the loop has stopped and the lane has been drained. */
void principal_cache_free(struct principal_cache *c);

/* Called on the worker. e: OK, E_NOT_FOUND, or why it could not be found out (fail closed: what
 * the store said, or E_STATE_STALE when changes came faster than loads). The principal is
 * borrowed: take a reference to keep it. session is NULL when none was asked for, and a view
 * otherwise; its expires_at is for the caller to check. */
typedef void principal_cb(void *arg, enum err e, struct principal *p,
    const struct session_state *session);

/* Calls cb before it returns when everything is cached (OK), or later (E_NOT_READY); with any
 * other error never. session NULL: the principal alone. Concurrent lookups of one key share one
 * load. E_OVERLOADED: too many loads are under way. */
enum err principal_cache_get(struct principal_cache *c, struct id principal,
    const struct id *session, principal_cb *cb, void *arg);

/* The change feed, by message on the worker. seq: of the change, or up to where the feed is
 * applied. What is not there is remembered as well as what is: a drop also forgets that a
 * principal or session does not exist. */
void principal_cache_drop(struct principal_cache *c, struct id principal, int64_t seq);
void principal_cache_drop_session(struct principal_cache *c, struct id session, int64_t seq);
void principal_cache_flush(struct principal_cache *c, int64_t seq);
void principal_cache_applied(struct principal_cache *c, int64_t seq);
/* A number that changes with every drop and flush, also of what was not cached here: lets callers
 * that remember an answer (the verified-token cache) check cheaply that it still holds. */
uint64_t principal_cache_epoch(const struct principal_cache *c);

#endif
