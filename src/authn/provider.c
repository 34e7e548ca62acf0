#include "authn/provider_inside.h"

#include <sched.h>

#include "authn/fetch.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/thread.h"
#include "crypto/jws.h"
#include "obs/obs.h"

#define APART_DEFAULT (10 * CLOCK_SEC)

/* ---- documents ------------------------------------------------------------------------------- */

void provider_doc_unref(struct provider_doc *d)
{
	if (d == NULL || atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	discovery_release(&d->meta);
	jwks_free(d->keys);
	heap_free(d);
}

/* A reader counts itself in one of two counters while it takes its reference, so that the old document
 * goes only when nobody can still be about to take one of it. Readers never wait. */
static struct provider_doc *current(struct provider *p)
{
	unsigned i = atomic_load(&p->phase) & 1;
	struct provider_doc *d;

	atomic_fetch_add(&p->readers[i], 1);
	d = atomic_load(&p->doc);
	if (d != NULL)
		atomic_fetch_add(&d->refs, 1);
	atomic_fetch_sub(&p->readers[i], 1);
	return d;
}

/* Both counters must have been zero after the exchange; new readers use the
 * other one meanwhile, so each falls to zero within a few instructions. */
void provider_replace_take(struct provider *p, struct provider_doc *next)
{
	struct provider_doc *old = atomic_exchange(&p->doc, next);

	for (int i = 0; i < 2; i++) {
		unsigned was = atomic_fetch_add(&p->phase, 1) & 1;

		while (atomic_load(&p->readers[was]) != 0)
			sched_yield();
	}
	provider_doc_unref(old);
}

struct provider_doc *provider_doc(struct provider *p, int64_t now)
{
	struct provider_doc *d = current(p);

	if (d == NULL || now < d->trusted_until)
		return d;
	provider_doc_unref(d);
	return NULL;
}

struct str provider_issuer(const struct provider *p)
{
	return str_c(p->issuer);
}

/* ---- whoever waits --------------------------------------------------------------------------- */

enum provider_refetch provider_refetch(struct provider *p, uint64_t seen, struct provider_wait *w)
{
	struct providers *ps = p->all;
	enum provider_refetch r = PROVIDER_WAIT;
	int64_t now = clock_mono();

	pthread_mutex_lock(&ps->mu);
	if (p->serial > seen) {
		r = PROVIDER_NEWER;
	} else if (ps->stopping || !ps->started || (!p->flying && !p->wanted && p->begun_at != 0 &&
	    now - p->begun_at < ps->apart_us)) {
		r = PROVIDER_NOT_NOW;
	} else {
		p->wanted |= !p->flying;
		w->next = p->waiters;
		p->waiters = w;
	}
	pthread_mutex_unlock(&ps->mu);
	if (r == PROVIDER_WAIT)
		curl_multi_wakeup(ps->multi);
	return r;
}

struct blocked {
	struct provider_wait wait;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	bool done;
};

static void unblock(struct provider_wait *w)
{
	struct blocked *b = w->arg;

	pthread_mutex_lock(&b->mu);
	b->done = true;
	pthread_cond_signal(&b->cond);
	pthread_mutex_unlock(&b->mu);
}

/* Whether there may be something newer by now. */
static bool block(struct provider *p, uint64_t seen)
{
	struct blocked b = { .wait = { .done = unblock, .arg = &b } };
	enum provider_refetch r;

	pthread_mutex_init(&b.mu, NULL);
	pthread_cond_init(&b.cond, NULL);
	r = provider_refetch(p, seen, &b.wait);
	pthread_mutex_lock(&b.mu);
	while (r == PROVIDER_WAIT && !b.done)
		pthread_cond_wait(&b.cond, &b.mu);
	pthread_mutex_unlock(&b.mu);
	pthread_cond_destroy(&b.cond);
	pthread_mutex_destroy(&b.mu);
	return r != PROVIDER_NOT_NOW;
}

static enum err unavailable(const struct provider *p, struct fail *f)
{
	return fail_set(f, E_PROVIDER_UNAVAILABLE, "%s does not answer as it should", p->issuer);
}

enum err provider_need(struct provider *p, struct provider_doc **out, struct fail *f)
{
	*out = provider_doc(p, clock_mono());
	if (*out == NULL && block(p, 0))
		*out = provider_doc(p, clock_mono());
	return *out != NULL ? OK : unavailable(p, f);
}

enum err provider_verify(struct provider *p, const struct jws *j, struct fail *f)
{
	struct provider_doc *d = NULL;
	uint64_t seen = 0;
	enum err e = provider_need(p, &d, f);

	if (e != OK)
		return e;
	e = jwks_verify(d->keys, j);
	seen = d->serial;
	provider_doc_unref(d);
	if (e == E_NOT_FOUND && block(p, seen)) {
		d = provider_doc(p, clock_mono());
		e = d != NULL ? jwks_verify(d->keys, j) : E_NOT_FOUND;
		provider_doc_unref(d);
	}
	return e == OK ? OK : fail_code(f, E_UNAUTHENTICATED);
}

/* ---- construction ---------------------------------------------------------------------------- */

enum err providers_new(const struct providers_config *c, struct providers **out, struct fail *f)
{
	struct providers *ps = heap_zalloc(sizeof *ps);

	if (ps == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		heap_free(ps);
		return fail_code(f, E_NOMEM);
	}
	pthread_mutex_init(&ps->mu, NULL);
	ps->timeout_us = c->timeout_us;
	ps->apart_us = c->apart_us > 0 ? c->apart_us : APART_DEFAULT;
	ps->ca = c->ca != NULL ? heap_strdup(c->ca) : NULL;
	ps->multi = curl_multi_init();
	if (ps->multi == NULL || (c->ca != NULL && ps->ca == NULL)) {
		providers_free(ps);
		return fail_code(f, E_NOMEM);
	}
	*out = ps;
	return OK;
}

static bool same(const struct provider *p, const struct provider_source *s)
{
	if (strcmp(p->issuer, s->issuer) != 0 || (p->jwks == NULL) != (s->jwks == NULL))
		return false;
	return p->jwks == NULL || strcmp(p->jwks, s->jwks) == 0;
}

static void free_one(struct provider *p)
{
	provider_doc_unref(atomic_load(&p->doc));
	fetch_free(p->fetch);
	heap_free(p->issuer);
	heap_free(p->jwks);
	heap_free(p);
}

static enum err check_source(const struct provider_source *s, struct fail *f)
{
	const char *url = s->jwks != NULL ? s->jwks : s->issuer;

	if (s->jwks != NULL && !provider_is_url(s->jwks))
		return OK;
	if (strlen(url) < PROVIDER_URL_MAX && fetch_url_allowed(url))
		return OK;
	return fail_set(f, E_CONFIG, "\"%.200s\" is neither https nor http to loopback", url);
}

enum err providers_add(struct providers *ps, const struct provider_source *s, struct provider **out,
    struct fail *f)
{
	struct fetch_limits limits = { .ca = ps->ca, .timeout_us = ps->timeout_us, .max = JWKS_TEXT_MAX };
	struct provider *p;
	enum err e = check_source(s, f);

	for (p = ps->first; p != NULL && e == OK; p = p->next)
		if (same(p, s)) {
			*out = p;
			return OK;
		}
	if (e != OK)
		return e;
	p = heap_zalloc(sizeof *p);
	if (p == NULL)
		return fail_code(f, E_NOMEM);
	p->all = ps;
	p->issuer = heap_strdup(s->issuer);
	p->jwks = s->jwks != NULL ? heap_strdup(s->jwks) : NULL;
	if (p->issuer == NULL || (s->jwks != NULL && p->jwks == NULL) || fetch_new(&limits, &p->fetch) != OK) {
		free_one(p);
		return fail_code(f, E_NOMEM);
	}
	p->next = ps->first;
	ps->first = p;
	*out = p;
	return OK;
}

enum err providers_start(struct providers *ps, struct fail *f)
{
	if (thread_start(&ps->thread, "providers", providers_thread, ps) != OK)
		return fail_set(f, E_NOMEM, "no thread for providers");
	pthread_mutex_lock(&ps->mu);
	ps->started = true;
	pthread_mutex_unlock(&ps->mu);
	return OK;
}

void providers_stop(struct providers *ps)
{
	bool started;

	if (ps == NULL)
		return;
	pthread_mutex_lock(&ps->mu);
	started = ps->started && !ps->stopping;
	ps->stopping = true;
	pthread_mutex_unlock(&ps->mu);
	if (!started)
		return;
	curl_multi_wakeup(ps->multi);
	pthread_join(ps->thread, NULL);
}

void providers_free(struct providers *ps)
{
	if (ps == NULL)
		return;
	providers_stop(ps);
	while (ps->first != NULL) {
		struct provider *p = ps->first;

		ps->first = p->next;
		free_one(p);
	}
	curl_multi_cleanup(ps->multi);
	pthread_mutex_destroy(&ps->mu);
	heap_free(ps->ca);
	heap_free(ps);
	curl_global_cleanup();
}

void providers_write_metrics(struct providers *ps, struct buf *out)
{
	static const char name[] = "gateway_issuer_fetches_total";

	obs_family(out, name);
	buf_printf(out, "%s{outcome=\"ok\"} %llu\n%s{outcome=\"failed\"} %llu\n", name,
	    (unsigned long long)atomic_load(&ps->fetched), name,
	    (unsigned long long)atomic_load(&ps->failed));
}
