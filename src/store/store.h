/* The store: one interface, two engines (sqlite:PATH, rqlite:URL[,URL...]).
 *
 * A read is a list of statements answered from one snapshot. A write is a batch of statements with
 * guards, atomic: all of it is durable when store_write returns OK, none of it happened when it
 * returns anything else but E_STORE_UNKNOWN. There is no open transaction. Time and randomness are
 * always parameters, never SQL functions. SQL is literal text; statements are cached by it.
 *
 * Foreign keys are off on both engines (on rqlite a flag of the server decides, so nothing may
 * depend on them): references are held by guards. REAL is not a type of this store.
 *
 * Every call blocks: control-lane threads only, never a worker. All calls are thread-safe. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct arena;
struct store;

enum store_type { STORE_NULL, STORE_INT, STORE_TEXT, STORE_BLOB };

struct store_val {
	enum store_type type;
	int64_t i;    /* STORE_INT */
	struct str s; /* STORE_TEXT (UTF-8, no NUL), STORE_BLOB; not owned; .p NULL binds NULL */
};

#define SV_NULL ((struct store_val){ .type = STORE_NULL })
#define SV_INT(v) ((struct store_val){ .type = STORE_INT, .i = (v) })
#define SV_TEXT(v) ((struct store_val){ .type = STORE_TEXT, .s = (v) })
#define SV_Z(z) ((struct store_val){ .type = STORE_TEXT, .s = str_c(z) })
#define SV_BLOB(v) ((struct store_val){ .type = STORE_BLOB, .s = (v) })
/* An id is kept as a 16-byte BLOB; idp points at a struct id that outlives the call. */
#define SV_ID(idp) ((struct store_val){ .type = STORE_BLOB, .s = { (const char *)(idp)->b, 16 } })

/* How many rows a statement of a write must have affected. */
#define STORE_ANY (-1)

struct store_stmt {
	const char *sql; /* one statement, parameters as ? in order */
	const struct store_val *v;
	size_t n;
	int expect;          /* guard: exactly this many rows (STORE_ANY: no guard); DML only */
	enum err otherwise;  /* what the batch returns when the guard fails; 0: E_GUARD */
};

/* STMT("SELECT ...", SV_ID(&id), SV_INT(now)): no guard. STMT1: exactly one row or `err_`. */
#define STMT(sql_, ...) \
	{ .sql = (sql_), .v = (const struct store_val[]){ __VA_ARGS__ __VA_OPT__(,) SV_NULL }, \
	  .n = sizeof((const struct store_val[]){ __VA_ARGS__ __VA_OPT__(,) SV_NULL }) / \
	      sizeof(struct store_val) - 1, .expect = STORE_ANY }
#define STMT1(err_, sql_, ...) \
	{ .sql = (sql_), .v = (const struct store_val[]){ __VA_ARGS__ __VA_OPT__(,) SV_NULL }, \
	  .n = sizeof((const struct store_val[]){ __VA_ARGS__ __VA_OPT__(,) SV_NULL }) / \
	      sizeof(struct store_val) - 1, .expect = 1, .otherwise = (err_) }

struct store_rows {
	size_t nrows, ncols;
	struct store_val *v; /* nrows * ncols, row by row; in the caller's arena */
};

static inline const struct store_val *store_at(const struct store_rows *r, size_t row, size_t col)
{
	return &r->v[row * r->ncols + col];
}
int64_t store_int(const struct store_rows *r, size_t row, size_t col);   /* 0 for NULL */
struct str store_str(const struct store_rows *r, size_t row, size_t col); /* STR_NONE for NULL */
bool store_is_null(const struct store_rows *r, size_t row, size_t col);
/* A 16-byte BLOB as an id; all zero when it is not one. */
struct id store_id(const struct store_rows *r, size_t row, size_t col);

/* How fresh a read must be. On SQLite all are the same. */
enum store_level {
	STORE_STALE,  /* rqlite `none`: may lag */
	STORE_FRESH,  /* rqlite `weak`: the leader's view */
	STORE_LINEAR, /* everything committed before the call: where a decision hangs on it. rqlite
	               * `linearizable`, or `strong` (a Raft entry a read) before its release 8.32 */
};

struct store_config {
	const char *url;      /* sqlite:PATH or rqlite:http://a:4001,http://b:4001 */
	int readers;          /* SQLite reader connections at most; 0: a default */
	int64_t timeout_us;   /* of one call, retries included; 0: 10 s */
	const char *ca, *cert, *key; /* mTLS to rqlite, PEM files; NULL: none */
	bool read_only;       /* no writer thread; the file must exist */
};

/* Opens, without looking at the schema (migrate.h does). E_CONFIG for a bad URL,
 * E_STORE_UNAVAILABLE when it cannot be reached or is not a database. */
enum err store_open(struct store **s, const struct store_config *c, struct fail *f);
/* Nobody may be in a call any more. */
void store_close(struct store *s);
/* Calls under way and to come fail soon with E_DRAINING (or have done what they should), so that the threads
 * that make them can be joined before store_close. */
void store_stop(struct store *s);
/* False: writes can't be expected to succeed, because there is no room for them (SQLite: the file system is
 * full) or the disk failed one of the last few seconds. Cheap, blocks no longer than statvfs(2). */
bool store_writable(struct store *s);
bool store_is_rqlite(const struct store *s);

/* Runs the n statements in one snapshot; out[i] holds the rows of stmts[i], in `a`.
 *
 * A BLOB must be selected as a plain column: rqlite tells a BLOB from text by the declared type of
 * the column, and an expression (max(id), coalesce(..)) has none. */
enum err store_read(struct store *s, enum store_level level, const struct store_stmt *stmts,
    size_t n, struct arena *a, struct store_rows *out, struct fail *f);

struct store_batch {
	struct id op_id; /* made by the caller, new for every write */
	const struct store_stmt *stmts;
	size_t n;
	/* What RETURNING clauses yield: n of them, in the arena, where the batch is done. NULL: nobody
	 * asks. Columns and functions of them only: rqlite passes over a clause with a subquery without a
	 * word, and does not know a BLOB for one there (hex(column) does). */
	struct arena *arena;
	struct store_rows *out; /* [i].ncols is 0 when it is not known any more: the answer of an rqlite
	                         * node was lost, and all that could be learnt is that it was done */
};

/* OK: durable. A failed guard: its `otherwise`. E_CONSTRAINT: a unique or check constraint; f->text
 * names it. E_SCHEMA: a table or column is missing (not migrated). E_STORE_UNAVAILABLE: surely not
 * done. E_STORE_UNKNOWN: the outcome could not be resolved within the timeout (rqlite), or the disk
 * failed in the commit itself (SQLite). *failed_at (may be NULL) is the statement that failed, b->n
 * when it was none of them. */
enum err store_write(struct store *s, const struct store_batch *b, size_t *failed_at,
    struct fail *f);

struct store_stats {
	uint64_t writes, write_errors, reads, read_errors;
	uint64_t commits;         /* fsyncs (SQLite) or Raft entries (rqlite) */
	uint64_t batch_size_sum;  /* batches gathered over all commits */
	uint64_t write_us_sum, read_us_sum;
	/* histograms, cumulative as Prometheus wants them: bounds in store_batch_bounds and
	 * store_duration_bounds (seconds) */
	uint64_t batch_hist[9], write_hist[12], read_hist[12];
};
/* upper bounds; the last bucket of each histogram is +Inf, the total */
extern const int store_batch_bounds[8];
extern const double store_duration_bounds[11];
void store_stats(struct store *s, struct store_stats *out);

/* Deletes what only the engine needs and nobody will ask for again (rqlite: old op_ids). Cheap;
 * the change feed calls it now and then. */
enum err store_tidy(struct store *s, int64_t now, struct fail *f);

/* Tests: the n-th store_read or store_write from now (1 = the next) fails with E_STORE_UNAVAILABLE
 * and does nothing; those after it work again. 0 switches off. Returns whether a failure has been
 * injected since the last call. */
int store_fail_after(struct store *s, long n);

#endif
