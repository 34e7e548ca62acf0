/* Client certificates that TLS has verified (CONTRACT 4, class 5): the service account that lists
 * the subject (RFC 4514 text) or one of the subject alternative names. Only when no Authorization
 * is sent. */
#include <arpa/inet.h>
#include <gnutls/x509.h>

#include "authn/machine.h"
#include "crypto/jwt.h"

#define SANS_MAX 64 /* looked at */

static bool presented(struct attempt *t, enum auth_scheme scheme)
{
	return scheme == AUTH_SCHEME_NONE && t->r->client_cert != NULL;
}

static enum err ask(struct store *s, struct machine *m, int64_t now)
{
	return credential_check_subjects(s, m->subjects, m->nsubjects, now, &m->proof, NULL);
}

static gnutls_x509_crt_t certificate(const struct request *r)
{
	return (gnutls_x509_crt_t)(uintptr_t)r->client_cert;
}

static bool is_address(struct str s)
{
	unsigned char a[sizeof(struct in6_addr)];
	char z[INET6_ADDRSTRLEN];

	if (s.n >= sizeof z)
		return false;
	memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	return inet_pton(AF_INET, z, a) == 1 || inet_pton(AF_INET6, z, a) == 1;
}

/* Whether the text of a SAN has the shape of its type. One that has not could be taken for a
 * subject, or for a SAN of another type, since all stand in one list. */
static bool shaped(unsigned type, struct str s)
{
	const char *colon = memchr(s.p, ':', s.n), *equals = memchr(s.p, '=', s.n);

	if (is_address(s))
		return type == GNUTLS_SAN_IPADDRESS;
	switch (type) {
	case GNUTLS_SAN_DNSNAME:
		return colon == NULL && equals == NULL && memchr(s.p, '@', s.n) == NULL;
	case GNUTLS_SAN_RFC822NAME:
		return equals == NULL && colon == NULL && memchr(s.p, '@', s.n) != NULL;
	case GNUTLS_SAN_URI:
		return colon != NULL && (equals == NULL || colon < equals);
	default:
		return false;
	}
}

static enum err add_subject(struct attempt *t, struct machine *m, struct str s)
{
	struct str copy = arena_str(&t->r->arena, s);

	if (copy.p == NULL)
		return E_NOMEM;
	m->subjects[m->nsubjects++] = copy;
	return OK;
}

static enum err add_dn(struct attempt *t, struct machine *m)
{
	gnutls_datum_t dn;
	enum err e = OK;

	if (gnutls_x509_crt_get_dn3(certificate(t->r), &dn, 0) != 0)
		return OK;
	if (dn.size > 0 && str_utf8(str_n((char *)dn.data, dn.size)))
		e = add_subject(t, m, str_n((char *)dn.data, dn.size));
	gnutls_free(dn.data);
	return e;
}

/* The text of a SAN in `san`, of *n bytes. False: none that counts. */
static bool san_text(unsigned type, char *san, size_t *n)
{
	char z[INET6_ADDRSTRLEN];

	if (type == GNUTLS_SAN_IPADDRESS) { /* bytes of an address: as people write it (RFC 5952) */
		if ((*n != 4 && *n != 16) || inet_ntop(*n == 4 ? AF_INET : AF_INET6, san, z, sizeof z) == NULL)
			return false;
		*n = strlen(z);
		memcpy(san, z, *n);
	}
	return *n > 0 && str_utf8(str_n(san, *n)) && shaped(type, str_n(san, *n));
}

static enum err add_sans(struct attempt *t, struct machine *m)
{
	enum err e = OK;

	for (unsigned i = 0; e == OK && i < SANS_MAX && m->nsubjects < CREDENTIAL_SUBJECTS; i++) {
		char san[512];
		size_t n = sizeof san;
		unsigned type;
		int rc = gnutls_x509_crt_get_subject_alt_name2(certificate(t->r), i, san, &n, &type, NULL);

		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (rc >= 0 && n < sizeof san && san_text(type, san, &n))
			e = add_subject(t, m, str_n(san, n));
	}
	return e;
}

static enum err check(struct attempt *t)
{
	struct machine *m = attempt_alloc(t, sizeof *m);
	size_t n = sizeof m->key.hash;
	enum err e;

	if (m == NULL)
		return E_NOMEM;
	if (gnutls_x509_crt_get_fingerprint(certificate(t->r), GNUTLS_DIG_SHA256, m->key.hash, &n) != 0)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	m->amr = JWT_AMR_CERT;
	m->ask = ask;
	e = add_dn(t, m);
	if (e == OK)
		e = add_sans(t, m);
	return e == OK ? machine_check(t, m) : e;
}

const struct authn_class class_certificate = { AUTH_CERTIFICATE, presented, check };
