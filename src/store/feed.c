#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/thread.h"
#include "store/change.h"
#include "store/poke.h"

#define POLL_DEFAULT (200 * CLOCK_MS)
#define RETRY_US (50 * CLOCK_MS) /* after a failed read, when somebody waits */
#define KEEP_DEFAULT (24 * 3600 * CLOCK_SEC)
#define TRIM_DEFAULT (60 * CLOCK_SEC)
#define PAGE 512
#define AT_UNKNOWN INT64_MIN
#define MEMORY_MAX (4u << 20)

const double feed_lag_bounds[11] = { 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5 };

struct feed {
	struct store *store;
	struct feed_hooks hooks;
	struct poke *poke; /* NULL: no NATS */
	int64_t poll_us, keep_us, trim_us;
	pthread_t thread;
	struct arena arena;          /* the thread's, as the next three */
	struct change page[PAGE];
	int64_t cursor;              /* the row applied last; 0: none yet */
	int64_t cursor_at;           /* its time; AT_UNKNOWN: not seen yet */
	int64_t trimmed;             /* monotonic */
	atomic_int_fast64_t read_at; /* monotonic: begin of the last read that reached the end */
	atomic_int_fast64_t seq;

	pthread_mutex_t lock; /* what follows */
	pthread_cond_t wake, synced;
	bool stop, poked, tell;
	uint64_t asked, answered; /* feed_sync calls: tickets */
	struct feed_stats stats;
};

/* ---- reading, on the feed's thread --------------------------------------------------------- */

static const struct store_stmt newest_stmt = {
	.sql = "SELECT seq, at FROM change ORDER BY seq DESC LIMIT 1",
	.expect = STORE_ANY,
};

static enum err read_newest(struct feed *feed, int64_t *seq, int64_t *at, struct fail *f)
{
	struct store_rows r;
	enum err e;

	arena_clear(&feed->arena);
	e = store_read(feed->store, STORE_LINEAR, &newest_stmt, 1, &feed->arena, &r, f);
	if (e != OK)
		return e;
	*seq = r.nrows > 0 ? store_int(&r, 0, 0) : 0;
	*at = r.nrows > 0 ? store_int(&r, 0, 1) : 0;
	return OK;
}

static enum change_kind kind_of(struct str text)
{
	for (int k = CHANGE_PRINCIPAL; k <= CHANGE_CREDENTIAL; k++)
		if (str_eqc(text, change_kind_text((enum change_kind)k)))
			return (enum change_kind)k;
	return 0;
}

static void count_lag(struct feed *feed, size_t n)
{
	int64_t now = clock_wall();

	pthread_mutex_lock(&feed->lock);
	for (size_t i = 0; i < n; i++) {
		int64_t lag = now > feed->page[i].at ? now - feed->page[i].at : 0;
		struct feed_stats *s = &feed->stats;

		s->lag_count++;
		s->lag_us_sum += (uint64_t)lag;
		if ((uint64_t)lag > s->lag_us_max)
			s->lag_us_max = (uint64_t)lag;
		for (size_t k = 0; k < 12; k++)
			s->lag_hist[k] += k == 11 || (double)lag <= feed_lag_bounds[k] * 1e6;
	}
	pthread_mutex_unlock(&feed->lock);
}

/* Rows were lost, or the store is another one: whatever is cached may be wrong. The newest row is read
 * first, so that a change after it is read after the flush. */
static enum err flush(struct feed *feed, struct fail *f)
{
	enum err e = read_newest(feed, &feed->cursor, &feed->cursor_at, f);

	if (e != OK)
		return e;
	log_warn("change feed: rows are missing; dropping every cache", LOG_I("seq", feed->cursor));
	feed->hooks.apply(feed->hooks.ctx, NULL, 0, true, feed->cursor);
	return OK;
}

/* Turns rows from `first` on into feed->page. Returns whether one is of a kind that we do not know. */
static bool fill_page(struct feed *feed, const struct store_rows *r, size_t first, size_t *n)
{
	bool unknown = false;

	*n = 0;
	for (size_t i = first; i < r->nrows; i++) {
		struct change *c = &feed->page[*n];

		*c = (struct change){ .seq = store_int(r, i, 0), .kind = kind_of(store_str(r, i, 1)),
			.key = store_str(r, i, 2), .at = store_int(r, i, 3) };
		feed->cursor = c->seq;
		feed->cursor_at = c->at;
		unknown |= c->kind == 0;
		*n += c->kind != 0;
	}
	return unknown;
}

/* The row applied last comes first again, and must be the same; the very first row has the number 1. */
static bool has_gap(const struct feed *feed, const struct store_rows *r)
{
	if (feed->cursor == 0)
		return r->nrows > 0 && store_int(r, 0, 0) != 1;
	if (r->nrows == 0 || store_int(r, 0, 0) != feed->cursor)
		return true;
	return feed->cursor_at != AT_UNKNOWN && store_int(r, 0, 3) != feed->cursor_at;
}

/* Reads and applies one page; *more: there may be another. */
static enum err read_page(struct feed *feed, enum store_level level, bool *more, struct fail *f)
{
	struct store_stmt st = STMT("SELECT seq, kind, key, at FROM change WHERE seq >= ?"
	    " ORDER BY seq LIMIT 512", SV_INT(feed->cursor));
	struct store_rows r;
	size_t n;
	bool unknown;
	enum err e;

	arena_clear(&feed->arena);
	e = store_read(feed->store, level, &st, 1, &feed->arena, &r, f);
	if (e != OK)
		return e;
	*more = r.nrows == PAGE;
	if (has_gap(feed, &r)) {
		*more = true; /* what came after the newest row that the flush has seen */
		/* a node that lags has no such row yet: look properly before all is dropped */
		return level == STORE_LINEAR ? flush(feed, f) : read_page(feed, STORE_LINEAR, more, f);
	}
	if (feed->cursor > 0)
		feed->cursor_at = store_int(&r, 0, 3);
	unknown = fill_page(feed, &r, feed->cursor > 0, &n);
	if (n > 0 || unknown)
		feed->hooks.apply(feed->hooks.ctx, feed->page, n, unknown, feed->cursor);
	count_lag(feed, n);
	return OK;
}

/* Reads to the end. */
static enum err read_feed(struct feed *feed, enum store_level level, struct fail *f)
{
	int64_t start = clock_mono(), wall = clock_wall();
	bool more = true;
	enum err e = OK;

	while (e == OK && more)
		e = read_page(feed, level, &more, f);
	if (e != OK)
		return e;
	feed->seq = feed->cursor;
	feed->read_at = start;
	if (feed->hooks.fresh != NULL)
		feed->hooks.fresh(feed->hooks.ctx, feed->cursor, wall);
	return OK;
}

/* ---- trimming, on the feed's thread -------------------------------------------------------- */

/* Both replicas do it; whoever comes second finds nothing. A bounded number of rows at a time, looked
 * for from the old end; the row read last stays, for it is how a reader knows that it missed none. */
static enum err trim(struct feed *feed, int64_t now, struct fail *f)
{
	struct store_stmt oldest = STMT("SELECT at FROM change ORDER BY seq LIMIT 1");
	struct store_stmt st = STMT("DELETE FROM change WHERE seq IN"
	    " (SELECT seq FROM (SELECT seq, at FROM change ORDER BY seq LIMIT 5000) WHERE at < ?)"
	    " AND seq < ?", SV_INT(now - feed->keep_us), SV_INT(feed->cursor));
	struct store_batch b = { id_new(now), &st, 1 };
	struct store_rows r;
	enum err e;

	arena_clear(&feed->arena);
	e = store_read(feed->store, STORE_STALE, &oldest, 1, &feed->arena, &r, f);
	if (e == OK && r.nrows > 0 && store_int(&r, 0, 0) < now - feed->keep_us)
		e = store_write(feed->store, &b, NULL, f);
	return e == OK ? store_tidy(feed->store, now, f) : e;
}

static void trim_sometimes(struct feed *feed)
{
	struct fail f = { 0 };

	if (clock_mono() - feed->trimmed < feed->trim_us)
		return;
	feed->trimmed = clock_mono();
	if (trim(feed, clock_wall(), &f) != OK)
		log_fail("change feed: trimming failed", &f);
	fail_clear(&f);
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* What a turn of the thread has to do. */
struct turn {
	uint64_t ticket; /* feed_sync calls up to this one are answered by it */
	bool wanted;     /* somebody waits */
	bool tell;
};

static void send_poke(struct feed *feed)
{
	bool sent = feed->poke != NULL && poke_send(feed->poke);

	pthread_mutex_lock(&feed->lock);
	feed->stats.pokes_sent += sent;
	pthread_mutex_unlock(&feed->lock);
}

/* Waits for a poke or until `until`. False: stop. */
static bool wait_turn(struct feed *feed, int64_t until, struct turn *t)
{
	struct timespec ts = { until / CLOCK_SEC, until % CLOCK_SEC * 1000 };
	bool go;
	int rc = 0;

	pthread_mutex_lock(&feed->lock);
	while (!feed->stop && !feed->poked && rc == 0)
		rc = pthread_cond_clockwait(&feed->wake, &feed->lock, CLOCK_MONOTONIC, &ts);
	*t = (struct turn){ feed->asked, feed->asked != feed->answered, feed->tell };
	feed->poked = feed->tell = false;
	go = !feed->stop;
	pthread_mutex_unlock(&feed->lock);
	return go;
}

static void end_turn(struct feed *feed, const struct turn *t, enum err e)
{
	pthread_mutex_lock(&feed->lock);
	feed->stats.polls++;
	feed->stats.errors += e != OK;
	if (e == OK) {
		feed->answered = t->ticket;
		pthread_cond_broadcast(&feed->synced);
	}
	pthread_mutex_unlock(&feed->lock);
}

static void *feed_thread(void *arg)
{
	struct feed *feed = arg;
	int64_t until = clock_mono() + feed->poll_us;
	bool failing = false;
	struct turn t;

	while (wait_turn(feed, until, &t)) {
		struct fail f = { 0 };
		enum err e;

		if (t.tell)
			send_poke(feed);
		e = read_feed(feed, t.wanted ? STORE_LINEAR : STORE_FRESH, &f);
		end_turn(feed, &t, e);
		if (e != OK && !failing)
			log_fail("change feed: cannot be read", &f);
		if (e == OK && failing)
			log_info("change feed: is read again", LOG_I("seq", feed->cursor));
		failing = e != OK;
		fail_clear(&f);
		if (e == OK)
			trim_sometimes(feed);
		until = clock_mono() + (e != OK && t.wanted ? RETRY_US : feed->poll_us);
	}
	return NULL;
}

/* ---- callers ------------------------------------------------------------------------------- */

void feed_poke(struct feed *feed, bool tell)
{
	pthread_mutex_lock(&feed->lock);
	feed->poked = true;
	feed->tell |= tell;
	pthread_cond_signal(&feed->wake);
	pthread_mutex_unlock(&feed->lock);
}

enum err feed_sync(struct feed *feed, int64_t timeout_us)
{
	int64_t t = clock_mono() + timeout_us;
	struct timespec until = { t / CLOCK_SEC, t % CLOCK_SEC * 1000 };
	uint64_t ticket;
	bool done;
	int rc = 0;

	pthread_mutex_lock(&feed->lock);
	ticket = ++feed->asked;
	feed->stats.syncs++;
	feed->poked = feed->tell = true;
	pthread_cond_signal(&feed->wake);
	while (feed->answered < ticket && !feed->stop && rc == 0)
		rc = pthread_cond_clockwait(&feed->synced, &feed->lock, CLOCK_MONOTONIC, &until);
	done = feed->answered >= ticket;
	pthread_mutex_unlock(&feed->lock);
	return done ? OK : E_STATE_STALE;
}

int64_t feed_age(const struct feed *feed)
{
	return clock_mono() - feed->read_at;
}

int64_t feed_seq(const struct feed *feed)
{
	return feed->seq;
}

void feed_stats(const struct feed *feed, struct feed_stats *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&feed->lock;

	pthread_mutex_lock(lock);
	*out = feed->stats;
	pthread_mutex_unlock(lock);
	out->nats_connected = feed->poke != NULL && poke_connected(feed->poke);
}

/* ---- start and stop ------------------------------------------------------------------------ */

static void poked_by_another(void *ctx)
{
	struct feed *feed = ctx;

	pthread_mutex_lock(&feed->lock);
	feed->stats.pokes_received++;
	pthread_mutex_unlock(&feed->lock);
	feed_poke(feed, false);
}

static void feed_free(struct feed *feed)
{
	poke_stop(feed->poke);
	arena_release(&feed->arena);
	pthread_mutex_destroy(&feed->lock);
	pthread_cond_destroy(&feed->wake);
	pthread_cond_destroy(&feed->synced);
	heap_free(feed);
}

enum err feed_start(struct feed **out, struct store *s, const struct feed_config *c,
    const struct feed_hooks *h, struct fail *f)
{
	struct feed *feed = heap_zalloc(sizeof *feed);
	struct poke_hooks ph = { feed, poked_by_another };
	enum err e = OK;

	*out = NULL;
	if (feed == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	feed->store = s;
	feed->hooks = *h;
	feed->poll_us = c->poll_us > 0 ? c->poll_us : POLL_DEFAULT;
	feed->keep_us = c->keep_us > 0 ? c->keep_us : KEEP_DEFAULT;
	feed->trim_us = c->trim_us > 0 ? c->trim_us : TRIM_DEFAULT;
	feed->seq = feed->cursor = c->from;
	feed->cursor_at = AT_UNKNOWN;
	feed->read_at = feed->trimmed = clock_mono();
	feed->poked = true; /* read at once */
	arena_init(&feed->arena, MEMORY_MAX);
	pthread_mutex_init(&feed->lock, NULL);
	pthread_cond_init(&feed->wake, NULL);
	pthread_cond_init(&feed->synced, NULL);
	if (c->nats_url != NULL)
		e = poke_start(&feed->poke, c->nats_url, c->replica, &ph, f);
	if (e == OK && thread_start(&feed->thread, "feed", feed_thread, feed) != OK)
		e = fail_set(f, E_NOMEM, "the feed's thread could not be started");
	if (e != OK) {
		feed_free(feed);
		return e;
	}
	*out = feed;
	return OK;
}

void feed_stop(struct feed *feed)
{
	if (feed == NULL)
		return;
	pthread_mutex_lock(&feed->lock);
	feed->stop = true;
	pthread_cond_broadcast(&feed->wake);
	pthread_cond_broadcast(&feed->synced);
	pthread_mutex_unlock(&feed->lock);
	pthread_join(feed->thread, NULL);
	feed_free(feed);
}
