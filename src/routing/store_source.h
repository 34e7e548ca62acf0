/* Routing documents in the store: every revision is kept, the highest is in force. Owns the tables
 * routing_revision and routing_snapshot. Blocking: control lane.
 *
 * A revision is kept as the merge patch that made it from the one before, or whole where that is not
 * much longer; whole documents also lie beside some patches (compactor.h), so that a revision is
 * the nearest whole document before it and a bounded number of patches. */
#ifndef ROUTING_STORE_SOURCE_H
#define ROUTING_STORE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"
#include "store/store.h"

struct arena;
struct route_table;

#define ROUTE_DOCUMENT_MAX (64u << 20) /* bytes of a whole document */

struct route_revision {
	int64_t revision, at; /* at: wall, microseconds */
	struct id author;     /* all zero: the command line */
	struct str note;
};

/* revision 0: the newest. E_NOT_FOUND when there is none. Strings are in the arena. */
enum err route_revision_get(struct store *s, int64_t revision, struct arena *a,
    struct route_revision *out, struct fail *f);
/* At most `limit` revisions below `before` (0: from the newest), newest first. */
enum err route_revision_list(struct store *s, int64_t before, size_t limit, struct arena *a,
    struct route_revision **out, size_t *n, struct fail *f);

/* The table of a revision (0: the newest; E_NOT_FOUND when there is none). E_ROUTING_INVALID: what is
 * stored can't be used. */
enum err route_revision_load(struct store *s, int64_t revision, struct route_table **out,
    struct fail *f);
/* The newest revision's table, from `have` (of this store) and what was put since; the table itself,
 * as a reference of its own, when nothing was. When the store is another one than `have` is from (a
 * backup was restored), when a whole document was put, and when have is NULL, all is read. An empty
 * table when nothing has been put yet. */
enum err route_revision_follow(struct store *s, struct route_table *have, struct route_table **out,
    struct fail *f);

/* What is to be appended to the revisions. */
struct route_put {
	int64_t revision;        /* one past the newest */
	int64_t base_at;         /* when that was put, which it was made from; 0: there is none yet */
	struct str document;     /* canonical */
	bool patch;              /* it is a merge patch onto the one before, else whole */
	const struct id *author; /* NULL: the command line */
	struct str note;
	int64_t now;
};
/* The statements that append it: guarded, so that of two writers of the same revision one wins, and
 * the other gets E_REVISION_CONFLICT. vals and stmts are the caller's and outlive the batch. Returns how
 * many statements. */
#define ROUTE_PUT_STMTS 3
struct route_put_vals {
	struct store_val revision[9], snapshot[2], change[3];
};
unsigned route_put_stmts(const struct route_put *p, struct route_put_vals *vals,
    struct store_stmt stmts[ROUTE_PUT_STMTS]);

/* Lays the whole document beside t's revision, unless the store has another revision under that
 * number, or somebody has laid one beside a revision past `after`. *done: it did. */
enum err route_snapshot_write(struct store *s, const struct route_table *t, int64_t after, bool *done,
    struct fail *f);

#endif
