#include "store/sqlite_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/heap.h"
#include "store/engine.h"

struct conn_stmt {
	struct conn_stmt *next;
	sqlite3_stmt *s;
	uint32_t hash;
};

/* ---- errors ------------------------------------------------------------------------------- */

enum err conn_error(struct conn *c, int rc, struct fail *f)
{
	const char *file = c->db != NULL ? sqlite3_db_filename(c->db, "main") : NULL;
	const char *msg = c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);

	if (file == NULL)
		file = "the database";
	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return fail_set(f, E_NOMEM, "%s", "");
	case SQLITE_TOOBIG:
		return fail_set(f, E_LIMIT, "a value is larger than the store takes");
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return fail_set(f, E_STORE_UNAVAILABLE, "%s is not a SQLite database or is damaged (%s): "
		    "restore a backup (gwctl db restore), or move the file away to start anew", file, msg);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fail_set(f, E_STORE_UNAVAILABLE, "%s is locked by another process for too long",
		    file);
	case SQLITE_INTERRUPT:
		return fail_set(f, E_STORE_UNAVAILABLE, "the store is closing");
	case SQLITE_CONSTRAINT:
	case SQLITE_ERROR:
		return engine_sql_error(msg, f);
	case SQLITE_FULL:
	case SQLITE_IOERR:
		c->disk_failed = true;
		__attribute__((fallthrough));
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_NOLFS:
	case SQLITE_PROTOCOL:
		return fail_set(f, E_STORE_UNAVAILABLE, "%s: %s (%s)", file, msg,
		    sqlite3_errstr(c->db != NULL ? sqlite3_extended_errcode(c->db) : rc));
	default:
		return fail_set(f, E_INTERNAL, "SQLite: %s (%d)", msg, rc);
	}
}

/* ---- open and close ----------------------------------------------------------------------- */

/* Another process writes: wait in short naps until its lock is free, the time is over, or we close. */
static int on_busy(void *ctx, int count)
{
	struct conn *c = ctx;
	struct timespec nap = { 0, 1000000 };

	if (count == 0)
		c->busy_until = clock_mono() + c->busy_us;
	if (clock_mono() >= c->busy_until || (c->closing != NULL && *c->closing))
		return 0;
	nanosleep(&nap, NULL);
	return 1;
}

int conn_exec(struct conn *c, const char *sql)
{
	return sqlite3_exec(c->db, sql, NULL, NULL, NULL);
}

/* Made by us and not by SQLite, whose mode would be the umask's. -wal and -shm inherit it. */
static enum err make_file(const char *path, struct fail *f)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_set(f, E_STORE_UNAVAILABLE, "cannot make %s: %s", path, strerror(errno));
	close(fd);
	return OK;
}

static int configure(struct conn *c, bool writer)
{
	static const char *const all[] = {
		"PRAGMA foreign_keys = OFF",
		"PRAGMA trusted_schema = OFF",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA synchronous = FULL",
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof all / sizeof *all && rc == SQLITE_OK; i++)
		rc = conn_exec(c, all[i]);
	if (rc != SQLITE_OK || !writer)
		return rc != SQLITE_OK ? rc : conn_exec(c, "PRAGMA query_only = ON");
	/* a checkpoint each 40 MB, not each 4: it is what p99 is made of */
	rc = conn_exec(c, "PRAGMA wal_autocheckpoint = 10000");
	return rc != SQLITE_OK ? rc : conn_exec(c, "PRAGMA journal_size_limit = 67108864");
}

/* Two that open a new file at once: the change of journal mode may be refused without a call of the
 * busy handler. */
static int set_wal(struct conn *c)
{
	int64_t until = clock_mono() + c->busy_us;
	struct timespec nap = { 0, 1000000 };
	int rc;

	while ((rc = conn_exec(c, "PRAGMA journal_mode = WAL")) == SQLITE_BUSY &&
	    clock_mono() < until)
		nanosleep(&nap, NULL);
	return rc;
}

enum err conn_open(struct conn *c, const char *path, bool writer, bool create, int64_t busy_us,
    atomic_bool *closing, struct fail *f)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	enum err e;
	int rc;

	*c = (struct conn){ .busy_us = busy_us, .closing = closing };
	if (!create && access(path, F_OK) != 0)
		return fail_set(f, E_STORE_UNAVAILABLE, "%s: %s", path, strerror(errno));
	e = create ? make_file(path, f) : OK;
	if (e != OK)
		return e;
	rc = sqlite3_open_v2(path, &c->db, flags, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_handler(c->db, on_busy, c);
	if (rc == SQLITE_OK && writer)
		rc = set_wal(c);
	if (rc == SQLITE_OK)
		rc = configure(c, writer);
	if (rc == SQLITE_OK) /* reads the file: not a database is told here, not later */
		rc = conn_exec(c, "SELECT count(*) FROM sqlite_schema");
	if (rc == SQLITE_OK)
		return OK;
	e = conn_error(c, rc, f);
	if (f != NULL && strstr(f->text, path) == NULL)
		fail_wrap(f, "cannot open %s", path);
	conn_close(c);
	return e;
}

static void forget_statements(struct conn *c)
{
	for (size_t i = 0; i < CONN_BUCKETS; i++) {
		while (c->bucket[i] != NULL) {
			struct conn_stmt *cs = c->bucket[i];

			c->bucket[i] = cs->next;
			sqlite3_finalize(cs->s);
			heap_free(cs);
		}
	}
	c->cached = 0;
}

void conn_close(struct conn *c)
{
	forget_statements(c);
	sqlite3_close(c->db);
	c->db = NULL;
}

/* ---- statements --------------------------------------------------------------------------- */

static uint32_t hash_text(const char *z)
{
	uint32_t h = 2166136261u;

	while (*z != '\0')
		h = (h ^ (unsigned char)*z++) * 16777619u;
	return h;
}

/* The prepared statement for the text; owned by the cache. */
static int prepare(struct conn *c, const char *sql, sqlite3_stmt **out)
{
	uint32_t hash = hash_text(sql);
	struct conn_stmt **head = &c->bucket[hash % CONN_BUCKETS];
	struct conn_stmt *cs;
	const char *tail = NULL;
	int rc;

	for (cs = *head; cs != NULL; cs = cs->next) {
		if (cs->hash == hash && strcmp(sqlite3_sql(cs->s), sql) == 0) {
			*out = cs->s;
			return SQLITE_OK;
		}
	}
	/* our SQL is literal, so this is many more than there are; migrations pass through */
	if (c->cached >= CONN_STATEMENTS_MAX)
		forget_statements(c);
	cs = heap_zalloc(sizeof *cs);
	if (cs == NULL)
		return SQLITE_NOMEM;
	rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &cs->s, &tail);
	if (rc == SQLITE_OK && (cs->s == NULL || tail[strspn(tail, " \t\r\n;")] != '\0'))
		rc = SQLITE_MISUSE; /* nothing but a comment, or more than one statement */
	if (rc != SQLITE_OK) {
		sqlite3_finalize(cs->s);
		heap_free(cs);
		return rc;
	}
	cs->hash = hash;
	cs->next = *head;
	*head = cs;
	c->cached++;
	*out = cs->s;
	return SQLITE_OK;
}

static int bind_one(sqlite3_stmt *s, int at, const struct store_val *v)
{
	if (v->type == STORE_INT)
		return sqlite3_bind_int64(s, at, v->i);
	if (v->type == STORE_NULL || v->s.p == NULL)
		return sqlite3_bind_null(s, at);
	if (v->type == STORE_TEXT)
		return sqlite3_bind_text64(s, at, v->s.p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
	return sqlite3_bind_blob64(s, at, v->s.p, v->s.n, SQLITE_STATIC);
}

static int bind_all(sqlite3_stmt *s, const struct store_stmt *st)
{
	int rc = SQLITE_OK;

	if ((size_t)sqlite3_bind_parameter_count(s) != st->n)
		return SQLITE_RANGE;
	for (size_t i = 0; i < st->n && rc == SQLITE_OK; i++)
		rc = bind_one(s, (int)i + 1, &st->v[i]);
	return rc;
}

/* ---- rows --------------------------------------------------------------------------------- */

static int column(sqlite3_stmt *s, int col, struct arena *a, struct store_val *v)
{
	int type = sqlite3_column_type(s, col);
	const char *p;

	*v = SV_NULL;
	if (type == SQLITE_NULL)
		return SQLITE_OK;
	if (type == SQLITE_INTEGER) {
		*v = SV_INT(sqlite3_column_int64(s, col));
		return SQLITE_OK;
	}
	if (type == SQLITE_FLOAT)
		return SQLITE_MISMATCH;
	p = type == SQLITE_TEXT ? (const char *)sqlite3_column_text(s, col) :
	    sqlite3_column_blob(s, col);
	v->type = type == SQLITE_TEXT ? STORE_TEXT : STORE_BLOB;
	v->s = arena_str(a, str_n(p != NULL ? p : "", (size_t)sqlite3_column_bytes(s, col)));
	return v->s.p != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

static int add_row(sqlite3_stmt *s, struct arena *a, struct store_rows *r, size_t *room)
{
	int rc = SQLITE_OK;

	if (r->nrows == *room) {
		size_t more = *room > 0 ? *room * 2 : 4;
		struct store_val *v = arena_alloc(a, more * r->ncols * sizeof *v);

		if (v == NULL)
			return SQLITE_NOMEM;
		if (r->nrows > 0)
			memcpy(v, r->v, r->nrows * r->ncols * sizeof *v);
		r->v = v;
		*room = more;
	}
	for (size_t i = 0; i < r->ncols && rc == SQLITE_OK; i++)
		rc = column(s, (int)i, a, &r->v[r->nrows * r->ncols + i]);
	r->nrows++;
	return rc;
}

static int step_all(sqlite3_stmt *s, struct arena *a, struct store_rows *rows)
{
	size_t room = 0;
	int rc;

	if (rows != NULL)
		*rows = (struct store_rows){ .ncols = (size_t)sqlite3_column_count(s) };
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		if (rows == NULL)
			continue;
		rc = add_row(s, a, rows, &room);
		if (rc != SQLITE_OK)
			return rc;
	}
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int conn_exec_cached(struct conn *c, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int rc = prepare(c, sql, &s);

	if (rc != SQLITE_OK)
		return rc;
	rc = step_all(s, NULL, NULL);
	sqlite3_reset(s);
	return rc;
}

enum err conn_run(struct conn *c, const struct store_stmt *st, struct arena *a,
    struct store_rows *rows, int *changed, struct fail *f)
{
	sqlite3_stmt *s = NULL;
	enum err e = OK;
	int rc;

	rc = prepare(c, st->sql, &s);
	if (rc != SQLITE_OK)
		return conn_error(c, rc, f);
	rc = bind_all(s, st);
	if (rc == SQLITE_OK)
		rc = step_all(s, a, rows);
	if (rc == SQLITE_RANGE)
		e = fail_set(f, E_INTERNAL, "'%.80s' does not take %zu parameters", st->sql, st->n);
	else if (rc == SQLITE_MISMATCH)
		e = fail_set(f, E_INTERNAL, "'%.80s' yields a REAL", st->sql);
	else if (rc != SQLITE_OK)
		e = conn_error(c, rc, f);
	if (changed != NULL)
		*changed = sqlite3_changes(c->db);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return e;
}
