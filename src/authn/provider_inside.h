/* The inside of providers, shared by provider.c (documents, whoever waits, construction) and
 * provider_thread.c (the thread that fetches); others see authn/provider.h. */
#ifndef AUTHN_PROVIDER_INSIDE_H
#define AUTHN_PROVIDER_INSIDE_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "authn/provider.h"
#include "crypto/digest.h"

struct fetch;

enum provider_stage { PROVIDER_IDLE, PROVIDER_METADATA, PROVIDER_KEYS };

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
	enum provider_stage stage;
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

#define PROVIDER_URL_MAX 2048

static inline bool provider_is_url(const char *s)
{
	return strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0;
}

/* The thread's: the document in force from now on; takes the reference. */
void provider_replace_take(struct provider *p, struct provider_doc *next);
/* The thread, for thread_start; arg: the struct providers. */
void *providers_thread(void *arg);

#endif
