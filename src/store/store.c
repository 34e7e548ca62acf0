#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/heap.h"
#include "store/engine.h"

#define READERS_DEFAULT 8
#define TIMEOUT_DEFAULT (10 * CLOCK_SEC)

const int store_batch_bounds[8] = { 1, 2, 4, 8, 16, 32, 64, 128 };
const double store_duration_bounds[11] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
	0.025, 0.1, 0.5, 2.5 };

/* Buckets are counted singly and summed up when they are asked for. */
struct meter {
	atomic_uint_fast64_t writes, write_errors, reads, read_errors, commits, batch_size_sum;
	atomic_uint_fast64_t write_us_sum, read_us_sum;
	atomic_uint_fast64_t batch[9], write[12], read[12];
};

struct store {
	struct engine *engine;
	struct meter meter;
	bool rqlite, read_only;
	atomic_bool stopping;
	atomic_long fail_in; /* 0: off; n: the n-th call fails */
	atomic_int injected;
};

static void count(atomic_uint_fast64_t *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static void count_duration(atomic_uint_fast64_t hist[12], atomic_uint_fast64_t *sum, int64_t us)
{
	size_t i = 0;

	while (i < 11 && (double)us > store_duration_bounds[i] * 1e6)
		i++;
	count(&hist[i], 1);
	count(sum, (uint64_t)us);
}

void meter_commit(struct meter *m, size_t batches)
{
	size_t i = 0;

	while (i < 8 && batches > (size_t)store_batch_bounds[i])
		i++;
	count(&m->batch[i], 1);
	count(&m->commits, 1);
	count(&m->batch_size_sum, batches);
}

static void sum_up(const atomic_uint_fast64_t *from, uint64_t *to, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		to[i] = sum += atomic_load_explicit(&from[i], memory_order_relaxed);
}

void store_stats(struct store *s, struct store_stats *out)
{
	struct meter *m = &s->meter;

	*out = (struct store_stats){
		.writes = m->writes, .write_errors = m->write_errors,
		.reads = m->reads, .read_errors = m->read_errors,
		.commits = m->commits, .batch_size_sum = m->batch_size_sum,
		.write_us_sum = m->write_us_sum, .read_us_sum = m->read_us_sum,
	};
	sum_up(m->batch, out->batch_hist, 9);
	sum_up(m->write, out->write_hist, 12);
	sum_up(m->read, out->read_hist, 12);
}

enum err store_open(struct store **out, const struct store_config *config, struct fail *f)
{
	struct store_config c = *config;
	struct store *s = heap_zalloc(sizeof *s);
	enum err e;

	*out = NULL;
	if (s == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	if (c.readers <= 0)
		c.readers = READERS_DEFAULT;
	if (c.timeout_us <= 0)
		c.timeout_us = TIMEOUT_DEFAULT;
	s->read_only = c.read_only;
	if (c.url != NULL && strncmp(c.url, "sqlite:", 7) == 0 && c.url[7] != '\0') {
		e = sqlite_open(&s->engine, &c, c.url + 7, &s->meter, f);
	} else if (c.url != NULL && strncmp(c.url, "rqlite:", 7) == 0 && c.url[7] != '\0') {
		s->rqlite = true;
		e = rqlite_open(&s->engine, &c, c.url + 7, &s->meter, f);
	} else {
		e = fail_set(f, E_CONFIG, "store.url '%s': must be sqlite:PATH or rqlite:URL[,URL...]",
		    c.url != NULL ? c.url : "");
	}
	if (e != OK) {
		heap_free(s);
		return e;
	}
	*out = s;
	return OK;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	s->engine->ops->close(s->engine);
	heap_free(s);
}

void store_stop(struct store *s)
{
	s->stopping = true;
	s->engine->ops->stop(s->engine);
}

bool store_writable(struct store *s)
{
	return s->engine->ops->writable == NULL || s->engine->ops->writable(s->engine);
}

/* A call that fails because it was told to is no failure of the store. */
static enum err told(struct store *s, enum err e, struct fail *f)
{
	return e == E_STORE_UNAVAILABLE && s->stopping ? fail_set(f, E_DRAINING, "%s", "") : e;
}

bool store_is_rqlite(const struct store *s)
{
	return s->rqlite;
}

int store_fail_after(struct store *s, long n)
{
	s->fail_in = n;
	return atomic_exchange(&s->injected, 0);
}

static bool injected(struct store *s)
{
	if (atomic_load_explicit(&s->fail_in, memory_order_relaxed) <= 0)
		return false;
	if (atomic_fetch_sub(&s->fail_in, 1) != 1)
		return false;
	s->injected = 1;
	return true;
}

static enum err check(struct store *s, const struct store_stmt *stmts, size_t n, struct fail *f)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < stmts[i].n; j++)
			if (stmts[i].v[j].type == STORE_TEXT && !str_utf8(stmts[i].v[j].s))
				return fail_set(f, E_INTERNAL,
				    "parameter %zu of '%.60s' is not UTF-8 text", j + 1, stmts[i].sql);
	if (injected(s))
		return fail_set(f, E_STORE_UNAVAILABLE, "the store failed as a test asked it to");
	return OK;
}

enum err store_read(struct store *s, enum store_level level, const struct store_stmt *stmts,
    size_t n, struct arena *a, struct store_rows *out, struct fail *f)
{
	int64_t start = clock_mono();
	enum err e = check(s, stmts, n, f);

	if (e == OK)
		e = told(s, s->engine->ops->read(s->engine, level, stmts, n, a, out, f), f);
	count(&s->meter.reads, 1);
	count_duration(s->meter.read, &s->meter.read_us_sum, clock_mono() - start);
	if (e != OK)
		count(&s->meter.read_errors, 1);
	return e;
}

/* Guards that fail and constraints are answers, not errors of the store. */
static bool is_store_error(enum err e)
{
	return e == E_STORE_UNAVAILABLE || e == E_STORE_UNKNOWN || e == E_SCHEMA || e == E_INTERNAL ||
	    e == E_NOMEM;
}

enum err store_write(struct store *s, const struct store_batch *b, size_t *failed_at,
    struct fail *f)
{
	int64_t start = clock_mono();
	size_t at = b->n;
	enum err e;

	if (s->read_only)
		return fail_set(f, E_INTERNAL, "the store was opened read-only");
	for (size_t i = 0; b->out != NULL && i < b->n; i++)
		b->out[i] = (struct store_rows){ 0 };
	e = check(s, b->stmts, b->n, f);
	if (e == OK)
		e = told(s, s->engine->ops->write(s->engine, b, &at, f), f);
	if (failed_at != NULL)
		*failed_at = at;
	count(&s->meter.writes, 1);
	count_duration(s->meter.write, &s->meter.write_us_sum, clock_mono() - start);
	if (is_store_error(e))
		count(&s->meter.write_errors, 1);
	return e;
}

enum err store_tidy(struct store *s, int64_t now, struct fail *f)
{
	return s->read_only ? OK : told(s, s->engine->ops->tidy(s->engine, now, f), f);
}

/* ---- errors that both engines word alike -------------------------------------------------- */

static const struct {
	const char *prefix;
	enum err err;
	const char *advice;
} sql_errors[] = {
	{ "UNIQUE constraint failed", E_CONSTRAINT, "" },
	{ "CHECK constraint failed", E_CONSTRAINT, "" },
	{ "NOT NULL constraint failed", E_CONSTRAINT, "" },
	{ "FOREIGN KEY constraint failed", E_CONSTRAINT, "" },
	{ "cannot store ", E_CONSTRAINT, "" },
	{ "no such table", E_SCHEMA, "; is the store migrated? (gwctl db migrate)" },
	{ "no such column", E_SCHEMA, "; is the store migrated? (gwctl db migrate)" },
	{ "table ", E_SCHEMA, "" }, /* ... has no column named x, ... already exists */
	{ "database or disk is full", E_STORE_UNAVAILABLE, "" },
	{ "disk I/O error", E_STORE_UNAVAILABLE, "" },
	{ "out of memory", E_NOMEM, "" },
};

enum err engine_sql_error(const char *message, struct fail *f)
{
	for (size_t i = 0; i < sizeof sql_errors / sizeof *sql_errors; i++)
		if (strncmp(message, sql_errors[i].prefix, strlen(sql_errors[i].prefix)) == 0)
			return fail_set(f, sql_errors[i].err, "%s%s", message, sql_errors[i].advice);
	return fail_set(f, E_INTERNAL, "SQL: %s", message);
}

enum err engine_guard_error(const struct store_stmt *st, size_t at, struct fail *f)
{
	enum err e = st->otherwise != OK ? st->otherwise : E_GUARD;

	/* a named outcome speaks for itself: its text in the table is meant for the caller */
	if (st->otherwise != OK)
		return fail_set(f, e, "%s", "");
	return fail_set(f, e, "the guard of statement %zu did not hold", at);
}

/* ---- values ------------------------------------------------------------------------------- */

int64_t store_int(const struct store_rows *r, size_t row, size_t col)
{
	const struct store_val *v = store_at(r, row, col);

	return v->type == STORE_INT ? v->i : 0;
}

struct str store_str(const struct store_rows *r, size_t row, size_t col)
{
	const struct store_val *v = store_at(r, row, col);

	return v->type == STORE_TEXT || v->type == STORE_BLOB ? v->s : STR_NONE;
}

bool store_is_null(const struct store_rows *r, size_t row, size_t col)
{
	return store_at(r, row, col)->type == STORE_NULL;
}

struct id store_id(const struct store_rows *r, size_t row, size_t col)
{
	const struct store_val *v = store_at(r, row, col);
	struct id id = { 0 };

	if (v->type == STORE_BLOB && v->s.n == sizeof id.b)
		memcpy(id.b, v->s.p, sizeof id.b);
	return id;
}
