#include "authn/provider.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "authn/fetch.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/jws.h"
#include "obs/obs.h"

#define APART_DEFAULT (10 * CLOCK_SEC)
#define RETRY_MOST (5 * 60 * CLOCK_SEC)
#define FILE_FRESH (60 * CLOCK_SEC)
#define URL_MAX 2048

enum stage { IDLE, METADATA, KEYS };

struct provider {
	struct provider *next;
	struct providers *all;
	char *issuer, *jwks; /* jwks NULL: by discovery */

	/* readers, see current() */
	_Atomic(struct provider_doc *) doc;
	_Atomic unsigned phase, readers[2];

	/* under all->mu */
	bool wanted;  /* a fetch is due now */
	bool flying;  /* a fetch is under way: joining it is what waiters do */
	int64_t begun_at; /* the last one; 0: never */
	uint64_t serial;  /* of the current document */
	struct provider_wait *waiters;

	/* the thread's */
	enum stage stage;
	struct fetch *fetch;
	struct discovery meta; /* of the fetch under way */
	int64_t due_at;
	unsigned failures;
	unsigned char digest[SHA256_LEN]; /* of the content that has the current version */
	uint64_t version;
};

struct providers {
	char *ca;
	int64_t timeout_us, apart_us;
	struct provider *first;
	CURLM *multi;
	pthread_t thread;
	bool started;
	pthread_mutex_t mu;
	bool stopping; /* under mu */
	_Atomic uint64_t fetched, failed;
};

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

/* Takes the reference to next. Both counters must have been zero after the exchange; new readers use the
 * other one meanwhile, so each falls to zero within a few instructions. */
static void replace(struct provider *p, struct provider_doc *next)
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

/* ---- the thread: one fetch ------------------------------------------------------------------- */

static bool is_url(const char *s)
{
	return strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0;
}

static bool is_file(const struct provider *p)
{
	return p->jwks != NULL && !is_url(p->jwks);
}

static void call_all(struct provider_wait *w)
{
	while (w != NULL) {
		struct provider_wait *next = w->next;

		w->done(w);
		w = next;
	}
}

/* The fetch is over: the next is due after `after`, and whoever waits is told. */
static void land(struct provider *p, int64_t after, uint64_t serial)
{
	struct provider_wait *w;

	p->stage = IDLE;
	p->due_at = clock_mono() + after;
	discovery_release(&p->meta);
	pthread_mutex_lock(&p->all->mu);
	p->flying = false;
	if (serial != 0)
		p->serial = serial;
	w = p->waiters;
	p->waiters = NULL;
	pthread_mutex_unlock(&p->all->mu);
	call_all(w);
}

static void fell(struct provider *p, struct fail *f)
{
	int64_t after = p->all->apart_us << (p->failures < 10 ? p->failures : 10);

	log_warn("an issuer's keys could not be fetched", LOG_Z("issuer", p->issuer),
	    LOG_Z("error", fail_text(f)), LOG_I("failures", p->failures + 1));
	fail_clear(f);
	p->failures++;
	atomic_fetch_add(&p->all->failed, 1);
	land(p, after < RETRY_MOST ? after : RETRY_MOST, 0);
}

static int64_t fresh_for(const struct provider *p, int64_t max_age)
{
	int64_t us = max_age < 0 ? PROVIDER_FRESH_DEFAULT : max_age * CLOCK_SEC;

	if (is_file(p))
		return FILE_FRESH;
	return us < PROVIDER_FRESH_MIN ? PROVIDER_FRESH_MIN : us > PROVIDER_FRESH_MAX ?
	    PROVIDER_FRESH_MAX : us;
}

/* The keys are there: with what was discovered they become the document in force. */
static void take_keys(struct provider *p, struct str text, int64_t max_age)
{
	struct provider_doc *d = heap_zalloc(sizeof *d);
	unsigned char digest[SHA256_LEN];
	struct fail f = { 0 };
	int64_t fresh = fresh_for(p, max_age), now = clock_mono();

	if (d == NULL || jwks_parse(text, &d->keys, &f) != OK) {
		if (d == NULL)
			fail_code(&f, E_NOMEM);
		heap_free(d);
		fell(p, &f);
		return;
	}
	digest_sha256(text, digest);
	if (memcmp(digest, p->digest, sizeof digest) != 0) {
		memcpy(p->digest, digest, sizeof digest);
		p->version++;
	}
	atomic_init(&d->refs, 1);
	d->serial = p->serial + 1;
	d->version = p->version;
	d->meta = p->meta;
	p->meta = (struct discovery){ 0 };
	d->fetched_at = now;
	d->trusted_until = now + fresh + PROVIDER_STALE_MAX;
	p->failures = 0;
	atomic_fetch_add(&p->all->fetched, 1);
	replace(p, d);
	land(p, fresh, d->serial);
}

static void fetch_url(struct provider *p, enum stage stage, const char *url)
{
	struct fail f = { 0 };

	if (fetch_prepare(p->fetch, url, STR_NONE, STR_NONE) != OK ||
	    curl_multi_add_handle(p->all->multi, fetch_handle(p->fetch)) != CURLM_OK) {
		fail_code(&f, E_NOMEM);
		fell(p, &f);
		return;
	}
	curl_easy_setopt(fetch_handle(p->fetch), CURLOPT_PRIVATE, p);
	p->stage = stage;
}

static void take_metadata(struct provider *p, struct str text)
{
	struct fail f = { 0 };

	if (discovery_parse(text, str_c(p->issuer), &p->meta, &f) == OK)
		fetch_url(p, KEYS, p->meta.jwks_uri);
	else
		fell(p, &f);
}

static void read_keys_file(struct provider *p)
{
	struct fail f = { 0 };
	struct buf text;
	FILE *in = fopen(p->jwks, "re");
	size_t n = 1;

	buf_init(&text, JWKS_TEXT_MAX);
	if (in == NULL)
		fail_set(&f, E_CONFIG, "%s: %s", p->jwks, strerror(errno));
	while (f.err == OK && n > 0) {
		if (buf_reserve(&text, 4096) != OK)
			fail_set(&f, E_CONFIG, "%s: larger than %zu bytes", p->jwks, text.max);
		else
			text.n += n = fread(text.p + text.n, 1, 4096, in);
	}
	if (in != NULL)
		fclose(in);
	if (f.err == OK)
		take_keys(p, buf_str(&text), -1);
	else
		fell(p, &f);
	buf_release(&text);
}

static void begin(struct provider *p)
{
	char url[URL_MAX + sizeof DISCOVERY_PATH];
	size_t n = strlen(p->issuer);

	if (is_file(p)) {
		read_keys_file(p);
	} else if (p->jwks != NULL) {
		fetch_url(p, KEYS, p->jwks);
	} else {
		/* Discovery 4.1: a terminating slash goes before the path is added */
		n -= n > 0 && p->issuer[n - 1] == '/';
		(void)snprintf(url, sizeof url, "%.*s" DISCOVERY_PATH, (int)n, p->issuer);
		fetch_url(p, METADATA, url);
	}
}

static void arrived(struct provider *p, CURLcode rc)
{
	struct fail f = { 0 };
	enum err e = fetch_outcome(p->fetch, (int)rc, &f);

	curl_multi_remove_handle(p->all->multi, fetch_handle(p->fetch));
	if (e == OK && fetch_status(p->fetch) != 200)
		e = fail_set(&f, E_UPSTREAM_FAILED, "the answer is %d", fetch_status(p->fetch));
	if (e != OK)
		fell(p, &f);
	else if (p->stage == METADATA)
		take_metadata(p, fetch_body(p->fetch));
	else
		take_keys(p, fetch_body(p->fetch), fetch_max_age(p->fetch));
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool to_begin(struct provider *p, int64_t now)
{
	bool due;

	pthread_mutex_lock(&p->all->mu);
	due = p->stage == IDLE && !p->all->stopping && (p->wanted || now >= p->due_at);
	if (due) {
		p->wanted = false;
		p->flying = true;
		p->begun_at = now;
	}
	pthread_mutex_unlock(&p->all->mu);
	return due;
}

static void begin_due(struct providers *ps)
{
	for (struct provider *p = ps->first; p != NULL; p = p->next)
		if (to_begin(p, clock_mono()))
			begin(p);
}

static void take_arrived(struct providers *ps)
{
	CURLMsg *m;
	int left, running;

	curl_multi_perform(ps->multi, &running);
	while ((m = curl_multi_info_read(ps->multi, &left)) != NULL) {
		char *p = NULL;
		CURLcode rc = m->data.result; /* m dies with the handle's removal */

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		arrived((struct provider *)(void *)p, rc);
	}
}

/* Milliseconds until something is due. */
static int idle_for(struct providers *ps)
{
	int64_t now = clock_mono(), until = now + 3600 * CLOCK_SEC;

	for (struct provider *p = ps->first; p != NULL; p = p->next)
		if (p->stage == IDLE && p->due_at < until)
			until = p->due_at;
	return until > now ? (int)((until - now) / CLOCK_MS) + 1 : 0;
}

static bool stopping(struct providers *ps)
{
	bool stop;

	pthread_mutex_lock(&ps->mu);
	stop = ps->stopping;
	pthread_mutex_unlock(&ps->mu);
	return stop;
}

static void give_up(struct provider *p)
{
	if (p->stage != IDLE)
		curl_multi_remove_handle(p->all->multi, fetch_handle(p->fetch));
	land(p, 0, 0);
}

static void *thread_main(void *arg)
{
	struct providers *ps = arg;

	pthread_setname_np(pthread_self(), "providers");
	while (!stopping(ps)) {
		begin_due(ps);
		take_arrived(ps);
		curl_multi_poll(ps->multi, NULL, 0, idle_for(ps), NULL);
	}
	for (struct provider *p = ps->first; p != NULL; p = p->next)
		give_up(p);
	return NULL;
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

	if ((s->jwks != NULL && !is_url(s->jwks)) || (strlen(url) < URL_MAX && fetch_url_allowed(url)))
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
	sigset_t all, old;
	int rc;

	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&ps->thread, NULL, thread_main, ps);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
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
