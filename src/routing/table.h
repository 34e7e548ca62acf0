/* The routing document (CONTRACT 7) as an immutable, reference-counted snapshot: which shard
 * holds a tenant, and the shard's endpoints. The control lane builds it; workers resolve in it.
 * Any thread may read one that it holds a reference of. Lookups are O(1). */
#ifndef ROUTING_TABLE_H
#define ROUTING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct json_t;
struct route_table;

enum route_kind { ROUTE_AGGREGATE, ROUTE_PROJECTION, ROUTE_RUNNER, ROUTE__KINDS };
const char *route_kind_name(enum route_kind k); /* "aggregate", "projection", "runner" */
bool route_kind_parse(struct str s, enum route_kind *out);

enum route_scheme { SCHEME_HTTP, SCHEME_HTTPS, SCHEME_GRPC, SCHEME_GRPCS };

struct route_endpoint {
	struct str url;     /* as written */
	enum route_scheme scheme;
	struct str host;    /* name or address, no brackets */
	uint16_t port;
	struct str base;    /* path prefix without a final slash; mostly empty */
	struct str admin;   /* node admin URL; == url when none was given */
	unsigned weight;    /* 1 to 100 */
};
struct route_shard {
	enum route_kind kind;
	struct str name;
	struct route_endpoint *endpoints;
	size_t n;
};

/* Builds from a document; every fault is listed in f->details {"faults":[{"path","error"}...]}
 * (at most 100) with E_ROUTING_INVALID. The document must carry a revision. */
enum err route_table_new(const struct json_t *doc, struct route_table **out, struct fail *f);
/* A table with revision 0 that places nobody. */
enum err route_table_empty(struct route_table **out);
struct route_table *route_table_ref(struct route_table *t);
void route_table_unref(struct route_table *t);
int64_t route_table_revision(const struct route_table *t);
/* The document, canonical: sorted members, revision included. */
enum err route_table_write(const struct route_table *t, struct buf *out);

/* The shard that holds the tenant, by its own placement or by "*"; NULL: unplaced. */
const struct route_shard *route_resolve(const struct route_table *t, enum route_kind kind,
    struct str tenant);
size_t route_shard_count(const struct route_table *t, enum route_kind kind);
const struct route_shard *route_shard_at(const struct route_table *t, enum route_kind kind, size_t i);

#endif
