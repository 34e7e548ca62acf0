/* Routing documents in the store: every revision is kept, the highest is in force. Owns the table
 * routing_revision. Blocking: control lane. */
#ifndef ROUTING_STORE_SOURCE_H
#define ROUTING_STORE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

struct arena;
struct id;
struct json_t;

struct route_revision {
	int64_t revision, at; /* at: wall, microseconds */
	struct id author;     /* all zero: the command line */
	struct str note, document; /* document is STR_NONE in lists */
};

/* revision 0: the newest. E_NOT_FOUND when there is none. Strings are in the arena. */
enum err route_revision_get(struct store *s, int64_t revision, struct arena *a,
    struct route_revision *out, struct fail *f);
/* At most `limit` revisions below `before` (0: from the newest), newest first. */
enum err route_revision_list(struct store *s, int64_t before, size_t limit, struct arena *a,
    struct route_revision **out, size_t *n, struct fail *f);

/* The statements that append a revision: guarded, so that two writers of the same revision end
 * with one winner and E_REVISION_CONFLICT. `document` is canonical text (route_table_write). vals
 * and stmts are the caller's and outlive the batch. */
#define ROUTE_PUT_STMTS 2
struct route_put_vals {
	struct store_val revision[6], change[3];
};
void route_put_stmts(int64_t revision, struct str document, const struct id *author,
    struct str note, int64_t now, struct route_put_vals *vals,
    struct store_stmt stmts[ROUTE_PUT_STMTS]);

#endif
