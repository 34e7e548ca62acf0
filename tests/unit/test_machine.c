#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <time.h>

#include "authn_fixture.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/hex.h"
#include "iam/principal.h"

/* ---- API keys -------------------------------------------------------------------------------- */

static const char *key_header(struct world *w, char z[128])
{
	snprintf(z, 128, "Bearer %s", w->api_key);
	return z;
}

static void test_api_key(void **state)
{
	struct world *w = *state;
	char z[128];
	struct asked c;

	asked_init(w, &c);
	assert_int_equal(asked_start(w, &c, key_header(w, z)), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(c.e, OK);
	assert_int_equal(c.r.auth.method, AUTH_API_KEY);
	assert_int_equal(c.r.auth.principal->kind, PRINCIPAL_SERVICE_ACCOUNT);
	assert_true(id_eq(c.r.auth.principal->id, w->robot));
	assert_false(c.r.auth.has_session);
	asked_end(&c);
	asked_init(w, &c);
	assert_int_equal(asked_start(w, &c, z), OK);
	asked_end(&c);
	assert_true(fixture_int(w->x.store, (struct store_stmt)STMT(
	    "SELECT last_used_at FROM credential WHERE id = ?", SV_ID(&w->key_id))) >= w->now);
}

static void test_api_key_refused(void **state)
{
	struct world *w = *state;
	char z[128];

	key_header(w, z);
	z[strlen(z) - 5] = z[strlen(z) - 5] == 'A' ? 'B' : 'A';
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
	key_header(w, z);
	z[15] = z[15] == '0' ? '1' : '0'; /* another credential's id */
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "api_key", "unknown"), 2);
	EXEC(w, "UPDATE service_account SET disabled = 1 WHERE id = ?", SV_ID(&w->robot));
	assert_int_equal(ask(w, key_header(w, z), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "api_key", "disabled"), 1);
}

static void test_api_key_expires(void **state)
{
	struct world *w = *state;
	int64_t expiry;
	char z[128];

	tick_past(w, w->now);
	expiry = loop_wall(w->lane.loop) + 200 * CLOCK_MS;
	EXEC(w, "UPDATE credential SET expires_at = ? WHERE id = ?", SV_INT(expiry), SV_ID(&w->key_id));
	assert_int_equal(ask(w, key_header(w, z), NULL), OK);
	tick_past(w, expiry);
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
}

static void test_api_key_deleted(void **state)
{
	struct world *w = *state;
	char z[128];

	assert_int_equal(ask(w, key_header(w, z), NULL), OK);
	EXEC(w, "DELETE FROM credential WHERE id = ?", SV_ID(&w->key_id));
	authn_flush(w->authn);
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
}

/* Deleted while the check was under way: what was read before may let this one request in, but
 * nothing of it stays. */
static void test_api_key_deleted_meanwhile(void **state)
{
	struct world *w = *state;
	char z[128];
	struct asked c;

	asked_init(w, &c);
	assert_int_equal(asked_start(w, &c, key_header(w, z)), E_NOT_READY);
	lane_rest(&w->lane);
	EXEC(w, "DELETE FROM credential WHERE id = ?", SV_ID(&w->key_id));
	authn_flush(w->authn);
	lane_settle(&w->lane);
	assert_int_equal(c.calls, 1);
	asked_end(&c);
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
}

/* ---- Basic ----------------------------------------------------------------------------------- */

static enum err ask_basic(struct world *w, bool tls, const char *user, const char *secret)
{
	char plain[512], z[1024] = "Basic ";
	struct asked c;
	enum err e;
	int n = snprintf(plain, sizeof plain, "%s%s%s", user, secret != NULL ? ":" : "",
	    secret != NULL ? secret : "");

	z[6 + b64_encode(plain, (size_t)n, z + 6)] = '\0';
	asked_init(w, &c);
	c.r.tls = tls;
	(void)asked_start(w, &c, z);
	lane_settle(&w->lane);
	e = c.e;
	assert_true((e == OK) == (c.r.auth.principal != NULL));
	asked_end(&c);
	return e;
}

static void test_basic_service_account(void **state)
{
	struct world *w = *state;
	char id[ID_TEXT_LEN], wrong[TOKEN_LEN];

	id_text(w->robot, id);
	assert_int_equal(ask_basic(w, true, id, w->secret), OK);
	assert_int_equal(ask_basic(w, true, id, w->secret), OK);
	memcpy(wrong, w->secret, sizeof wrong);
	wrong[3] = wrong[3] == 'A' ? 'B' : 'A';
	assert_int_equal(ask_basic(w, true, id, wrong), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, id, ""), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, id, NULL), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, id_text(w->ada, id), w->secret), E_UNAUTHENTICATED);
}

static void test_basic_user(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask_basic(w, true, "ada@example.com", PASSWORD), OK);
	assert_int_equal(ask_basic(w, true, "ADA@Example.com", PASSWORD), OK);
	assert_int_equal(ask_basic(w, true, "ada@example.com", "wrong"), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "bob@example.com", PASSWORD), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "not an address", PASSWORD), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "ada@example.com", "\xff\xfe"), E_UNAUTHENTICATED);
	EXEC(w, "UPDATE user SET disabled = 1 WHERE id = ?", SV_ID(&w->ada));
	assert_int_equal(ask_basic(w, true, "ada@example.com", PASSWORD), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "basic", "disabled"), 1);
}

static void test_basic_without_password(void **state)
{
	struct world *w = *state;

	EXEC(w, "UPDATE user SET password_phc = NULL WHERE id = ?", SV_ID(&w->ada));
	assert_int_equal(ask_basic(w, true, "ada@example.com", PASSWORD), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "ada@example.com", "-"), E_UNAUTHENTICATED);
}

static void test_basic_over_plaintext(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask_basic(w, false, "ada@example.com", PASSWORD), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "basic", "refused"), 1);
	atomic_store(&w->basic_without_tls, true);
	assert_int_equal(ask_basic(w, false, "ada@example.com", PASSWORD), OK);
}

static void test_too_many_sign_ins(void **state)
{
	struct world *w = *state;
	struct asked *calls = heap_zalloc(1000 * sizeof *calls);
	unsigned started = 0, i;
	enum err e = E_NOT_READY;

	atomic_store(&w->basic_without_tls, true);
	lane_close(&w->lane);
	for (i = 0; i < 1000 && e == E_NOT_READY; i++) {
		asked_init(w, &calls[i]);
		e = asked_start(w, &calls[i], "Basic YWRhQGV4YW1wbGUuY29tOndyb25n");
		started += e == E_NOT_READY;
	}
	assert_int_equal(e, E_OVERLOADED);
	lane_open(&w->lane);
	lane_settle(&w->lane);
	while (i-- > 0) {
		assert_int_equal(calls[i].calls, i < started ? 1 : 0);
		asked_end(&calls[i]);
	}
	heap_free(calls);
}

/* ---- certificates ---------------------------------------------------------------------------- */

/* As it would come over the wire: extensions of one that is being made can't be read. */
static gnutls_x509_crt_t reread(gnutls_x509_crt_t crt)
{
	gnutls_datum_t der;

	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
	gnutls_x509_crt_deinit(crt);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER), 0);
	gnutls_free(der.data);
	return crt;
}

/* Signs what has names only. */
static gnutls_x509_crt_t signed_by_itself(gnutls_x509_crt_t crt)
{
	gnutls_x509_privkey_t key;
	unsigned char serial = 1;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, &serial, 1);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	gnutls_x509_privkey_deinit(key);
	return reread(crt);
}

static gnutls_x509_crt_t certificate_of(const char *address, unsigned n)
{
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, n,
	    GNUTLS_FSAN_SET), 0);
	return signed_by_itself(crt);
}

static gnutls_x509_crt_t certificate(const char *dn, const char *dns, const char *uri)
{
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	if (dn != NULL)
		assert_int_equal(gnutls_x509_crt_set_dn(crt, dn, NULL), 0);
	if (dns != NULL)
		assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, dns,
		    (unsigned)strlen(dns), GNUTLS_FSAN_SET), 0);
	if (uri != NULL)
		assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_URI, uri,
		    (unsigned)strlen(uri), GNUTLS_FSAN_SET), 0);
	return signed_by_itself(crt);
}

/* Takes the certificate. */
static enum err show(struct world *w, gnutls_x509_crt_t crt, const char *authorization)
{
	struct asked c;
	enum err e;

	asked_init(w, &c);
	c.r.tls = true;
	c.r.client_cert = crt;
	(void)asked_start(w, &c, authorization);
	lane_settle(&w->lane);
	e = c.e;
	if (e == OK)
		assert_true(id_eq(c.r.auth.principal->id, w->robot));
	asked_end(&c);
	gnutls_x509_crt_deinit(crt);
	return e;
}

static enum err ask_certificate(struct world *w, const char *dn, const char *dns, const char *uri,
    const char *authorization)
{
	return show(w, certificate(dn, dns, uri), authorization);
}

/* An address is compared as text, and only an address is one. */
static void test_certificate_of_an_address(void **state)
{
	struct world *w = *state;

	add_credential(w, id_new(w->now), "certificate", NULL, "10.0.0.7");
	add_credential(w, id_new(w->now), "certificate", NULL, "2001:db8::7");
	assert_int_equal(show(w, certificate_of("\x0a\x00\x00\x07", 4), NULL), OK);
	assert_int_equal(show(w, certificate_of("\x0a\x00\x00\x08", 4), NULL), E_UNAUTHENTICATED);
	assert_int_equal(show(w, certificate_of("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16), NULL), OK);
	assert_int_equal(ask_certificate(w, "CN=x", "10.0.0.7", NULL, NULL), E_UNAUTHENTICATED);
	assert_int_equal(ask_certificate(w, "CN=x", NULL, "2001:db8::7", NULL), E_UNAUTHENTICATED);
}

static void test_certificate(void **state)
{
	struct world *w = *state;
	struct id id = id_new(w->now);

	assert_int_equal(ask_certificate(w, "CN=robot,O=Example", NULL, NULL, NULL), OK);
	assert_int_equal(ask_certificate(w, "CN=other,O=Example", NULL, NULL, NULL), E_UNAUTHENTICATED);
	assert_int_equal(ask_certificate(w, NULL, NULL, NULL, NULL), E_UNAUTHENTICATED);
	/* a name that looks like a subject is not one */
	assert_int_equal(ask_certificate(w, "CN=x", "CN=robot,O=Example", NULL, NULL),
	    E_UNAUTHENTICATED);
	assert_int_equal(ask_certificate(w, "CN=x", NULL, "CN=robot,O=Example", NULL),
	    E_UNAUTHENTICATED);
	add_credential(w, id, "certificate", NULL, "robot.example");
	assert_int_equal(ask_certificate(w, "CN=x", "robot.example", NULL, NULL), OK);
	id = id_new(w->now);
	add_credential(w, id, "certificate", NULL, "spiffe://example/robot");
	assert_int_equal(ask_certificate(w, "CN=x", NULL, "spiffe://example/robot", NULL), OK);
	/* an Authorization decides before it */
	assert_int_equal(ask_certificate(w, "CN=robot,O=Example", NULL, NULL, "Bearer a.b.c"),
	    E_UNAUTHENTICATED);
}

static void test_certificate_of_two_accounts(void **state)
{
	struct world *w = *state;
	struct id other = id_new(w->now), id = id_new(w->now);

	EXEC(w, "INSERT INTO service_account (id, name, created_at, updated_at) VALUES "
	        "(?, 'other', 1, 1)", SV_ID(&other));
	EXEC(w, "INSERT INTO credential (id, service_account, kind, subject, created_at) VALUES "
	        "(?, ?, 'certificate', 'other.example', 1)", SV_ID(&id), SV_ID(&other));
	assert_int_equal(ask_certificate(w, "CN=robot,O=Example", "other.example", NULL, NULL),
	    E_UNAUTHENTICATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, authn_setup, authn_teardown)
		T(test_api_key), T(test_api_key_refused), T(test_api_key_expires),
		T(test_api_key_deleted), T(test_api_key_deleted_meanwhile),
		T(test_basic_service_account), T(test_basic_user), T(test_basic_without_password),
		T(test_basic_over_plaintext), T(test_too_many_sign_ins), T(test_certificate),
		T(test_certificate_of_two_accounts), T(test_certificate_of_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
