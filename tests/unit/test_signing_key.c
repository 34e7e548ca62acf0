#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "crypto/keyring.h"
#include "iam/signing_key.h"
#include "iam_fixture.h"

static struct keyring *load(struct iam *t, int64_t now)
{
	struct keyring *k = NULL;
	struct fail f = { 0 };

	assert_ok(iam_keyring_load(t->x.store, t->seal, now, &k, &f), &f);
	return k;
}

static void first_start_makes_keys_once(void **state)
{
	struct iam *t = *state;
	struct keyring *k;

	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM signing_key"), 2);
	k = load(t, NOW);
	assert_non_null(keyring_signer(k));
	keyring_unref(k);
}

static void ensure_one(void *arg, int i)
{
	struct iam *t = arg;

	assert_int_equal(iam_signing_key_ensure(iam_store(t, i), t->seal, NOW, NULL), OK);
}

static void replicas_that_start_at_once_agree(void **state)
{
	struct iam *t = *state;

	iam_together(8, ensure_one, t);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM signing_key WHERE state = 'active'"), 1);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM signing_key"), 2);
}

static enum err rotate(struct iam *t, struct str *kid)
{
	struct write w;
	enum err e;

	iam_begin(t, &w);
	e = signing_key_rotate(&w, t->x.store, t->seal, 60 * CLOCK_SEC, kid, NULL);
	return e == OK ? iam_commit(t, &w) : e;
}

static void rotation(void **state)
{
	struct iam *t = *state;
	struct keyring *k;
	char old[44];
	struct str kid;

	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	k = load(t, NOW);
	memcpy(old, keyring_signer(k)->kid, sizeof old);
	keyring_unref(k);
	assert_int_equal(rotate(t, &kid), OK);
	k = load(t, NOW);
	assert_true(str_eqc(kid, keyring_signer(k)->kid));
	assert_string_not_equal(old, keyring_signer(k)->kid);
	assert_non_null(keyring_find(k, str_c(old))); /* still verifies */
	keyring_unref(k);
	k = load(t, NOW + 60 * CLOCK_SEC);
	assert_null(keyring_find(k, str_c(old))); /* no more */
	keyring_unref(k);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM signing_key WHERE state = 'retired'"
	    " AND private_sealed IS NULL"), 1);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM signing_key WHERE state = 'next'"), 1);
}

static void another_master_key_is_named(void **state)
{
	static const unsigned char other[32] = "another key";
	struct iam *t = *state;
	struct keyring *k = NULL;
	struct fail f = { 0 };

	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	seal_free(t->seal);
	assert_int_equal(seal_new(other, &t->seal), OK);
	assert_int_equal(iam_keyring_load(t->x.store, t->seal, NOW, &k, &f), E_CONFIG);
	assert_non_null(strstr(f.text, "auth.master_key"));
	assert_null(k);
}

/* A sealed key that is moved to another row does not open. */
static void sealed_to_its_kid(void **state)
{
	struct iam *t = *state;
	struct keyring *k = NULL;

	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	fixture_exec(t->x.store, (struct store_stmt)STMT("UPDATE signing_key SET private_sealed ="
	    " (SELECT private_sealed FROM signing_key WHERE state = 'next') WHERE state = 'active'"));
	assert_int_equal(iam_keyring_load(t->x.store, t->seal, NOW, &k, NULL), E_CONFIG);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)
	const struct CMUnitTest tests[] = {
		T(first_start_makes_keys_once), T(replicas_that_start_at_once_agree), T(rotation),
		T(another_master_key_is_named), T(sealed_to_its_kid),
	};

#define R(f) cmocka_unit_test_setup_teardown(f, iam_setup_rqlite, iam_teardown)
	const struct CMUnitTest on_rqlite[] = {
		R(first_start_makes_keys_once), R(replicas_that_start_at_once_agree), R(rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	    cmocka_run_group_tests(on_rqlite, iam_cluster_up, iam_cluster_down);
}
