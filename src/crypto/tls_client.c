#include "crypto/tls_client.h"

#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/heap.h"
#include "crypto/tls_files.h"
#include "crypto/tls_session.h"

struct tls_client {
	atomic_uint refs;
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	pthread_mutex_t mu;  /* guards the reading of the system's authorities */
	atomic_bool trusting; /* authorities are read; from then on nothing changes */
	int64_t expires;
};

static void free_client(struct tls_client *t)
{
	if (t->cred != NULL)
		gnutls_certificate_free_credentials(t->cred);
	if (t->priority != NULL)
		gnutls_priority_deinit(t->priority);
	pthread_mutex_destroy(&t->mu);
	heap_free(t);
}

enum err tls_client_load(const char *ca, const char *cert, const char *key, int64_t now,
    struct tls_client **out, struct fail *f)
{
	struct tls_client *t = heap_zalloc(sizeof *t);
	enum err e = OK;

	if (t == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	atomic_init(&t->refs, 1);
	atomic_init(&t->trusting, ca != NULL);
	pthread_mutex_init(&t->mu, NULL);
	if (gnutls_certificate_allocate_credentials(&t->cred) < 0 ||
	    gnutls_priority_init(&t->priority, TLS_PRIORITY, NULL) < 0)
		e = fail_set(f, E_NOMEM, "TLS: out of memory");
	if (e == OK && ca != NULL)
		e = tls_files_authorities(t->cred, ca, f);
	if (e == OK && cert != NULL)
		e = tls_files_pair(t->cred, cert, key, now, &t->expires, f);
	if (e != OK) {
		free_client(t);
		return e;
	}
	gnutls_certificate_set_verify_function(t->cred, tls_session_verify);
	*out = t;
	return OK;
}

struct tls_client *tls_client_ref(struct tls_client *t)
{
	if (t != NULL)
		atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void tls_client_unref(struct tls_client *t)
{
	if (t != NULL && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
		free_client(t);
}

int64_t tls_client_expires(const struct tls_client *t)
{
	return t->expires;
}

/* The system's authorities take 10 ms and 4 MiB: not before somebody needs them. There may be none; then
 * every node is refused. */
static void trust_system(struct tls_client *t)
{
	pthread_mutex_lock(&t->mu);
	if (!atomic_load_explicit(&t->trusting, memory_order_relaxed))
		(void)gnutls_certificate_set_x509_system_trust(t->cred);
	atomic_store_explicit(&t->trusting, true, memory_order_release);
	pthread_mutex_unlock(&t->mu);
}

int tls_client_equip(struct tls_client *t, gnutls_session_t s)
{
	int k = gnutls_priority_set(s, t->priority);

	if (!atomic_load_explicit(&t->trusting, memory_order_acquire))
		trust_system(t);
	return k < 0 ? k : gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, t->cred);
}
