#include "upstream/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/socket.h>

#include "base/heap.h"
#include "base/log.h"

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct upstream_tls {
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	bool trusts; /* CAs are loaded */
};

static enum err refuse(const char *what, const char *file, int k)
{
	log_error("upstream TLS", LOG_Z("what", what), LOG_Z("file", file), LOG_Z("error", gnutls_strerror(k)));
	return E_CONFIG;
}

static enum err load_ca(struct upstream_tls *t, const char *ca)
{
	int k = ca != NULL ? gnutls_certificate_set_x509_trust_file(t->cred, ca, GNUTLS_X509_FMT_PEM) :
			     gnutls_certificate_set_x509_system_trust(t->cred);

	t->trusts = k > 0;
	return k > 0 ? OK : refuse("no trusted CA could be read", ca != NULL ? ca : "(system)", k);
}

static enum err load_pair(struct upstream_tls *t, const char *cert, const char *key)
{
	int k = gnutls_certificate_set_x509_key_file(t->cred, cert, key, GNUTLS_X509_FMT_PEM);

	return k >= 0 ? OK : refuse("the client certificate or its key cannot be used", cert, k);
}

enum err upstream_tls_new(const char *ca, const char *cert, const char *key, struct upstream_tls **out)
{
	struct upstream_tls *t = heap_zalloc(sizeof *t);
	enum err e = OK;

	if (t == NULL)
		return E_NOMEM;
	if (gnutls_certificate_allocate_credentials(&t->cred) < 0 ||
	    gnutls_priority_init(&t->priority, PRIORITY, NULL) < 0)
		e = E_NOMEM;
	if (e == OK && ca != NULL)
		e = load_ca(t, ca);
	if (e == OK && cert != NULL)
		e = load_pair(t, cert, key != NULL ? key : cert);
	if (e != OK) {
		upstream_tls_free(t);
		return e;
	}
	*out = t;
	return OK;
}

void upstream_tls_free(struct upstream_tls *t)
{
	if (t == NULL)
		return;
	if (t->cred != NULL)
		gnutls_certificate_free_credentials(t->cred);
	if (t->priority != NULL)
		gnutls_priority_deinit(t->priority);
	heap_free(t);
}

static bool is_address(struct str host)
{
	if (memchr(host.p, ':', host.n) != NULL)
		return true;
	for (size_t i = 0; i < host.n; i++)
		if ((host.p[i] < '0' || host.p[i] > '9') && host.p[i] != '.')
			return false;
	return true;
}

/* Names (RFC 6066, 3: addresses are not), ALPN, and what the certificate must say. host ends in NUL. */
static int prepare(gnutls_session_t s, struct str host, bool h2)
{
	gnutls_datum_t alpn = { (unsigned char *)(h2 ? "h2" : "http/1.1"), h2 ? 2 : 8 };
	int k = 0;

	if (!is_address(host))
		k = gnutls_server_name_set(s, GNUTLS_NAME_DNS, host.p, host.n);
	if (k >= 0)
		k = gnutls_alpn_set_protocols(s, &alpn, 1, 0);
	gnutls_session_set_verify_cert(s, host.p, 0);
	gnutls_handshake_set_timeout(s, GNUTLS_INDEFINITE_TIMEOUT); /* the dial has a limit of its own */
	return k;
}

/* GnuTLS says "again" both when the socket is empty and when it has dealt with a message of its own (a
 * session ticket), behind which there may be data. With edge-triggered events the difference matters. */
static ssize_t pull(gnutls_transport_ptr_t arg, void *p, size_t n)
{
	struct tls_wire *w = arg;
	ssize_t k = recv(w->fd, p, n, 0);

	w->drained = k < 0 && errno == EAGAIN;
	return k;
}

static ssize_t push(gnutls_transport_ptr_t arg, const giovec_t *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };

	return sendmsg(((struct tls_wire *)arg)->fd, &m, MSG_NOSIGNAL);
}

enum err upstream_tls_session(struct upstream_tls *t, int fd, struct str host, bool h2,
    struct tls_wire **out)
{
	enum err e = t->trusts ? OK : load_ca(t, NULL);
	struct tls_wire *w = e == OK ? heap_zalloc(sizeof *w) : NULL;

	if (w == NULL)
		return e != OK ? e : E_NOMEM;
	w->fd = fd;
	if (gnutls_init(&w->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
	    gnutls_priority_set(w->session, t->priority) < 0 ||
	    gnutls_credentials_set(w->session, GNUTLS_CRD_CERTIFICATE, t->cred) < 0 ||
	    prepare(w->session, host, h2) < 0) {
		tls_wire_free(w);
		return E_NOMEM;
	}
	gnutls_transport_set_ptr(w->session, w);
	gnutls_transport_set_pull_function(w->session, pull);
	gnutls_transport_set_vec_push_function(w->session, push);
	*out = w;
	return OK;
}

void tls_wire_free(struct tls_wire *w)
{
	if (w == NULL)
		return;
	if (w->session != NULL)
		gnutls_deinit(w->session);
	heap_free(w);
}

/* ---- handshake --------------------------------------------------------------------------------- */

static void log_failure(gnutls_session_t s, struct str host, int k)
{
	gnutls_datum_t why = { 0 };

	if (k == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
	    gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(s),
	    GNUTLS_CRT_X509, &why, 0) == 0)
		log_warn("the certificate of a node is refused", LOG_S("host", host),
		    LOG_Z("error", (const char *)why.data));
	else
		log_warn("TLS with a node failed", LOG_S("host", host), LOG_Z("error", gnutls_strerror(k)));
	gnutls_free(why.data);
}

static bool speaks_h2(gnutls_session_t s)
{
	gnutls_datum_t alpn;

	return gnutls_alpn_get_selected_protocol(s, &alpn) == 0 && alpn.size == 2 &&
	    memcmp(alpn.data, "h2", 2) == 0;
}

enum tls_step tls_wire_handshake(struct tls_wire *w, struct str host, bool h2)
{
	gnutls_session_t s = w->session;
	int k;

	do
		k = gnutls_handshake(s);
	while (k < 0 && !gnutls_error_is_fatal(k) && (k != GNUTLS_E_AGAIN ||
	    (gnutls_record_get_direction(s) == 0 && !w->drained)));
	if (k == GNUTLS_E_AGAIN)
		return TLS_AGAIN;
	if (k < 0) {
		log_failure(s, host, k);
		return TLS_FAILED;
	}
	if (h2 && !speaks_h2(s)) {
		log_warn("TLS with a node failed", LOG_S("host", host), LOG_Z("error", "it does not offer h2"));
		return TLS_FAILED;
	}
	return TLS_DONE;
}
