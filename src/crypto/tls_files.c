#include "crypto/tls_files.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/secret.h"

#define FILE_MAX (4u << 20)

static enum err refuse(struct fail *f, const char *file, const char *what, int k)
{
	if (k == GNUTLS_E_MEMORY_ERROR)
		return fail_set(f, E_NOMEM, "%s: out of memory", file);
	return fail_set(f, E_CONFIG, "%s: %s (%s)", file, what, gnutls_strerror(k));
}

static enum err slurp(FILE *in, const char *file, gnutls_datum_t *out, struct fail *f)
{
	unsigned char *p = heap_alloc(FILE_MAX + 1);
	size_t n = p != NULL ? fread(p, 1, FILE_MAX + 1, in) : 0;
	enum err e = OK;

	if (p == NULL)
		return fail_set(f, E_NOMEM, "%s: out of memory", file);
	if (ferror(in))
		e = fail_set(f, E_CONFIG, "%s: %s", file, strerror(errno));
	else if (n > FILE_MAX)
		e = fail_set(f, E_CONFIG, "%s: larger than %u MiB", file, FILE_MAX >> 20);
	else
		*out = (gnutls_datum_t){ heap_dup(p, n > 0 ? n : 1), (unsigned)n };
	if (e == OK && out->data == NULL)
		e = fail_set(f, E_NOMEM, "%s: out of memory", file);
	secret_wipe(p, n);
	heap_free(p);
	return e;
}

static enum err read_file(const char *file, gnutls_datum_t *out, struct fail *f)
{
	FILE *in = fopen(file, "re");
	enum err e;

	if (in == NULL)
		return fail_set(f, E_CONFIG, "%s: %s", file, strerror(errno));
	(void)setvbuf(in, NULL, _IONBF, 0); /* no copy of a key in stdio's memory */
	e = slurp(in, file, out, f);
	fclose(in);
	return e;
}

static void drop(gnutls_datum_t *d)
{
	if (d->data != NULL)
		secret_wipe(d->data, d->size);
	heap_free(d->data);
}

/* ---- the pair ------------------------------------------------------------------------------ */

static void warn_of_times(gnutls_x509_crt_t crt, const char *file, int64_t now, int64_t *expires)
{
	int64_t from = (int64_t)gnutls_x509_crt_get_activation_time(crt) * CLOCK_SEC;
	int64_t until = (int64_t)gnutls_x509_crt_get_expiration_time(crt) * CLOCK_SEC;

	if (now > until)
		log_warn("this certificate has expired", LOG_Z("file", file));
	else if (now < from)
		log_warn("this certificate is not valid yet", LOG_Z("file", file));
	if (expires != NULL)
		*expires = until;
}

static enum err look_at_chain(const gnutls_datum_t *pem, const char *file, int64_t now, int64_t *expires,
    struct fail *f)
{
	gnutls_x509_crt_t *crts = NULL;
	unsigned n = 0;
	int k = gnutls_x509_crt_list_import2(&crts, &n, pem, GNUTLS_X509_FMT_PEM, 0);

	if (k < 0)
		return refuse(f, file, "holds no certificate in PEM", k);
	warn_of_times(crts[0], file, now, expires);
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(crts[i]);
	gnutls_free(crts);
	return OK;
}

static enum err look_at_key(const gnutls_datum_t *pem, const char *file, struct fail *f)
{
	gnutls_privkey_t key;
	int k = gnutls_privkey_init(&key);

	if (k < 0)
		return refuse(f, file, "the key can't be read", k);
	k = gnutls_privkey_import_x509_raw(key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_privkey_deinit(key);
	return k < 0 ? refuse(f, file, "holds no private key in PEM without a password", k) : OK;
}

enum err tls_files_pair(gnutls_certificate_credentials_t cred, const char *cert, const char *key,
    int64_t now, int64_t *expires, struct fail *f)
{
	gnutls_datum_t chain = { 0 }, secret = { 0 };
	enum err e = read_file(cert, &chain, f);
	int k;

	if (e == OK)
		e = read_file(key, &secret, f);
	if (e == OK)
		e = look_at_chain(&chain, cert, now, expires, f);
	if (e == OK)
		e = look_at_key(&secret, key, f);
	if (e != OK)
		goto out;
	k = gnutls_certificate_set_x509_key_mem2(cred, &chain, &secret, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (k == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		e = fail_set(f, E_CONFIG, "%s: is not the key of the certificate in %s", key, cert);
	else if (k < 0)
		e = refuse(f, cert, "can't be used", k);
out:
	drop(&secret);
	drop(&chain);
	return e;
}

/* ---- authorities --------------------------------------------------------------------------- */

enum err tls_files_authorities(gnutls_certificate_credentials_t cred, const char *file, struct fail *f)
{
	gnutls_datum_t pem = { 0 };
	enum err e = read_file(file, &pem, f);
	int k;

	if (e != OK)
		return e;
	k = gnutls_certificate_set_x509_trust_mem(cred, &pem, GNUTLS_X509_FMT_PEM);
	if (k <= 0)
		e = refuse(f, file, "holds no certificate in PEM", k < 0 ? k : GNUTLS_E_NO_CERTIFICATE_FOUND);
	drop(&pem);
	return e;
}
