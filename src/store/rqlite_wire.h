/* What goes over the wire to rqlite and back: statements as its parameterised JSON, answers as rows
 * or outcomes. No I/O. Pure functions: any thread.
 *
 * Values. rqlite 8 takes no BLOB parameter, and newer releases turn a text parameter shaped like
 * x'6869' into a BLOB. So a BLOB goes as a literal X'6869' in the place of its question mark, and
 * text of that shape as CAST(X'..' AS TEXT): hex digits alone, nothing to inject. All else is a
 * parameter. Integers are exact over the whole of int64. BLOBs come back as arrays of bytes
 * (blob_array), which text can't be mistaken for. */
#ifndef STORE_RQLITE_WIRE_H
#define STORE_RQLITE_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

/* Appends the n statements as a JSON array. */
enum err wire_statements(struct buf *out, const struct store_stmt *st, size_t n, struct fail *f);
/* The same for one atomic batch: its op_id first, a guard behind each guarded statement. */
enum err wire_batch(struct buf *out, const struct store_batch *b, struct fail *f);

/* The same for n batches as one group, which has an op_id of its own besides theirs. It is atomic but
 * for singles: one that finds no row changes nothing and hinders no neighbour, and its op_id is not
 * there afterwards. */
enum err wire_group(struct buf *out, struct id op_id, const struct store_batch *const *b, size_t n,
    struct fail *f);

enum wire_outcome {
	WIRE_DONE,       /* the batch was applied */
	WIRE_DONE_BEFORE,/* its op_id is there already: applied by an earlier attempt */
	WIRE_REFUSED,    /* rolled back by a statement: *err, *at and the text say why */
	WIRE_NO_TABLES,  /* rolled back: the engine's own tables are missing */
	WIRE_RETRY,      /* surely not applied: no leader, not ready */
	WIRE_UNKNOWN,    /* may or may not have been applied */
};

/* What the answer (HTTP status and body) says about the batch; when it is done, also what it returns
 * (store_batch.out). For WIRE_REFUSED *err is the error to return and *at the statement of the batch;
 * for WIRE_RETRY and WIRE_UNKNOWN f->text is what the server said. */
enum wire_outcome wire_read_batch(int status, struct str body, const struct store_batch *b,
    enum err *err, size_t *at, struct fail *f);

/* The same for a group of n batches. WIRE_DONE: held[i] is whether the guard of a batch of one statement
 * held. WIRE_REFUSED and WIRE_DONE_BEFORE: rolled back, for whichever reason. */
enum wire_outcome wire_read_group(int status, struct str body, const struct store_batch *const *b,
    size_t n, bool *held, struct fail *f);
/* Whether a failed guard of the batch leaves its group alone: it is one statement that wants one row. */
bool wire_is_single(const struct store_batch *b);

/* The rows of an answer to n statements, into the arena. *retry: another attempt may succeed. */
enum err wire_read_rows(int status, struct str body, size_t n, struct arena *a,
    struct store_rows *out, bool *retry, struct fail *f);

/* "v8.32.1" (the header X-Rqlite-Version): whether level=linearizable exists there (from 8.32 on).
 * Older servers take it for `weak` without a word. */
bool wire_has_linearizable(struct str version);

#endif
