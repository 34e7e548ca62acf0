/* Which shard each tenant of one kind lives on: an immutable map from names to numbers of shards. A
 * changed map is a new one that shares with the old all but the few nodes on the way to what changed,
 * so moving one tenant of a million costs what moving one of ten does.
 *
 * A trie over a keyed hash of the name, 16 children an inner node; up to LEAF_MAX names lie together
 * in a leaf. Nodes are reference-counted; NULL is the empty map. Any thread may read, and make a
 * changed map of, one that it holds a reference of. What shards the numbers stand for is not known
 * here. */
#ifndef ROUTING_PLACEMENTS_H
#define ROUTING_PLACEMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct placements;

#define SHARD_NONE UINT32_MAX

struct placement {
	struct str tenant; /* 1 to 63 bytes */
	uint32_t hash;     /* placements_hash(tenant) */
	uint32_t shard;    /* SHARD_NONE, in a change: the tenant is taken out */
};

/* The same for all maps of the process; its key is made at the first call. */
uint32_t placements_hash(struct str tenant);
/* Into the order that placements_apply wants. E_CONFLICT: a tenant is there twice. E_NOMEM. */
enum err placements_sort(struct placement *v, size_t n);

/* `old` (borrowed, may be NULL) with n changes, sorted; names are copied. The new map may be NULL, and
 * is a reference of its own also when nothing changed. E_NOMEM. */
enum err placements_apply(struct placements *old, const struct placement *v, size_t n,
    struct placements **out);
struct placements *placements_ref(struct placements *m);
void placements_unref(struct placements *m);

size_t placements_count(const struct placements *m);
/* SHARD_NONE when the tenant is not in it. */
uint32_t placements_find(const struct placements *m, struct str tenant);
/* All of them, in no order that means anything. Names end with a NUL. */
typedef void placements_each_fn(void *ctx, struct str tenant, uint32_t shard);
void placements_each(const struct placements *m, placements_each_fn *fn, void *ctx);
/* Every tenant that is in but one of the maps, and those in both whose nodes they do not share: a and
 * b are numbers of a shard or SHARD_NONE, and may be equal. What the maps share costs nothing. */
typedef void placements_diff_fn(void *ctx, struct str tenant, uint32_t a, uint32_t b);
void placements_diff(const struct placements *a, const struct placements *b, placements_diff_fn *fn,
    void *ctx);

#endif
