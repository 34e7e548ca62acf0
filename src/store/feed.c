#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/log.h"
#include "store/change.h"
#include "store/poke.h"

#define POLL_DEFAULT (200 * CLOCK_MS)
#define READ_MAX 1000 /* rows at once */
#define TRIM_EVERY (600 * CLOCK_SEC)
#define TRIM_AGE (24 * 3600 * CLOCK_SEC)

struct feed {
	struct store *store;
	struct feed_hooks hooks;
	struct poke *nats; /* NULL: none */
	int64_t poll;
	pthread_t thread;

	pthread_mutex_t mu;
	pthread_cond_t wake, done;
	bool stop, poked;              /* guarded by mu */
	uint64_t asked, answered;      /* tickets of feed_sync; guarded by mu */
	struct feed_stats stats;       /* guarded by mu */

	_Atomic int64_t seq, read_at;  /* read_at: clock_mono */
	int64_t next_trim;             /* the thread's own */
	bool failing;                  /* the thread's own: the last read failed */
};

/* ---- reading (the feed's thread) ----------------------------------------------------------- */

static bool parse_kind(struct str s, enum change_kind *out)
{
	for (int k = CHANGE_PRINCIPAL; k <= CHANGE_CREDENTIAL; k++) {
		if (!str_eqc(s, change_kind_text((enum change_kind)k)))
			continue;
		*out = (enum change_kind)k;
		return true;
	}
	return false;
}

/* A kind that this release does not know (a newer replica wrote it) drops every cache. */
static size_t take_rows(const struct store_rows *rows, struct change *out, bool *unknown)
{
	size_t n = 0;

	for (size_t i = 0; i < rows->nrows; i++) {
		out[n] = (struct change){ .seq = store_int(rows, i, 0), .key = store_str(rows, i, 2),
			.at = store_int(rows, i, 3) };
		if (parse_kind(store_str(rows, i, 1), &out[n].kind))
			n++;
		else
			*unknown = true;
	}
	return n;
}

static void record_lag(struct feed *fd, const struct change *c, size_t n)
{
	int64_t now = clock_wall();

	pthread_mutex_lock(&fd->mu);
	for (size_t i = 0; i < n; i++) {
		uint64_t us = now > c[i].at ? (uint64_t)(now - c[i].at) : 0;
		size_t b = sizeof fd->stats.lag_hist / sizeof *fd->stats.lag_hist - 1;

		fd->stats.lag_count++;
		fd->stats.lag_us_sum += us;
		if (us > fd->stats.lag_us_max)
			fd->stats.lag_us_max = us;
		fd->stats.lag_hist[b]++;
		while (b-- > 0 && (double)us <= store_duration_bounds[b] * 1e6)
			fd->stats.lag_hist[b]++;
	}
	pthread_mutex_unlock(&fd->mu);
}

/* Applies one page; *more: there may be another. A row that is missing between what was applied and
 * the first that is there, or a feed shorter than what was applied (a restored store), is a gap. */
static enum err read_page(struct feed *fd, enum store_level level, struct arena *a, bool *more,
    struct fail *f)
{
	int64_t from = fd->seq, newest;
	struct store_stmt q[] = {
		change_seq_stmt,
		STMT("SELECT seq, kind, key, at FROM change WHERE seq > ? ORDER BY seq LIMIT ?",
		    SV_INT(from), SV_INT(READ_MAX)),
	};
	struct store_rows rows[2];
	struct change *c;
	bool flush;
	size_t n;
	enum err e = store_read(fd->store, level, q, 2, a, rows, f);

	if (e != OK)
		return e;
	newest = store_int(&rows[0], 0, 0);
	if (newest < from && level != STORE_LINEAR) /* perhaps only an old view: look properly */
		return read_page(fd, STORE_LINEAR, a, more, f);
	c = arena_alloc(a, (rows[1].nrows + 1) * sizeof *c);
	if (c == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	flush = newest < from || (rows[1].nrows > 0 && store_int(&rows[1], 0, 0) != from + 1) ||
	    (rows[1].nrows == 0 && newest > from);
	n = take_rows(&rows[1], c, &flush);
	*more = rows[1].nrows == READ_MAX;
	if (rows[1].nrows > 0)
		newest = store_int(&rows[1], rows[1].nrows - 1, 0);
	if (flush)
		log_warn("the change feed has a gap: all caches are dropped", LOG_I("from", from),
		    LOG_I("to", newest));
	if (n > 0 || flush)
		fd->hooks.apply(fd->hooks.ctx, c, n, flush, newest);
	fd->seq = newest;
	record_lag(fd, c, n);
	return OK;
}

static enum err read_all(struct feed *fd, bool sync, struct fail *f)
{
	int64_t began = clock_mono();
	bool more = true;
	enum err e = OK;

	while (e == OK && more) {
		struct arena a;

		arena_init(&a, 16 << 20);
		e = read_page(fd, sync ? STORE_LINEAR : STORE_FRESH, &a, &more, f);
		arena_release(&a);
	}
	if (e == OK) {
		fd->read_at = began; /* nothing committed before this is missing */
		if (fd->hooks.fresh != NULL)
			fd->hooks.fresh(fd->hooks.ctx, fd->seq, clock_wall());
	}
	return e;
}

/* Old rows go a few at a time; every replica tries, the store makes it once. */
static void trim(struct feed *fd)
{
	int64_t now = clock_wall();
	struct store_stmt del = STMT("DELETE FROM change WHERE at < ? AND seq < "
	    "(SELECT min(seq) FROM change) + 5000", SV_INT(now - TRIM_AGE));
	struct store_batch b = { .op_id = id_new(now), .stmts = &del, .n = 1 };
	struct fail f = { 0 };

	if (clock_mono() < fd->next_trim)
		return;
	fd->next_trim = clock_mono() + TRIM_EVERY;
	if (store_write(fd->store, &b, NULL, &f) != OK || store_tidy(fd->store, now, &f) != OK)
		log_fail("old changes could not be trimmed", &f);
	fail_clear(&f);
}

static void say_health(struct feed *fd, enum err e, const struct fail *f)
{
	if (e != OK && !fd->failing)
		log_fail("the change feed cannot be read", f);
	else if (e == OK && fd->failing)
		log_info("the change feed can be read again");
	fd->failing = e != OK;
}

/* Waits for a poke, a sync or the next poll. False: stop. */
static bool wait_turn(struct feed *fd, uint64_t *ticket, bool *sync)
{
	int64_t due = clock_mono() + fd->poll;
	struct timespec until = { (time_t)(due / CLOCK_SEC), (long)(due % CLOCK_SEC * 1000) };
	bool stop;

	pthread_mutex_lock(&fd->mu);
	/* after a failure only time helps: no spinning on those who wait */
	while (!fd->stop && (fd->failing || (!fd->poked && fd->asked == fd->answered)) &&
	    pthread_cond_timedwait(&fd->wake, &fd->mu, &until) == 0)
		;
	fd->poked = false;
	*ticket = fd->asked;
	*sync = fd->asked != fd->answered;
	fd->stats.polls++;
	stop = fd->stop;
	pthread_mutex_unlock(&fd->mu);
	return !stop;
}

static void *thread_main(void *arg)
{
	struct feed *fd = arg;
	uint64_t ticket;
	bool sync;

	while (wait_turn(fd, &ticket, &sync)) {
		struct fail f = { 0 };
		enum err e = read_all(fd, sync, &f);

		say_health(fd, e, &f);
		fail_clear(&f);
		pthread_mutex_lock(&fd->mu);
		fd->stats.errors += e != OK;
		if (e == OK) {
			fd->answered = ticket;
			pthread_cond_broadcast(&fd->done);
		}
		pthread_mutex_unlock(&fd->mu);
		if (e == OK)
			trim(fd);
	}
	return NULL;
}

/* ---- callers ------------------------------------------------------------------------------- */

static void poked_cb(void *arg)
{
	struct feed *fd = arg;

	pthread_mutex_lock(&fd->mu);
	fd->stats.pokes_received++;
	fd->poked = true;
	pthread_cond_signal(&fd->wake);
	pthread_mutex_unlock(&fd->mu);
}

static void init_sync(struct feed *fd)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&fd->mu, NULL);
	pthread_cond_init(&fd->wake, &attr);
	pthread_cond_init(&fd->done, &attr);
	pthread_condattr_destroy(&attr);
}

static void free_feed(struct feed *fd)
{
	poke_free(fd->nats);
	pthread_cond_destroy(&fd->wake);
	pthread_cond_destroy(&fd->done);
	pthread_mutex_destroy(&fd->mu);
	heap_free(fd);
}

enum err feed_start(struct feed **out, struct store *s, const struct feed_config *c,
    const struct feed_hooks *h, struct fail *f)
{
	struct feed *fd = heap_zalloc(sizeof *fd);
	sigset_t all, old;
	enum err e = OK;
	int rc;

	if (fd == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	fd->store = s;
	fd->hooks = *h;
	fd->poll = c->poll_us > 0 ? c->poll_us : POLL_DEFAULT;
	fd->seq = c->from;
	fd->read_at = clock_mono();
	fd->next_trim = clock_mono() + TRIM_EVERY;
	fd->poked = true; /* read at once */
	init_sync(fd);
	if (c->nats_url != NULL)
		e = poke_new(c->nats_url, c->replica, poked_cb, fd, &fd->nats, f);
	if (e != OK) {
		free_feed(fd);
		return e;
	}
	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&fd->thread, NULL, thread_main, fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		free_feed(fd);
		return fail_set(f, E_NOMEM, "the feed's thread could not be started");
	}
	pthread_setname_np(fd->thread, "feed");
	*out = fd;
	return OK;
}

void feed_stop(struct feed *fd)
{
	if (fd == NULL)
		return;
	pthread_mutex_lock(&fd->mu);
	fd->stop = true;
	pthread_cond_broadcast(&fd->wake);
	pthread_cond_broadcast(&fd->done);
	pthread_mutex_unlock(&fd->mu);
	pthread_join(fd->thread, NULL);
	free_feed(fd);
}

void feed_poke(struct feed *fd, bool tell)
{
	pthread_mutex_lock(&fd->mu);
	fd->poked = true;
	fd->stats.pokes_sent += tell && fd->nats != NULL;
	pthread_cond_signal(&fd->wake);
	pthread_mutex_unlock(&fd->mu);
	if (tell && fd->nats != NULL)
		poke_send(fd->nats);
}

enum err feed_sync(struct feed *fd, int64_t timeout_us)
{
	int64_t due = clock_mono() + timeout_us;
	struct timespec until = { (time_t)(due / CLOCK_SEC), (long)(due % CLOCK_SEC * 1000) };
	uint64_t ticket;
	bool ok;
	int rc = 0;

	if (fd->nats != NULL)
		poke_send(fd->nats);
	pthread_mutex_lock(&fd->mu);
	fd->stats.pokes_sent += fd->nats != NULL;
	ticket = ++fd->asked;
	pthread_cond_signal(&fd->wake);
	while (fd->answered < ticket && !fd->stop && rc == 0)
		rc = pthread_cond_timedwait(&fd->done, &fd->mu, &until);
	ok = fd->answered >= ticket;
	pthread_mutex_unlock(&fd->mu);
	return ok ? OK : E_STATE_STALE;
}

int64_t feed_age(const struct feed *fd)
{
	return clock_mono() - fd->read_at;
}

int64_t feed_seq(const struct feed *fd)
{
	return fd->seq;
}

void feed_stats(const struct feed *fd, struct feed_stats *out)
{
	struct feed *m = (struct feed *)fd; /* the mutex alone is touched */

	pthread_mutex_lock(&m->mu);
	*out = fd->stats;
	pthread_mutex_unlock(&m->mu);
	out->nats_connected = fd->nats != NULL && poke_connected(fd->nats);
}
