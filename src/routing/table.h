/* The routing document (CONTRACT 7) as an immutable, reference-counted snapshot: which shard
 * holds a tenant, and the shard's endpoints. The control lane builds it; workers resolve in it.
 * Any thread may read one that it holds a reference of. Tenants are looked up in O(1).
 *
 * A table that is built onto another one shares with it whatever is the same (placements.h,
 * shard_set.h): a change of one tenant costs microseconds however many there are. */
#ifndef ROUTING_TABLE_H
#define ROUTING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct jsonw;
struct placements;
struct route_doc;
struct route_table;
struct shard_set;

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

/* Where in the store a table comes from (store_source.h); all zero: from elsewhere. */
struct route_origin {
	int64_t at;     /* of its revision; tells two revisions of one number apart */
	int64_t base;   /* revision of the whole document that it was made from */
	size_t whole;   /* bytes of that */
	size_t patched; /* bytes of the patches since */
};

/* Builds from a document. `base` may be NULL; a patch goes onto it (NULL: onto nothing), a whole
 * document only shares with it what is the same. Every fault is listed in f->details
 * {"faults":[{"path","error"}...]} (at most 100) with E_ROUTING_INVALID. The document must carry a
 * revision. E_BAD_JSON: a member is there twice. The document's faults are used up; all else of it is
 * left as it is. */
enum err route_table_build(const struct route_table *base, struct route_doc *doc,
    struct route_table **out, struct fail *f);
/* A whole document's text, which is written to: read and built. */
enum err route_table_read(char *text, size_t n, struct route_table **out, struct fail *f);
/* A table with revision 0 that places nobody. */
enum err route_table_empty(struct route_table **out);
struct route_table *route_table_ref(struct route_table *t); /* NULL: NULL */
void route_table_unref(struct route_table *t);
int64_t route_table_revision(const struct route_table *t);
const struct route_origin *route_table_origin(const struct route_table *t);
/* Both: before others see the table. */
void route_table_set_origin(struct route_table *t, const struct route_origin *o);
void route_table_renumber(struct route_table *t, int64_t revision);
/* The document, canonical: sorted members, revision included. */
enum err route_table_write(const struct route_table *t, struct buf *out);
/* The endpoints of a shard as the document has them. */
void route_shard_write(struct jsonw *w, const struct route_shard *s);

/* The shard that holds the tenant, by its own placement or by "*"; NULL: unplaced. */
const struct route_shard *route_resolve(const struct route_table *t, enum route_kind kind,
    struct str tenant);
size_t route_shard_count(const struct route_table *t, enum route_kind kind);
/* In the order of names. */
const struct route_shard *route_shard_at(const struct route_table *t, enum route_kind kind, size_t i);
/* By name; NULL: there is none. O(log n). */
const struct route_shard *route_shard_find(const struct route_table *t, enum route_kind kind,
    struct str name);

/* For those who compare tables (difference.h): borrowed, either may be NULL. */
struct route_part {
	struct placements *placements;
	struct shard_set *shards;
	uint32_t fallback; /* number of the shard of "*", or SHARD_NONE */
};
const struct route_part *route_table_part(const struct route_table *t, enum route_kind kind);
/* How many placements, "*" included, and shards of all kinds. */
size_t route_table_size(const struct route_table *t);

#endif
