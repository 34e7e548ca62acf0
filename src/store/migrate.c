#include "store/migrate.h"

#include <nettle/sha2.h>

#include "base/arena.h"
#include "base/hex.h"
#include "store/sql.h"
#include "store/store.h"

#define CHECKSUM_LEN (2 * SHA256_DIGEST_SIZE)
#define MEMORY_MAX (16u << 20)

/* Not a migration itself: it is what the first one writes to. */
static const char table_sql[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations (\n"
    "\tversion INTEGER PRIMARY KEY,\n"
    "\tname TEXT NOT NULL,\n"
    "\tchecksum TEXT NOT NULL, -- SHA-256 of the migration's text, hex\n"
    "\tapplied_at INTEGER NOT NULL\n"
    ") STRICT";

static struct str checksum(const struct migration *m, char out[CHECKSUM_LEN])
{
	struct sha256_ctx ctx;
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_init(&ctx);
	sha256_update(&ctx, m->len, (const uint8_t *)m->sql);
	sha256_digest(&ctx, sizeof digest, digest);
	hex_encode(digest, sizeof digest, out);
	return str_n(out, CHECKSUM_LEN);
}

/* ---- what the store says ------------------------------------------------------------------ */

static enum err has_table(struct store *s, struct arena *a, bool *yes, struct fail *f)
{
	struct store_stmt st = STMT("SELECT count(*) FROM sqlite_schema"
	    " WHERE type = 'table' AND name = 'schema_migrations'");
	struct store_rows r;
	enum err e = store_read(s, STORE_LINEAR, &st, 1, a, &r, f);

	*yes = e == OK && store_int(&r, 0, 0) > 0;
	return e;
}

/* Rows (version, checksum, applied_at) in order; none when there is no table yet. */
static enum err read_applied(struct store *s, struct arena *a, struct store_rows *r, struct fail *f)
{
	struct store_stmt st = STMT("SELECT version, checksum, applied_at FROM schema_migrations"
	    " ORDER BY version");
	bool yes;
	enum err e = has_table(s, a, &yes, f);

	*r = (struct store_rows){ 0 };
	return e == OK && yes ? store_read(s, STORE_LINEAR, &st, 1, a, r, f) : e;
}

/* What was applied must be the first of what we know, unchanged. */
static enum err compare(const struct migration *list, const struct store_rows *r, struct fail *f)
{
	char sum[CHECKSUM_LEN];

	for (size_t i = 0; i < r->nrows; i++) {
		int64_t version = store_int(r, i, 0);

		if (list->version == 0)
			return fail_set(f, E_SCHEMA, "the store has migration %lld and this program knows "
			    "none past it: the store is newer; run the newer release", (long long)version);
		if (version > list->version)
			return fail_set(f, E_SCHEMA, "migration %04d (%s) was skipped: the store has %04lld "
			    "without it; restore a backup, or run the release that made this store",
			    list->version, list->name, (long long)version);
		if (version < list->version)
			return fail_set(f, E_SCHEMA, "the store has migration %04lld, which this program "
			    "does not know; run the release that made this store", (long long)version);
		if (!str_eq(checksum(list, sum), store_str(r, i, 1)))
			return fail_set(f, E_SCHEMA, "migration %04d (%s) was changed after it was applied: "
			    "its checksum differs; run the release that applied it", list->version,
			    list->name);
		list++;
	}
	return OK;
}

/* ---- apply -------------------------------------------------------------------------------- */

static size_t count_statements(struct str script)
{
	size_t n = 0;

	while (sql_next_statement(&script).p != NULL)
		n++;
	return n;
}

static enum err make_table(struct store *s, int64_t now, struct fail *f)
{
	struct store_stmt st = STMT(table_sql);
	struct store_batch b = { id_new(now), &st, 1 };

	return store_write(s, &b, NULL, f);
}

static enum err apply_one(struct store *s, const struct migration *m, int64_t now, struct arena *a,
    struct fail *f)
{
	char sum[CHECKSUM_LEN];
	struct str script = str_n(m->sql, m->len);
	size_t n = count_statements(script) + 1, at;
	struct store_stmt *st = arena_zalloc(a, n * sizeof *st);
	struct store_batch b = { id_new(now), st, n };
	enum err e;

	if (st == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	st[0] = (struct store_stmt)STMT("INSERT INTO schema_migrations"
	    " (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)", SV_INT(m->version),
	    SV_Z(m->name), SV_TEXT(checksum(m, sum)), SV_INT(now));
	for (size_t i = 1; i < n; i++) {
		st[i] = (struct store_stmt){ .expect = STORE_ANY,
			.sql = arena_strz(a, sql_next_statement(&script)) };
		if (st[i].sql == NULL)
			return fail_set(f, E_NOMEM, "%s", "");
	}
	e = store_write(s, &b, &at, f);
	if (e != OK && f != NULL)
		fail_wrap(f, "migration %04d (%s), statement %zu", m->version, m->name, at);
	return e;
}

/* One round: looks, applies the first that is pending. *done: nothing was pending. */
static enum err step(struct store *s, const struct migration *list, int64_t now, struct arena *a,
    int *applied, bool *done, struct fail *f)
{
	struct store_rows r, after;
	struct fail again = { 0 };
	enum err e = read_applied(s, a, &r, f);

	*done = false;
	if (e == OK)
		e = compare(list, &r, f);
	if (e != OK)
		return e;
	*done = list[r.nrows].version == 0;
	if (*done)
		return OK;
	if (r.nrows == 0 && (e = make_table(s, now, f)) != OK)
		return e;
	e = apply_one(s, &list[r.nrows], now, a, f);
	if (e == OK)
		++*applied;
	if (e == OK || (e != E_CONSTRAINT && e != E_SCHEMA))
		return e;
	/* another migrator was first, perhaps: then its row is there, and we go on with the next */
	if (read_applied(s, a, &after, &again) == OK && after.nrows > r.nrows) {
		fail_clear(f);
		e = OK;
	}
	fail_clear(&again);
	return e;
}

enum err migrate_up(struct store *s, const struct migration *list, int64_t now, int *applied,
    struct fail *f)
{
	struct fail own = { 0 };
	struct arena a;
	bool done = false;
	int count = 0;
	enum err e = OK;

	arena_init(&a, MEMORY_MAX);
	while (e == OK && !done) {
		e = step(s, list, now, &a, &count, &done, f != NULL ? f : &own);
		arena_clear(&a);
	}
	arena_release(&a);
	fail_clear(&own);
	if (applied != NULL)
		*applied = count;
	return e;
}

/* ---- status ------------------------------------------------------------------------------- */

enum err migrate_status(struct store *s, const struct migration *list, struct arena *a,
    struct migration_status **out, size_t *n, struct fail *f)
{
	struct store_rows r;
	size_t len = 0;
	enum err e = read_applied(s, a, &r, f);

	if (e == OK)
		e = compare(list, &r, f);
	if (e != OK)
		return e;
	while (list[len].version != 0)
		len++;
	*n = len;
	*out = arena_zalloc(a, len * sizeof **out);
	if (*out == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	for (size_t i = 0; i < len; i++)
		(*out)[i] = (struct migration_status){
			.version = list[i].version,
			.name = list[i].name,
			.state = i < r.nrows ? MIGRATION_APPLIED : MIGRATION_PENDING,
			.applied_at = i < r.nrows ? store_int(&r, i, 2) : 0,
		};
	return OK;
}

enum err migrate_check(struct store *s, const struct migration *list, struct fail *f)
{
	struct store_rows r;
	struct arena a;
	enum err e;

	arena_init(&a, MEMORY_MAX);
	e = read_applied(s, &a, &r, f);
	if (e == OK)
		e = compare(list, &r, f);
	if (e == OK && list[r.nrows].version != 0)
		e = fail_set(f, E_SCHEMA, "migration %04d (%s) is pending: run gwctl db migrate",
		    list[r.nrows].version, list[r.nrows].name);
	arena_release(&a);
	return e;
}
