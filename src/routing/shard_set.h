/* The shards of one kind: an immutable set, each shard under a number that it keeps as long as it is in
 * the set, through all sets that are made from one another. A changed set shares the shards that did
 * not change. Reference-counted; any thread may read one that it holds a reference of. */
#ifndef ROUTING_SHARD_SET_H
#define ROUTING_SHARD_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "routing/table.h"

struct shard_set;

/* What becomes of the shard of that name. Endpoints as route_url_parse has accepted them; all is
 * copied. */
struct shard_edit {
	struct str name;
	struct route_endpoint *endpoints; /* NULL: it goes */
	size_t n;
};

/* False: a name is there twice. */
bool shard_edits_sort(struct shard_edit *v, size_t n);
/* `old` (borrowed, may be NULL) with n edits; `clear`: shards that no edit names go too. A number that
 * became free in this call is not given to another shard by it. *out may be `old` itself, as a
 * reference of its own. E_NOMEM, E_LIMIT. */
enum err shard_set_apply(struct shard_set *old, enum route_kind kind, bool clear,
    const struct shard_edit *v, size_t n, struct shard_set **out);
struct shard_set *shard_set_ref(struct shard_set *s);
void shard_set_unref(struct shard_set *s);

/* All of these: `s` may be NULL, the set without shards. */
size_t shard_set_count(const struct shard_set *s);
/* The i-th in the order of names. */
const struct route_shard *shard_set_sorted(const struct shard_set *s, size_t i);
/* By number; NULL when there is none, or the number is SHARD_NONE. */
const struct route_shard *shard_set_at(const struct shard_set *s, uint32_t number);
/* The number, or SHARD_NONE. */
uint32_t shard_set_find(const struct shard_set *s, struct str name);

/* Same endpoints, written the same. */
bool shards_same(const struct route_shard *a, const struct route_shard *b);

#endif
