#include "authn/provider_inside.h"

#include <errno.h>
#include <stdio.h>

#include "authn/fetch.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/log.h"

#define RETRY_MOST (5 * 60 * CLOCK_SEC)
#define FILE_FRESH (60 * CLOCK_SEC)

/* ---- one fetch ------------------------------------------------------------------------------- */

static bool is_file(const struct provider *p)
{
	return p->jwks != NULL && !provider_is_url(p->jwks);
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

	p->stage = PROVIDER_IDLE;
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
	provider_replace_take(p, d);
	land(p, fresh, d->serial);
}

static void fetch_url(struct provider *p, enum provider_stage stage, const char *url)
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
		fetch_url(p, PROVIDER_KEYS, p->meta.jwks_uri);
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
	char url[PROVIDER_URL_MAX + sizeof DISCOVERY_PATH];
	size_t n = strlen(p->issuer);

	if (is_file(p)) {
		read_keys_file(p);
	} else if (p->jwks != NULL) {
		fetch_url(p, PROVIDER_KEYS, p->jwks);
	} else {
		/* Discovery 4.1: a terminating slash goes before the path is added */
		n -= n > 0 && p->issuer[n - 1] == '/';
		(void)snprintf(url, sizeof url, "%.*s" DISCOVERY_PATH, (int)n, p->issuer);
		fetch_url(p, PROVIDER_METADATA, url);
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
	else if (p->stage == PROVIDER_METADATA)
		take_metadata(p, fetch_body(p->fetch));
	else
		take_keys(p, fetch_body(p->fetch), fetch_max_age(p->fetch));
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool to_begin(struct provider *p, int64_t now)
{
	bool due;

	pthread_mutex_lock(&p->all->mu);
	due = p->stage == PROVIDER_IDLE && !p->all->stopping && (p->wanted || now >= p->due_at);
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
		if (p->stage == PROVIDER_IDLE && p->due_at < until)
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
	if (p->stage != PROVIDER_IDLE)
		curl_multi_remove_handle(p->all->multi, fetch_handle(p->fetch));
	land(p, 0, 0);
}

void *providers_thread(void *arg)
{
	struct providers *ps = arg;

	while (!stopping(ps)) {
		begin_due(ps);
		take_arrived(ps);
		curl_multi_poll(ps->multi, NULL, 0, idle_for(ps), NULL);
	}
	for (struct provider *p = ps->first; p != NULL; p = p->next)
		give_up(p);
	return NULL;
}
