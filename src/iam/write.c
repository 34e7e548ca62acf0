#include "iam/write.h"

#include <string.h>

void write_init(struct write *w, struct arena *a, int64_t now)
{
	w->a = a;
	w->now = now;
	w->n = 0;
	w->changes = false;
	w->err = OK;
}

static bool copy_values(struct write *w, const struct store_stmt *s, struct store_val *v)
{
	for (size_t i = 0; i < s->n; i++) {
		v[i] = s->v[i];
		if (v[i].type != STORE_TEXT && v[i].type != STORE_BLOB)
			continue;
		v[i].s = arena_str(w->a, v[i].s);
		if (v[i].s.p == NULL)
			return false;
	}
	return true;
}

void write_add(struct write *w, const struct store_stmt *s)
{
	struct store_val *v;

	if (w->err != OK)
		return;
	if (w->n == WRITE_MAX) {
		w->err = E_LIMIT;
		return;
	}
	v = arena_alloc(w->a, (s->n + 1) * sizeof *v);
	if (v == NULL || !copy_values(w, s, v)) {
		w->err = E_NOMEM;
		return;
	}
	w->st[w->n] = *s;
	w->st[w->n++].v = v;
}

void write_change(struct write *w, enum change_kind kind, struct str key)
{
	struct store_val v[3];
	struct store_stmt s = change_stmt(kind, key, w->now, v);

	write_add(w, &s);
	w->changes = true;
}

void write_change_id(struct write *w, enum change_kind kind, const struct id *id)
{
	write_change(w, kind, str_n((const char *)id->b, sizeof id->b));
}

void write_to_front(struct write *w, unsigned first)
{
	struct store_stmt tail[WRITE_MAX];
	unsigned n = w->n - first;

	memcpy(tail, w->st + first, n * sizeof *tail);
	memmove(w->st + n, w->st, first * sizeof *tail);
	memcpy(w->st, tail, n * sizeof *tail);
}

enum err write_run(struct write *w, struct store *s, struct fail *f)
{
	return write_run_rows(w, s, NULL, f);
}

enum err write_run_rows(struct write *w, struct store *s, struct store_rows *rows, struct fail *f)
{
	struct store_batch b = { .op_id = id_new(w->now), .stmts = w->st, .n = w->n, .arena = w->a,
		.out = rows };

	if (w->err != OK)
		return fail_code(f, w->err);
	return store_write(s, &b, NULL, f);
}
