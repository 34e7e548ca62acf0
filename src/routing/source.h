/* Where the routing document comes from (routing.source): the store, or a file that operators deploy.
 * Blocking: control lane, feed thread, main thread. Thread-safe. */
#ifndef ROUTING_SOURCE_H
#define ROUTING_SOURCE_H

#include <stdbool.h>

#include "base/err.h"

struct route_source;
struct route_table;
struct store;

/* spec: "store" or "file:PATH". Strings are copied. */
enum err route_source_new(struct store *s, const char *spec, struct route_source **out,
    struct fail *f);
void route_source_free(struct route_source *src);
/* False: the store's revisions are not in force and PUT is refused. */
bool route_source_is_store(const struct route_source *src);
/* The document in force now, as a table. An empty store gives an empty table. A bad document is
 * E_ROUTING_INVALID with its faults; the caller keeps what it has. */
enum err route_source_load(struct route_source *src, struct route_table **out, struct fail *f);

#endif
