#include "routing/store_source.h"

#include "base/arena.h"
#include "store/change.h"

static void take_row(const struct store_rows *r, size_t i, struct route_revision *out)
{
	*out = (struct route_revision){
		.revision = store_int(r, i, 0),
		.at = store_int(r, i, 1),
		.author = store_id(r, i, 2),
		.note = store_str(r, i, 3),
		.document = r->ncols > 4 ? store_str(r, i, 4) : STR_NONE,
	};
}

enum err route_revision_get(struct store *s, int64_t revision, struct arena *a,
    struct route_revision *out, struct fail *f)
{
	struct store_stmt newest = STMT("SELECT revision, at, author, note, document "
	    "FROM routing_revision ORDER BY revision DESC LIMIT 1");
	struct store_stmt one = STMT("SELECT revision, at, author, note, document "
	    "FROM routing_revision WHERE revision = ?", SV_INT(revision));
	struct store_rows rows;
	enum err e = store_read(s, STORE_LINEAR, revision == 0 ? &newest : &one, 1, a, &rows, f);

	if (e != OK)
		return e;
	if (rows.nrows == 0)
		return revision == 0 ? fail_set(f, E_NOT_FOUND, "no routing document has been put yet")
		    : fail_set(f, E_NOT_FOUND, "there is no revision %lld", (long long)revision);
	take_row(&rows, 0, out);
	return OK;
}

enum err route_revision_list(struct store *s, int64_t before, size_t limit, struct arena *a,
    struct route_revision **out, size_t *n, struct fail *f)
{
	struct store_stmt q = STMT("SELECT revision, at, author, note FROM routing_revision "
	    "WHERE revision < ? ORDER BY revision DESC LIMIT ?",
	    SV_INT(before > 0 ? before : INT64_MAX), SV_INT((int64_t)limit));
	struct store_rows rows;
	enum err e = store_read(s, STORE_FRESH, &q, 1, a, &rows, f);

	if (e != OK)
		return e;
	*n = rows.nrows;
	*out = arena_alloc(a, (rows.nrows + 1) * sizeof **out);
	if (*out == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	for (size_t i = 0; i < rows.nrows; i++)
		take_row(&rows, i, &(*out)[i]);
	return OK;
}

void route_put_stmts(int64_t revision, struct str document, const struct id *author,
    struct str note, int64_t now, struct route_put_vals *vals,
    struct store_stmt stmts[ROUTE_PUT_STMTS])
{
	struct store_val *v = vals->revision;

	v[0] = SV_INT(revision);
	v[1] = SV_TEXT(document);
	v[2] = author != NULL ? SV_ID(author) : SV_NULL;
	v[3] = SV_INT(now);
	v[4] = note.p != NULL ? SV_TEXT(note) : SV_NULL;
	v[5] = SV_INT(revision - 1);
	stmts[0] = (struct store_stmt){
		.sql = "INSERT INTO routing_revision (revision, document, author, at, note) "
		       "SELECT ?, ?, ?, ?, ? "
		       "WHERE (SELECT coalesce(max(revision), 0) FROM routing_revision) = ?",
		.v = v, .n = 6, .expect = 1, .otherwise = E_REVISION_CONFLICT,
	};
	stmts[1] = change_stmt(CHANGE_ROUTING, STR(""), now, vals->change);
}
