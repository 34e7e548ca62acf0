/* The SQLite engine: one writer (sqlite_writer.h) and a pool of reader connections, each opened when
 * it is first needed. A read of several statements is one read transaction: one snapshot. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "store/engine.h"
#include "store/sqlite_conn.h"
#include "store/sqlite_writer.h"

struct reader {
	struct conn conn;
	struct reader *next; /* free list */
};

struct sqlite {
	struct engine engine;
	struct writer *writer; /* NULL: read-only */
	char *path;
	int64_t timeout_us;
	int readers_max;
	atomic_bool closing;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t freed;
	struct reader *idle;
	int readers;
};

/* ---- readers ------------------------------------------------------------------------------ */

static enum err reader_new(struct sqlite *s, struct reader **out, struct fail *f)
{
	struct reader *r = heap_zalloc(sizeof *r);
	enum err e;

	if (r == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	e = conn_open(&r->conn, s->path, false, false, s->timeout_us, &s->closing, f);
	if (e != OK) {
		heap_free(r);
		return e;
	}
	*out = r;
	return OK;
}

static void reader_free(struct reader *r)
{
	conn_close(&r->conn);
	heap_free(r);
}

/* An idle reader, or leave to open another (*out NULL), or the time is over. */
static enum err reader_wait(struct sqlite *s, struct reader **out, struct fail *f)
{
	int64_t t = clock_mono() + s->timeout_us;
	struct timespec until = { t / CLOCK_SEC, t % CLOCK_SEC * 1000 };
	enum err e = OK;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (s->idle == NULL && s->readers >= s->readers_max && rc == 0 && !s->closing)
		rc = pthread_cond_clockwait(&s->freed, &s->lock, CLOCK_MONOTONIC, &until);
	*out = s->closing ? NULL : s->idle;
	if (s->closing)
		e = fail_set(f, E_STORE_UNAVAILABLE, "the store is closing");
	else if (s->idle != NULL)
		s->idle = s->idle->next;
	else if (s->readers < s->readers_max)
		s->readers++;
	else
		e = fail_set(f, E_STORE_UNAVAILABLE, "the store is busy: the read waited too long");
	pthread_mutex_unlock(&s->lock);
	return e;
}

static void reader_put(struct sqlite *s, struct reader *r)
{
	pthread_mutex_lock(&s->lock);
	if (r != NULL) {
		r->next = s->idle;
		s->idle = r;
	} else {
		s->readers--;
	}
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
}

static enum err reader_get(struct sqlite *s, struct reader **out, struct fail *f)
{
	enum err e = reader_wait(s, out, f);

	if (e != OK || *out != NULL)
		return e;
	e = reader_new(s, out, f);
	if (e != OK)
		reader_put(s, NULL);
	return e;
}

static enum err read_all(struct conn *c, const struct store_stmt *stmts, size_t n, struct arena *a,
    struct store_rows *out, struct fail *f)
{
	static const struct store_stmt begin = { .sql = "BEGIN", .expect = STORE_ANY };
	static const struct store_stmt commit = { .sql = "COMMIT", .expect = STORE_ANY };
	enum err e = n > 1 ? conn_run(c, &begin, NULL, NULL, NULL, f) : OK;

	for (size_t i = 0; i < n && e == OK; i++)
		e = conn_run(c, &stmts[i], a, &out[i], NULL, f);
	if (!sqlite3_get_autocommit(c->db) && conn_run(c, &commit, NULL, NULL, NULL, NULL) != OK)
		conn_exec(c, "ROLLBACK");
	return e;
}

static enum err sqlite_read(struct engine *engine, enum store_level level,
    const struct store_stmt *stmts, size_t n, struct arena *a, struct store_rows *out,
    struct fail *f)
{
	struct sqlite *s = (struct sqlite *)engine;
	struct reader *r = NULL;
	enum err e = reader_get(s, &r, f);

	(void)level; /* one file: every read is of the newest state */
	if (e != OK)
		return e;
	e = read_all(&r->conn, stmts, n, a, out, f);
	reader_put(s, r);
	return e;
}

/* ---- the engine --------------------------------------------------------------------------- */

static enum err sqlite_write(struct engine *engine, const struct store_batch *b, size_t *failed_at,
    struct fail *f)
{
	return writer_write(((struct sqlite *)engine)->writer, b, failed_at, f);
}

static enum err sqlite_tidy(struct engine *engine, int64_t now, struct fail *f)
{
	(void)engine, (void)now, (void)f; /* keeps nothing of its own */
	return OK;
}

#define ROOM_MIN (1u << 20)           /* bytes; a few commits */
#define FAILED_FOR (5 * CLOCK_SEC)    /* how long a disk counts as failing after it did */

/* What is kept for root is room for root. */
static bool has_room(const char *path)
{
	struct statvfs v;

	if (statvfs(path, &v) != 0)
		return false;
	return (uint64_t)(geteuid() == 0 ? v.f_bfree : v.f_bavail) * v.f_frsize >= ROOM_MIN;
}

static bool sqlite_writable(struct engine *engine)
{
	const struct sqlite *s = (const struct sqlite *)engine;
	int64_t failed = s->writer != NULL ? writer_failed_at(s->writer) : 0;

	return (failed == 0 || clock_mono() - failed > FAILED_FOR) && has_room(s->path);
}

static void sqlite_stop(struct engine *engine)
{
	struct sqlite *s = (struct sqlite *)engine;

	s->closing = true;
	if (s->writer != NULL)
		writer_stop(s->writer);
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->freed);
	pthread_mutex_unlock(&s->lock);
}

static void sqlite_close(struct engine *engine)
{
	struct sqlite *s = (struct sqlite *)engine;
	struct reader *r;

	s->closing = true;
	while ((r = s->idle) != NULL) {
		s->idle = r->next;
		reader_free(r);
	}
	/* last, so that its connection checkpoints and removes the -wal file */
	if (s->writer != NULL)
		writer_close(s->writer);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->freed);
	heap_free(s->path);
	heap_free(s);
}

static const struct engine_ops sqlite_ops = {
	.read = sqlite_read,
	.write = sqlite_write,
	.tidy = sqlite_tidy,
	.writable = sqlite_writable,
	.stop = sqlite_stop,
	.close = sqlite_close,
};

enum err sqlite_open(struct engine **out, const struct store_config *c, const char *path,
    struct meter *m, struct fail *f)
{
	struct sqlite *s = heap_zalloc(sizeof *s);
	struct reader *first = NULL;
	enum err e = OK;

	if (s == NULL || (s->path = heap_strdup(path)) == NULL) {
		heap_free(s);
		return fail_set(f, E_NOMEM, "%s", "");
	}
	s->engine.ops = &sqlite_ops;
	s->timeout_us = c->timeout_us;
	s->readers_max = c->readers;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->freed, NULL);
	if (!c->read_only)
		e = writer_open(&s->writer, path, c->timeout_us, m, f);
	else
		e = reader_get(s, &first, f); /* so that a bad file is told now */
	if (first != NULL)
		reader_put(s, first);
	if (e != OK) {
		sqlite_close(&s->engine);
		return e;
	}
	*out = &s->engine;
	return OK;
}
