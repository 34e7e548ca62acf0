#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "tls_fixture.h"

static enum err load(const char *cert, const char *key, const char *ca, struct fail *f)
{
	struct tls_server *t = NULL;
	enum err e = tls_server_load(tls_pki_path(cert), tls_pki_path(key),
	    tls_pki_path(ca), clock_wall(), &t, f);

	tls_server_unref(t);
	return e;
}

static void says_which_file_is_wrong(void **state)
{
	static const struct {
		const char *cert, *key, *ca, *file, *why;
	} cases[] = {
		{ "absent.pem", "node.key", NULL, "absent.pem", "No such file" },
		{ "node.pem", "absent.key", NULL, "absent.key", "No such file" },
		{ "node.pem", "node.key", "absent.pem", "absent.pem", "No such file" },
		{ "junk.pem", "node.key", NULL, "junk.pem", "no certificate" },
		{ "empty.pem", "node.key", NULL, "empty.pem", "no certificate" },
		{ "node.key", "node.key", NULL, "node.key", "no certificate" },
		{ "node.pem", "junk.pem", NULL, "junk.pem", "no private key" },
		{ "node.pem", "node.pem", NULL, "node.pem", "no private key" },
		{ "node.pem", "locked.key", NULL, "locked.key", "no private key" },
		{ "node.pem", "bare.key", NULL, "bare.key", "is not the key of the certificate" },
		{ "node.pem", "node.key", "junk.pem", "junk.pem", "no certificate" },
		{ "node.pem", "node.key", "empty.pem", "empty.pem", "no certificate" },
		{ "node.pem", "node.key", "/", "/", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fail f = { 0 };

		assert_int_equal(load(cases[i].cert, cases[i].key, cases[i].ca, &f), E_CONFIG);
		if (strstr(fail_text(&f), cases[i].file) == NULL || strstr(fail_text(&f), cases[i].why) == NULL)
			fail_msg("case %zu: %s", i, fail_text(&f));
		fail_clear(&f);
	}
}

static void takes_what_fits(void **state)
{
	struct fail f = { 0 };

	(void)state;
	assert_int_equal(load("node.pem", "node.key", NULL, &f), OK);
	assert_int_equal(load("node.pem", "node.key", "ca.pem", &f), OK);
	assert_int_equal(load("expired.pem", "expired.key", NULL, &f), OK); /* only warned of */
}

static void knows_when_a_certificate_expires(void **state)
{
	struct tls_server *t = tls_pki_server("node", NULL);
	int64_t left = tls_server_expires(t) - clock_wall();

	(void)state;
	assert_true(left > 47 * 3600 * CLOCK_SEC && left <= 48 * 3600 * CLOCK_SEC);
	tls_server_unref(t);
	t = tls_pki_server("expired", NULL);
	assert_true(tls_server_expires(t) < clock_wall());
	tls_server_unref(t);
}

static void takes_the_systems_authorities(void **state)
{
	struct tls_client *t = tls_pki_client(NULL, "caller");

	(void)state;
	assert_ptr_equal(tls_client_ref(t), t);
	tls_client_unref(t);
	tls_client_unref(t);
}

static void every_allocation_may_fail(void **state)
{
	int injected = 1;

	(void)state;
	for (long n = 1; injected; n++) {
		struct fail f = { 0 };
		enum err e;

		heap_fail_after(n);
		e = load("node.pem", "node.key", "ca.pem", &f);
		injected = heap_fail_after(0);
		assert_int_equal(e, injected ? E_NOMEM : OK);
		fail_clear(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_which_file_is_wrong),
		cmocka_unit_test(takes_what_fits),
		cmocka_unit_test(knows_when_a_certificate_expires),
		cmocka_unit_test(takes_the_systems_authorities),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, tls_pki_set_up, tls_pki_tear_down);
}
