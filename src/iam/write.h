/* A write being gathered: the statements of one guarded batch. Nouns append theirs (with the change
 * rows that caches need), the caller adds its own and commits all of it at once. Values are copied, so
 * nothing that a statement names has to outlive the call. Errors of gathering show at the commit.
 * Not thread-safe. */
#ifndef IAM_WRITE_H
#define IAM_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "store/change.h"
#include "store/store.h"

#define WRITE_MAX 64

struct write {
	struct arena *a;
	int64_t now; /* wall, microseconds: the time of every row in it */
	struct store_stmt st[WRITE_MAX];
	unsigned n;
	bool changes; /* has a change row: caches must hear of it before the caller is answered */
	enum err err; /* first failure of gathering: E_NOMEM, E_LIMIT */
};

void write_init(struct write *w, struct arena *a, int64_t now);
void write_add(struct write *w, const struct store_stmt *s);
/* WRITE(w, sql, values...): no guard. WRITE1(w, otherwise, sql, values...): exactly one row. */
#define WRITE(w, ...) write_add((w), &(const struct store_stmt)STMT(__VA_ARGS__))
#define WRITE1(w, ...) write_add((w), &(const struct store_stmt)STMT1(__VA_ARGS__))
void write_change(struct write *w, enum change_kind kind, struct str key);
void write_change_id(struct write *w, enum change_kind kind, const struct id *id);

/* Moves the statements from `first` on to the front: guards that must speak before all others. */
void write_to_front(struct write *w, unsigned first);

/* Commits straight to the store, for callers without caches: command line and tests. */
enum err write_run(struct write *w, struct store *s, struct fail *f);
/* The same, with what RETURNING clauses yield in rows[w->n] (store_batch.out). */
enum err write_run_rows(struct write *w, struct store *s, struct store_rows *rows, struct fail *f);

/* Optional values. */
static inline struct store_val sv_text_or_null(struct str s)
{
	return s.p == NULL ? SV_NULL : SV_TEXT(s);
}
static inline struct store_val sv_int_or_null(int64_t v)
{
	return v == 0 ? SV_NULL : SV_INT(v);
}

#endif
