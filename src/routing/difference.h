/* What differs between two routing tables, entry by entry, and that as text: a merge patch that makes
 * one into the other (how the store keeps a revision), and either side alone (what an audit record
 * shows). Costs what differs, not what there is, when one table was built onto the other. Belongs to one
 * thread; refers into both tables, which the caller keeps. */
#ifndef ROUTING_DIFFERENCE_H
#define ROUTING_DIFFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "routing/table.h"

struct jsonw;

/* A placement, whose shards are to be compared by name, or a shard. */
struct route_change {
	enum route_kind kind;
	bool is_shard;
	struct str name; /* of the tenant ("*" too) or of the shard; ends with a NUL */
	const struct route_shard *from, *to; /* NULL: not there */
};

struct route_diff {
	struct route_change *v; /* in the order of sections and names */
	size_t n, cap;
	bool nomem;
};

/* Release it also after E_NOMEM. */
enum err route_diff_make(const struct route_table *from, const struct route_table *to,
    struct route_diff *out);
void route_diff_release(struct route_diff *d);

const char *route_change_section(const struct route_change *c); /* "runner_shards" */
/* One side's value as the document has it; null when it is not there. */
void route_change_write(struct jsonw *w, const struct route_change *c, const struct route_shard *side);

enum route_side { ROUTE_PATCH, ROUTE_BEFORE, ROUTE_AFTER };
/* ROUTE_PATCH: the merge patch (RFC 7396) from the one table to the other. The others: the part of the
 * document that differs, as it was or is. `revision` is written into it. */
enum err route_diff_write(const struct route_diff *d, enum route_side side, int64_t revision,
    struct buf *out);

#endif
