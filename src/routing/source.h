/* Where the routing document comes from (routing.source): the store, a file that operators
 * deploy, or a key of a NATS bucket. It reads and validates; what is in force is the caller's:
 * when a load fails, the last good table stays.
 *
 * File and bucket are looked at twice a second by a small thread (route_source_watch), not by
 * inotify or a KV watcher: those miss a file that is replaced through a symbolic link or over
 * NFS, and die silently when a bucket is made anew; one stat or one get, twice a second, costs
 * nothing and can't. The store's document is followed by the change feed.
 *
 * Loads block: control lane, feed thread, main thread. Thread-safe. */
#ifndef ROUTING_SOURCE_H
#define ROUTING_SOURCE_H

#include <stdbool.h>

#include "base/err.h"

struct route_source;
struct route_table;
struct store;

/* spec: "store", "file:PATH" or "nats:BUCKET/KEY"; nats_url: of the latter, else NULL. Strings are
 * copied. *out is set, for route_source_free, also on failure. */
enum err route_source_new(struct store *s, const char *spec, const char *nats_url,
    struct route_source **out, struct fail *f);
void route_source_free(struct route_source *src);
/* False: the store's revisions are not in force and PUT is refused. */
bool route_source_is_store(const struct route_source *src);
/* The document as it is now, as a table. `have` is the one in force, or NULL: the store is asked for
 * what has changed since, and gives the same table (as a reference) when nothing has. Nothing put yet in
 * store or bucket: an empty table, the first time. A bad document is E_ROUTING_INVALID with its faults.
 * From a bucket a revision below one that was loaded before is refused too: a crashed NATS server may
 * have lost an acknowledged put. */
enum err route_source_load(struct route_source *src, struct route_table *have,
    struct route_table **out, struct fail *f);

/* Calls changed(ctx), on a thread of its own, whenever file or bucket are not as they were at the
 * last load, once for each change. Nothing for the store. */
enum err route_source_watch(struct route_source *src, void (*changed)(void *ctx), void *ctx);
/* Returns when `changed` does not run and will not. Harmless without a watch. */
void route_source_unwatch(struct route_source *src);

#endif
