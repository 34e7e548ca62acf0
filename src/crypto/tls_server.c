#include "crypto/tls_server.h"

#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/heap.h"
#include "crypto/tls_files.h"
#include "crypto/tls_session.h"

struct tls_server {
	atomic_uint refs;
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	gnutls_datum_t ticket_key; /* GnuTLS derives one for each 18 hours from it */
	bool asks; /* for a client certificate */
	int64_t expires;
};

static void free_server(struct tls_server *t)
{
	if (t->cred != NULL)
		gnutls_certificate_free_credentials(t->cred);
	if (t->priority != NULL)
		gnutls_priority_deinit(t->priority);
	if (t->ticket_key.data != NULL)
		gnutls_memset(t->ticket_key.data, 0, t->ticket_key.size);
	gnutls_free(t->ticket_key.data);
	heap_free(t);
}

enum err tls_server_load(const char *cert, const char *key, const char *client_ca, int64_t now,
    struct tls_server **out, struct fail *f)
{
	struct tls_server *t = heap_zalloc(sizeof *t);
	enum err e = OK;

	if (t == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	atomic_init(&t->refs, 1);
	t->asks = client_ca != NULL;
	if (gnutls_certificate_allocate_credentials(&t->cred) < 0 ||
	    gnutls_priority_init(&t->priority, TLS_PRIORITY, NULL) < 0 ||
	    gnutls_session_ticket_key_generate(&t->ticket_key) < 0)
		e = fail_set(f, E_NOMEM, "TLS: out of memory");
	if (e == OK)
		e = tls_files_pair(t->cred, cert, key, now, &t->expires, f);
	if (e == OK && client_ca != NULL)
		e = tls_files_authorities(t->cred, client_ca, f);
	if (e != OK) {
		free_server(t);
		return e;
	}
	gnutls_certificate_set_verify_function(t->cred, tls_session_verify);
	*out = t;
	return OK;
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
	if (t != NULL)
		atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void tls_server_unref(struct tls_server *t)
{
	if (t != NULL && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
		free_server(t);
}

int64_t tls_server_expires(const struct tls_server *t)
{
	return t->expires;
}

int tls_server_equip(struct tls_server *t, gnutls_session_t s)
{
	int k = gnutls_priority_set(s, t->priority);

	if (k >= 0)
		k = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, t->cred);
	if (k >= 0)
		k = gnutls_session_ticket_enable_server(s, &t->ticket_key);
	gnutls_certificate_server_set_request(s, t->asks ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE);
	return k;
}
