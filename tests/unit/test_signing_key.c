#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

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

#define HOUR (3600 * CLOCK_SEC)
static const struct signing_key_schedule monthly = { 30 * 24 * HOUR, HOUR, 60 * CLOCK_SEC };

/* One look at `now`; whether it rotated, and when it will be due next. */
static enum err look(struct iam *t, struct store *s, int64_t now, bool *rotated, int64_t *due)
{
	struct arena a;
	struct write w;
	struct str kid;
	enum err e;

	arena_init(&a, 1 << 20);
	write_init(&w, &a, now);
	e = signing_key_rotate_due(&w, s, t->seal, &monthly, &kid, due, NULL);
	*rotated = e == OK && kid.p != NULL;
	if (*rotated)
		e = write_run(&w, s, NULL);
	*rotated &= e == OK;
	arena_release(&a);
	return e;
}

static void rotation_by_schedule(void **state)
{
	struct iam *t = *state;
	int64_t now = NOW, due;
	bool rotated;

	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	assert_int_equal(look(t, t->x.store, now, &rotated, &due), OK);
	assert_false(rotated);
	assert_int_equal(due, NOW + monthly.period);
	for (int i = 0; i < 5; i++) {
		now = due;
		assert_int_equal(look(t, t->x.store, now - 1, &rotated, &due), OK);
		assert_false(rotated);
		assert_int_equal(look(t, t->x.store, now, &rotated, &due), OK);
		assert_true(rotated);
		assert_int_equal(due, now + monthly.period);
	}
	assert_int_equal(iam_count(t, "SELECT count(*) FROM signing_key"), 6); /* the oldest is gone */
}

/* A key that nobody has seen yet does not sign: a new `next` waits for the lead. */
static void the_lead_is_waited_for(void **state)
{
	struct iam *t = *state;
	int64_t due;
	bool rotated;

	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	fixture_exec(t->x.store, (struct store_stmt)STMT("UPDATE signing_key SET created_at = ?"
	    " WHERE state = 'next'", SV_INT(NOW + monthly.period - 1)));
	assert_int_equal(look(t, t->x.store, NOW + monthly.period, &rotated, &due), OK);
	assert_false(rotated);
	assert_int_equal(due, NOW + monthly.period - 1 + monthly.lead);
	assert_int_equal(look(t, t->x.store, due, &rotated, &due), OK);
	assert_true(rotated);
}

struct race {
	struct iam *t;
	_Atomic int winners;
};

static void look_one(void *arg, int i)
{
	struct race *r = arg;
	bool rotated;
	int64_t due;
	enum err e = look(r->t, iam_store(r->t, i), NOW + monthly.period, &rotated, &due);

	assert_true(e == OK || e == E_CONFLICT);
	r->winners += rotated;
}

static void one_replica_rotates(void **state)
{
	struct race r = { .t = *state };

	assert_int_equal(iam_signing_key_ensure(r.t->x.store, r.t->seal, NOW, NULL), OK);
	iam_together(8, look_one, &r);
	assert_int_equal(r.winners, 1);
	assert_int_equal(iam_count(r.t, "SELECT count(*) FROM signing_key WHERE state = 'retired'"), 1);
	assert_int_equal(iam_count(r.t, "SELECT count(*) FROM signing_key WHERE state = 'active'"), 1);
	assert_int_equal(iam_count(r.t, "SELECT count(*) FROM signing_key WHERE state = 'next'"), 1);
}

static enum err revoke(struct iam *t, const char *kid, char active[44])
{
	struct str signer;
	struct write w;
	enum err e;

	iam_begin(t, &w);
	e = signing_key_revoke(&w, t->x.store, t->seal, str_c(kid), &signer, NULL);
	if (e == OK)
		snprintf(active, 44, "%.*s", STR_ARG(signer));
	return e == OK ? iam_commit(t, &w) : e;
}

static void kid_in_state(struct iam *t, const char *state, char kid[44])
{
	struct store_stmt q = STMT("SELECT kid FROM signing_key WHERE state = ?", SV_Z(state));
	struct store_rows rows;
	struct arena a;

	arena_init(&a, 65536);
	assert_int_equal(store_read(t->x.store, STORE_LINEAR, &q, 1, &a, &rows, NULL), OK);
	assert_int_equal(rows.nrows, 1);
	snprintf(kid, 44, "%.*s", STR_ARG(store_str(&rows, 0, 0)));
	arena_release(&a);
}

/* Whatever a key was: it verifies no more, there is an active one and a next one, and only one of each. */
static void revocation(void **state)
{
	static const char *const was[] = { "active", "next", "retired" };
	struct iam *t = *state;
	char kid[44], next[44], active[44];
	struct keyring *k;
	struct str ignored;

	assert_int_equal(iam_signing_key_ensure(t->x.store, t->seal, NOW, NULL), OK);
	for (int i = 0; i < 3; i++) {
		if (i == 2)
			assert_int_equal(rotate(t, &ignored), OK);
		kid_in_state(t, was[i], kid);
		kid_in_state(t, "next", next);
		assert_int_equal(revoke(t, kid, active), OK);
		k = load(t, NOW);
		assert_null(keyring_find(k, str_c(kid)));
		assert_string_equal(keyring_signer(k)->kid, active);
		if (i == 0)
			assert_string_equal(active, next);
		keyring_unref(k);
		kid_in_state(t, "next", next);
		assert_string_not_equal(next, kid);
		assert_int_equal(revoke(t, kid, active), E_CONFLICT); /* is already */
	}
	assert_int_equal(revoke(t, "nobody", active), E_NOT_FOUND);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM signing_key WHERE state = 'revoked'"
	    " AND private_sealed IS NULL"), 3);
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
		T(rotation_by_schedule), T(the_lead_is_waited_for), T(one_replica_rotates), T(revocation),
		T(another_master_key_is_named), T(sealed_to_its_kid),
	};

#define R(f) cmocka_unit_test_setup_teardown(f, iam_setup_rqlite, iam_teardown)
	const struct CMUnitTest on_rqlite[] = {
		R(first_start_makes_keys_once), R(replicas_that_start_at_once_agree), R(rotation),
		R(one_replica_rotates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	    cmocka_run_group_tests(on_rqlite, iam_cluster_up, iam_cluster_down);
}
