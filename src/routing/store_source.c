#include "routing/store_source.h"

#include "base/arena.h"
#include "base/clock.h"
#include "routing/document.h"
#include "routing/table.h"
#include "store/change.h"
#include "store/list.h"

#define ARENA_MAX ((size_t)4 * ROUTE_DOCUMENT_MAX)
#define PAGE 256 /* patches of one read */
#define TRIES 8

/* ---- what is told of revisions --------------------------------------------------------------- */

static void take_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct route_revision *)item = (struct route_revision){
		.revision = store_int(r, i, 0),
		.at = store_int(r, i, 1),
		.author = store_id(r, i, 2),
		.note = store_str(r, i, 3),
	};
}

static enum err not_found(int64_t revision, struct fail *f)
{
	return revision == 0 ? fail_set(f, E_NOT_FOUND, "no routing document has been put yet")
	    : fail_set(f, E_NOT_FOUND, "there is no revision %lld", (long long)revision);
}

enum err route_revision_get(struct store *s, int64_t revision, struct arena *a,
    struct route_revision *out, struct fail *f)
{
	struct store_stmt newest = STMT("SELECT revision, at, author, note "
	    "FROM routing_revision ORDER BY revision DESC LIMIT 1");
	struct store_stmt one = STMT("SELECT revision, at, author, note "
	    "FROM routing_revision WHERE revision = ?", SV_INT(revision));
	struct store_rows rows;
	enum err e = store_read(s, STORE_LINEAR, revision == 0 ? &newest : &one, 1, a, &rows, f);

	if (e != OK)
		return e;
	if (rows.nrows == 0)
		return not_found(revision, f);
	take_row(&rows, 0, out);
	return OK;
}

enum err route_revision_list(struct store *s, int64_t before, size_t limit, struct arena *a,
    struct route_revision **out, size_t *n, struct fail *f)
{
	struct store_stmt q = STMT("SELECT revision, at, author, note FROM routing_revision "
	    "WHERE revision < ? ORDER BY revision DESC LIMIT ?",
	    SV_INT(before > 0 ? before : INT64_MAX), SV_INT((int64_t)limit));

	return STORE_LIST(s, STORE_FRESH, &q, a, take_row, out, n, f);
}

/* ---- loading --------------------------------------------------------------------------------- */

/* The text is the arena's, and so may be written to. */
static enum err build(const struct route_table *base, struct str text, bool patch,
    struct route_table **out, struct fail *f)
{
	struct route_doc d;
	enum err e = route_doc_read((char *)(uintptr_t)text.p, text.n, patch, &d, f);

	if (e == OK) {
		e = route_table_build(base, &d, out, f);
		route_doc_release(&d);
	}
	if (e == OK || f == NULL)
		return e == E_BAD_JSON ? E_ROUTING_INVALID : e;
	if (e == E_BAD_JSON)
		f->err = E_ROUTING_INVALID;
	return fail_wrap(f, "the store");
}

/* Puts the patch in row i of rows onto *t, which is replaced. */
static enum err patch(struct route_table **t, const struct store_rows *rows, size_t i, struct fail *f)
{
	struct route_origin o = *route_table_origin(*t);
	struct route_table *next;
	enum err e;

	if (store_int(rows, i, 0) != route_table_revision(*t) + 1)
		return fail_set(f, E_ROUTING_INVALID, "the store has lost revision %lld",
		    (long long)route_table_revision(*t) + 1);
	o.at = store_int(rows, i, 1);
	o.patched += store_str(rows, i, 3).n;
	e = build(*t, store_str(rows, i, 3), true, &next, f);
	if (e != OK)
		return e;
	route_table_set_origin(next, &o);
	route_table_unref(*t);
	*t = next;
	return OK;
}

/* A page of the revisions from `from` to `to`. The first comes without its text, for it is known; so
 * do whole ones. */
static enum err read_page(struct store *s, int64_t from, int64_t to, struct arena *a,
    struct store_rows *rows, struct fail *f)
{
	struct store_stmt q = STMT("SELECT revision, at, patch, "
	    "CASE WHEN patch AND revision > ? THEN document END "
	    "FROM routing_revision WHERE revision >= ? AND revision <= ? ORDER BY revision LIMIT 256",
	    SV_INT(from), SV_INT(from), SV_INT(to));

	arena_clear(a);
	return store_read(s, STORE_LINEAR, &q, 1, a, rows, f);
}

/* Puts what follows on *t, up to `to`. *other: the store's revision of t's number is another one than
 * t, or one past it is whole, and nothing is to be concluded. */
static enum err catch_up(struct store *s, struct route_table **t, int64_t to, bool *other,
    struct fail *f)
{
	struct store_rows rows = { .nrows = PAGE };
	struct arena a;
	enum err e = OK;

	*other = false;
	arena_init(&a, ARENA_MAX);
	while (e == OK && !*other && rows.nrows == PAGE) {
		e = read_page(s, route_table_revision(*t), to, &a, &rows, f);
		if (e == OK)
			*other = rows.nrows == 0 || store_int(&rows, 0, 0) != route_table_revision(*t) ||
			    store_int(&rows, 0, 1) != route_table_origin(*t)->at;
		for (size_t i = 1; e == OK && !*other && i < rows.nrows; i++) {
			*other = store_int(&rows, i, 2) == 0;
			if (!*other)
				e = patch(t, &rows, i, f);
		}
	}
	arena_release(&a);
	return e;
}

/* The newest revision up to `to` of which there is a whole document; *at and *text are its own. */
static enum err read_whole(struct store *s, int64_t to, struct arena *a, int64_t *revision,
    int64_t *at, struct str *text, struct fail *f)
{
	struct store_stmt q = STMT("SELECT r.revision, r.at, coalesce(s.document, r.document) "
	    "FROM routing_revision r LEFT JOIN routing_snapshot s ON s.revision = r.revision "
	    "WHERE r.revision = max("
	    "coalesce((SELECT revision FROM routing_revision WHERE patch = 0 AND revision <= ? "
	    "ORDER BY revision DESC LIMIT 1), 0), "
	    "coalesce((SELECT revision FROM routing_snapshot WHERE revision <= ? "
	    "ORDER BY revision DESC LIMIT 1), 0))", SV_INT(to), SV_INT(to));
	struct store_rows rows;
	enum err e = store_read(s, STORE_LINEAR, &q, 1, a, &rows, f);

	if (e != OK)
		return e;
	if (rows.nrows == 0)
		return not_found(to == INT64_MAX ? 0 : to, f);
	*revision = store_int(&rows, 0, 0);
	*at = store_int(&rows, 0, 1);
	*text = store_str(&rows, 0, 2);
	return OK;
}

static enum err load_whole(struct store *s, int64_t to, struct route_table **out, struct fail *f)
{
	struct route_origin o = { 0 };
	int64_t revision = 0;
	struct str text;
	struct arena a;
	enum err e;

	arena_init(&a, ARENA_MAX);
	e = read_whole(s, to, &a, &revision, &o.at, &text, f);
	if (e == OK) {
		o.base = revision;
		o.whole = text.n;
		e = build(NULL, text, false, out, f);
	}
	if (e == OK && route_table_revision(*out) != revision) {
		e = fail_set(f, E_ROUTING_INVALID, "the store has revision %lld under the number %lld",
		    (long long)route_table_revision(*out), (long long)revision);
		route_table_unref(*out);
	} else if (e == OK) {
		route_table_set_origin(*out, &o);
	}
	arena_release(&a);
	return e;
}

/* *other: a whole document came in between; *out is set when not. */
static enum err try_load(struct store *s, int64_t to, struct route_table **out, bool *other,
    struct fail *f)
{
	struct route_table *t;
	enum err e = load_whole(s, to, &t, f);

	*other = false;
	if (e != OK)
		return e;
	e = catch_up(s, &t, to, other, f);
	if (e == OK && !*other)
		*out = t;
	else
		route_table_unref(t);
	return e;
}

enum err route_revision_load(struct store *s, int64_t revision, struct route_table **out,
    struct fail *f)
{
	int64_t to = revision > 0 ? revision : INT64_MAX;
	struct route_table *t = NULL;
	bool other = true;
	enum err e = OK;

	for (int i = 0; e == OK && other && i < TRIES; i++)
		e = try_load(s, to, &t, &other, f);
	if (e != OK)
		return e;
	if (other)
		return fail_set(f, E_CONFLICT, "routing documents are put too fast to be read; try again");
	if (revision > 0 && route_table_revision(t) != revision) {
		route_table_unref(t);
		return not_found(revision, f);
	}
	*out = t;
	return OK;
}

static enum err load_newest(struct store *s, struct route_table **out, struct fail *f)
{
	enum err e = route_revision_load(s, 0, out, f);

	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	return route_table_empty(out) == OK ? OK : fail_code(f, E_NOMEM);
}

enum err route_revision_follow(struct store *s, struct route_table *have, struct route_table **out,
    struct fail *f)
{
	struct route_table *t = route_table_ref(have);
	bool other = true;
	enum err e = OK;

	if (t != NULL && route_table_revision(t) > 0)
		e = catch_up(s, &t, INT64_MAX, &other, f);
	if (e == OK && !other) {
		*out = t;
		return OK;
	}
	route_table_unref(t);
	return e != OK ? e : load_newest(s, out, f);
}

/* ---- putting --------------------------------------------------------------------------------- */

static unsigned add_change(const struct route_put *p, struct route_put_vals *vals,
    struct store_stmt *stmt)
{
	*stmt = change_stmt(CHANGE_ROUTING, STR(""), p->now, vals->change);
	return 1;
}

unsigned route_put_stmts(const struct route_put *p, struct route_put_vals *vals,
    struct store_stmt stmts[ROUTE_PUT_STMTS])
{
	struct store_val *v = vals->revision;
	unsigned n = 0;

	v[0] = SV_INT(p->revision);
	v[1] = SV_TEXT(p->patch ? p->document : STR(""));
	v[2] = SV_INT(p->patch);
	v[3] = p->author != NULL ? SV_ID(p->author) : SV_NULL;
	v[4] = SV_INT(p->now);
	v[5] = p->note.p != NULL ? SV_TEXT(p->note) : SV_NULL;
	v[6] = SV_INT(p->revision - 1);
	v[7] = v[6];
	v[8] = SV_INT(p->base_at);
	stmts[n++] = (struct store_stmt){
		.sql = "INSERT INTO routing_revision (revision, document, patch, author, at, note) "
		       "SELECT ?, ?, ?, ?, ?, ? "
		       "WHERE (SELECT coalesce(max(revision), 0) FROM routing_revision) = ? "
		       "AND coalesce((SELECT at FROM routing_revision WHERE revision = ?), 0) = ?",
		.v = v, .n = 9, .expect = 1, .otherwise = E_REVISION_CONFLICT,
	};
	if (!p->patch) {
		vals->snapshot[0] = SV_INT(p->revision);
		vals->snapshot[1] = SV_TEXT(p->document);
		stmts[n++] = (struct store_stmt){
			.sql = "INSERT INTO routing_snapshot (revision, document) VALUES (?, ?)",
			.v = vals->snapshot, .n = 2, .expect = 1,
		};
	}
	return n + add_change(p, vals, &stmts[n]);
}

static enum err has_snapshot(struct store *s, int64_t after, bool *has, struct fail *f)
{
	struct store_stmt q = STMT("SELECT revision FROM routing_snapshot WHERE revision > ? LIMIT 1",
	    SV_INT(after));
	struct store_rows rows;
	struct arena a;
	enum err e;

	arena_init(&a, 65536);
	e = store_read(s, STORE_LINEAR, &q, 1, &a, &rows, f);
	*has = e == OK && rows.nrows > 0;
	arena_release(&a);
	return e;
}

static enum err insert_snapshot(struct store *s, const struct route_table *t, int64_t after,
    struct str document, struct fail *f)
{
	struct store_val revision = SV_INT(route_table_revision(t));
	struct store_stmt st = STMT1(E_REVISION_CONFLICT,
	    "INSERT INTO routing_snapshot (revision, document) SELECT ?, ? "
	    "WHERE EXISTS (SELECT 1 FROM routing_revision WHERE revision = ? AND at = ?) "
	    "AND NOT EXISTS (SELECT 1 FROM routing_snapshot WHERE revision > ?)",
	    revision, SV_TEXT(document), revision, SV_INT(route_table_origin(t)->at), SV_INT(after));
	struct store_batch b = { .op_id = id_new(clock_wall()), .stmts = &st, .n = 1 };

	return store_write(s, &b, NULL, f);
}

enum err route_snapshot_write(struct store *s, const struct route_table *t, int64_t after, bool *done,
    struct fail *f)
{
	struct buf text;
	bool has;
	enum err e = has_snapshot(s, after, &has, f);

	*done = false;
	if (e != OK || has)
		return e;
	buf_init(&text, ROUTE_DOCUMENT_MAX);
	e = route_table_write(t, &text);
	e = e == OK ? insert_snapshot(s, t, after, buf_str(&text), f) : fail_code(f, e);
	buf_release(&text);
	*done = e == OK;
	if (e != E_REVISION_CONFLICT)
		return e;
	fail_clear(f);
	return OK;
}
