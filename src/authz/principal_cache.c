#include "authz/principal_cache.h"

#include <assert.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/loop.h"
#include "base/lru.h"
#include "base/pool.h"
#include "base/siphash.h"
#include "iam/principal.h"

#define LOADS_MAX 512     /* of one worker at a time */
#define WAITERS_MAX 65536 /* lookups of one worker that wait */
#define TRIES_MAX 8       /* loads of one key that a change overtook, before the waiters are refused */

enum kind { OF_PRINCIPAL, OF_SESSION, KINDS };

/* A lookup that waits. It hangs on one entry; when that is there, the lookup is made again. */
struct waiter {
	struct waiter *next;
	struct id principal, session;
	bool with_session;
	unsigned tries;
	principal_cb *cb;
	void *arg;
};

struct result {
	enum err err; /* OK or E_NOT_FOUND in an entry that is ready */
	struct principal *p;
	struct session_state session;
};

/* One key: being loaded (waiters may hang on it) or ready. */
struct entry {
	struct lru_node node;
	struct principal_cache *c;
	enum kind kind;
	struct id id;
	bool loading;
	struct result is; /* when ready */

	/* while loading */
	struct waiter *waiters, **last;
	int64_t need; /* a result that does not include this change is not taken */
	bool dropped; /* the feed named the key since the load began */
	bool again;   /* everything was flushed since */
	unsigned tries;
	/* the load's way; `got` is the lane's until the message is back */
	struct pool_job job;
	struct loop_msg msg;
	struct result got;
};

struct principal_cache {
	struct loop *loop;
	struct pool *lane;
	struct store *store;
	struct siphash_key key;
	struct lru map[KINDS];
	int64_t applied;
	uint64_t epoch;
	size_t loads, waiters;
};

enum err principal_cache_new(struct loop *loop, struct pool *lane, struct store *store, size_t max,
    struct principal_cache **out)
{
	struct principal_cache *c = heap_zalloc(sizeof *c);

	if (c == NULL)
		return E_NOMEM;
	*c = (struct principal_cache){ .loop = loop, .lane = lane, .store = store, .epoch = 1,
		.key = siphash_key_new() };
	for (int k = 0; k < KINDS; k++)
		if (lru_init(&c->map[k], max) != OK) {
			principal_cache_free(c);
			return E_NOMEM;
		}
	*out = c;
	return OK;
}

static struct entry *entry_of(struct lru_node *n)
{
	return (struct entry *)((char *)n - offsetof(struct entry, node));
}

/* Out of the map, without its waiters. */
static void entry_free(struct entry *e)
{
	lru_remove(&e->c->map[e->kind], &e->node);
	principal_unref(e->is.p);
	heap_free(e);
}

void principal_cache_free(struct principal_cache *c)
{
	if (c == NULL)
		return;
	assert(c->loads == 0 && c->waiters == 0);
	for (int k = 0; k < KINDS; k++) {
		while (c->map[k].oldest != NULL)
			entry_free(entry_of(c->map[k].oldest));
		lru_release(&c->map[k]);
	}
	heap_free(c);
}

static struct entry *find(const struct principal_cache *c, enum kind kind, struct id id,
    uint64_t *hash)
{
	*hash = siphash(&c->key, str_n((const char *)id.b, sizeof id.b));
	for (struct lru_node *n = lru_first(&c->map[kind], *hash); n != NULL; n = lru_next(n))
		if (id_eq(entry_of(n)->id, id))
			return entry_of(n);
	return NULL;
}

/* Makes room: the entry that was not used for longest, but none that is being loaded. */
static void evict(struct lru *map)
{
	struct lru_node *n = lru_excess(map);

	while (n != NULL && entry_of(n)->loading)
		n = n->newer;
	if (n != NULL)
		entry_free(entry_of(n));
}

/* ---- loading -------------------------------------------------------------------------------- */

static void load_cb(struct loop_msg *m);

/* On the control lane. */
static void load_job(struct pool_job *j)
{
	struct entry *e = (struct entry *)((char *)j - offsetof(struct entry, job));
	struct principal_cache *c = e->c;

	e->got = (struct result){ 0 };
	if (e->kind == OF_PRINCIPAL)
		e->got.err = principal_load(c->store, e->id, &e->got.p, NULL);
	else
		e->got.err = session_state_load(c->store, e->id, clock_wall(), &e->got.session, NULL);
	loop_post(c->loop, &e->msg);
}

static void load(struct entry *e)
{
	struct principal_cache *c = e->c;

	e->need = c->applied;
	e->dropped = e->again = false;
	e->job.run = load_job;
	e->msg.cb = load_cb;
	c->loads++;
	pool_submit_always(c->lane, &e->job);
}

/* Whether what was read includes every change that this worker knows of. A load that found
 * nothing can't say what it includes; it stands when nothing named the key meanwhile. */
static bool is_current(const struct entry *e)
{
	if (e->again)
		return false;
	if (e->got.err == E_NOT_FOUND)
		return !e->dropped;
	if (e->got.err != OK)
		return true;
	return e->need <= (e->kind == OF_PRINCIPAL ? e->got.p->as_of : e->got.session.as_of);
}

static enum err start(struct principal_cache *c, enum kind kind, struct id id, uint64_t hash,
    struct entry **out)
{
	struct entry *e;

	if (c->loads >= LOADS_MAX)
		return E_OVERLOADED;
	e = heap_zalloc(sizeof *e);
	if (e == NULL)
		return E_NOMEM;
	e->c = c;
	e->kind = kind;
	e->id = id;
	e->loading = true;
	e->last = &e->waiters;
	lru_insert(&c->map[kind], &e->node, hash);
	evict(&c->map[kind]);
	load(e);
	*out = e;
	return OK;
}

static void resume(struct principal_cache *c, struct waiter *w);

static void wake(struct principal_cache *c, struct waiter *w, enum err e)
{
	while (w != NULL) {
		struct waiter *next = w->next;

		if (e == OK) {
			resume(c, w);
		} else {
			c->waiters--;
			w->cb(w->arg, e, NULL, NULL);
			heap_free(w);
		}
		w = next;
	}
}

static void load_cb(struct loop_msg *m)
{
	struct entry *e = (struct entry *)((char *)m - offsetof(struct entry, msg));
	struct principal_cache *c = e->c;
	struct waiter *waiters;
	enum err err = e->got.err;

	c->loads--;
	if (!is_current(e)) {
		principal_unref(e->got.p);
		e->got.p = NULL;
		if (++e->tries < TRIES_MAX) {
			load(e);
			return;
		}
		err = E_STATE_STALE;
	}
	waiters = e->waiters;
	if (err == OK || err == E_NOT_FOUND) {
		e->is = e->got;
		e->waiters = NULL;
		e->loading = false;
		err = OK;
	} else {
		entry_free(e);
	}
	wake(c, waiters, err);
}

/* ---- looking up ----------------------------------------------------------------------------- */

/* The entry of the key, loading or ready. */
static enum err look(struct principal_cache *c, enum kind kind, struct id id, struct entry **out)
{
	uint64_t hash;
	struct entry *e = find(c, kind, id, &hash);

	if (e == NULL)
		return start(c, kind, id, hash, out);
	lru_touch(&c->map[kind], &e->node);
	*out = e;
	return OK;
}

/* The callback may look up more, which may evict what it was given: it gets a reference and a
 * copy. */
static void answer(const struct entry *p, const struct entry *s, principal_cb *cb, void *arg)
{
	struct principal *principal = p->is.p != NULL ? principal_ref(p->is.p) : NULL;
	struct session_state session = { 0 };

	if (s != NULL)
		session = s->is.session;
	cb(arg, p->is.err, principal, s != NULL ? &session : NULL);
	principal_unref(principal);
}

/* OK: the callback was called. E_NOT_READY: *blocker is being loaded. */
static enum err attempt(struct principal_cache *c, const struct waiter *w, struct entry **blocker)
{
	struct entry *p, *s = NULL;
	enum err e = look(c, OF_PRINCIPAL, w->principal, &p);

	if (e == OK && w->with_session)
		e = look(c, OF_SESSION, w->session, &s);
	if (e != OK)
		return e;
	if (p->loading || (s != NULL && s->loading)) {
		*blocker = p->loading ? p : s;
		return E_NOT_READY;
	}
	answer(p, s, w->cb, w->arg);
	return OK;
}

static void hang(struct entry *e, struct waiter *w)
{
	w->next = NULL;
	*e->last = w;
	e->last = &w->next;
}

/* What w waited for is there; the rest of it may not be, or not any more. */
static void resume(struct principal_cache *c, struct waiter *w)
{
	struct entry *blocker;
	enum err e;

	c->waiters--;
	e = attempt(c, w, &blocker);
	if (e == E_NOT_READY && ++w->tries < TRIES_MAX) {
		c->waiters++;
		hang(blocker, w);
		return;
	}
	if (e != OK)
		w->cb(w->arg, e == E_NOT_READY ? E_STATE_STALE : e, NULL, NULL);
	heap_free(w);
}

enum err principal_cache_get(struct principal_cache *c, struct id principal,
    const struct id *session, principal_cb *cb, void *arg)
{
	struct waiter w = { .principal = principal, .with_session = session != NULL, .cb = cb,
		.arg = arg }, *kept;
	struct entry *blocker;
	enum err e;

	if (session != NULL)
		w.session = *session;
	e = attempt(c, &w, &blocker);
	if (e != E_NOT_READY)
		return e;
	if (c->waiters >= WAITERS_MAX)
		return E_OVERLOADED;
	kept = heap_dup(&w, sizeof w);
	if (kept == NULL)
		return E_NOMEM;
	c->waiters++;
	hang(blocker, kept);
	return E_NOT_READY;
}

/* ---- the change feed ------------------------------------------------------------------------ */

static void drop(struct principal_cache *c, enum kind kind, struct id id, int64_t seq)
{
	uint64_t hash;
	struct entry *e = find(c, kind, id, &hash);

	c->epoch++;
	principal_cache_applied(c, seq);
	if (e == NULL)
		return;
	if (!e->loading) {
		entry_free(e);
		return;
	}
	e->dropped = true;
	if (e->need < seq)
		e->need = seq;
}

void principal_cache_drop(struct principal_cache *c, struct id principal, int64_t seq)
{
	drop(c, OF_PRINCIPAL, principal, seq);
}

void principal_cache_drop_session(struct principal_cache *c, struct id session, int64_t seq)
{
	drop(c, OF_SESSION, session, seq);
}

void principal_cache_flush(struct principal_cache *c, int64_t seq)
{
	c->epoch++;
	c->applied = seq; /* a restored store may have gone back */
	for (int k = 0; k < KINDS; k++)
		for (struct lru_node *n = c->map[k].oldest, *next; n != NULL; n = next) {
			next = n->newer;
			if (entry_of(n)->loading)
				entry_of(n)->again = true;
			else
				entry_free(entry_of(n));
		}
}

void principal_cache_applied(struct principal_cache *c, int64_t seq)
{
	if (c->applied < seq)
		c->applied = seq;
}

uint64_t principal_cache_epoch(const struct principal_cache *c)
{
	return c->epoch;
}
