/* OpenID providers and token issuers of others, by their issuer: what each says of itself (discovery.h)
 * and the keys that it signs with (crypto/jwks.h), fetched, kept fresh and handed out as snapshots.
 *
 * One thread of its own does all fetching, of all providers at once, so that a slow one delays nobody;
 * workers and control threads never wait for the network. What it has is fresh for as long as
 * Cache-Control says, within PROVIDER_FRESH_MIN and _MAX; it is fetched anew before that ends, and while
 * that fails the last good one stays in force, but not past PROVIDER_STALE_MAX. A kid that is not known
 * may be worth an early fetch: at most one every `apart_us` for each provider, however many tokens with
 * made-up kids come in, and whoever asks while one is under way waits for the same.
 *
 * What it does not do: look at tokens' claims, or hold configuration. Whoever verifies does:
 *
 *	doc = provider_doc(p, clock_mono());
 *	e = doc != NULL ? jwks_verify(doc->keys, &jws) : E_NOT_FOUND;
 *	if (e == E_NOT_FOUND)
 *		switch (provider_refetch(p, doc != NULL ? doc->serial : 0, &wait))
 *			PROVIDER_NEWER: there is one by now, once more; PROVIDER_WAIT: once more in
 *			wait.done, by message to the own loop; PROVIDER_NOT_NOW: refuse the token
 *	provider_doc_unref(doc);
 *
 * Ownership: the providers own each provider and its thread; a provider owns its current document;
 * documents are counted, and live until the last reference is gone, even past providers_free. A waiter is
 * the caller's and stays untouched from PROVIDER_WAIT until done is called, which always happens, at the
 * latest in providers_stop. Made and stopped by the main thread, the rest is for any thread; readers take
 * no lock. */
#ifndef AUTHN_PROVIDER_H
#define AUTHN_PROVIDER_H

#include <stdatomic.h>
#include <stdint.h>

#include "authn/discovery.h"
#include "base/clock.h"
#include "base/err.h"
#include "crypto/jwks.h"

struct buf;
struct jws;
struct provider;
struct providers;

#define PROVIDER_FRESH_MIN (5 * 60 * CLOCK_SEC)
#define PROVIDER_FRESH_MAX (24 * 3600 * CLOCK_SEC)
#define PROVIDER_FRESH_DEFAULT (3600 * CLOCK_SEC)
#define PROVIDER_STALE_MAX (24 * 3600 * CLOCK_SEC)

struct providers_config {
	const char *ca;     /* PEM file of authorities for https; NULL: the system's */
	int64_t timeout_us; /* of one exchange; 0: 5 s */
	int64_t apart_us;   /* between the starts of two fetches from one provider; 0: 10 s */
};

/* issuer: as in the `iss` of its tokens. jwks NULL: by discovery from the issuer; else where the keys
 * are, without discovery: a URL, or the path of a file, which is looked at again every minute and for
 * kids that are not known. Both are copied. */
struct provider_source {
	const char *issuer, *jwks;
};

enum err providers_new(const struct providers_config *c, struct providers **out, struct fail *f);
/* Before providers_start. E_CONFIG: neither https nor http to loopback. The same source twice gives the
 * same provider. */
enum err providers_add(struct providers *ps, const struct provider_source *s, struct provider **out,
    struct fail *f);
/* Starts the thread, which fetches from all of them now; none having answered is no error. */
enum err providers_start(struct providers *ps, struct fail *f);
/* Ends the thread; all waiters have been called when it returns. NULL is allowed, and a second time. */
void providers_stop(struct providers *ps);
void providers_free(struct providers *ps);

/* What one provider is known by. Immutable. */
struct provider_doc {
	_Atomic unsigned refs;
	uint64_t serial;  /* of the fetch, from 1 */
	uint64_t version; /* of the content: the same while fetches bring the same keys */
	struct discovery meta; /* without discovery: empty */
	struct jwks *keys;
	int64_t fetched_at, trusted_until; /* clock_mono */
};

/* A reference to what is in force, or NULL: nothing was fetched yet, or too long ago. now: clock_mono. */
struct provider_doc *provider_doc(struct provider *p, int64_t now);
void provider_doc_unref(struct provider_doc *d); /* NULL is allowed */
/* As given to providers_add. */
struct str provider_issuer(const struct provider *p);

struct provider_wait {
	struct provider_wait *next;
	/* On the providers' thread, once, when the fetch has ended, well or not: must not block. The waiter
	 * is the caller's again. */
	void (*done)(struct provider_wait *w);
	void *arg;
};
enum provider_refetch { PROVIDER_NEWER, PROVIDER_WAIT, PROVIDER_NOT_NOW };
/* Asks for a document newer than the one with this serial (0: any). A mutex is held for a few
 * instructions. */
enum provider_refetch provider_refetch(struct provider *p, uint64_t seen, struct provider_wait *w);

/* The same for control threads, blocking while a fetch is under way (bounded by its timeouts). */

/* The document, waiting for it if there is none. E_PROVIDER_UNAVAILABLE. */
enum err provider_need(struct provider *p, struct provider_doc **out, struct fail *f);
/* The signature, by a newer document when this one does not know the key. E_UNAUTHENTICATED. */
enum err provider_verify(struct provider *p, const struct jws *j, struct fail *f);

/* gateway_provider_... for all of them. */
void providers_write_metrics(struct providers *ps, struct buf *out);

#endif
