#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "authn_fixture.h"
#include "base/clock.h"
#include "iam/principal.h"

/* ---- access tokens --------------------------------------------------------------------------- */

static void test_access_token(void **state)
{
	struct world *w = *state;
	struct jwt_access claims = claims_of(w);
	char t[4096];
	struct asked c;

	asked_init(w, &c);
	assert_int_equal(asked_start(w, &c, bearer(w, &claims, t)), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(c.e, OK);
	assert_int_equal(c.r.auth.method, AUTH_ACCESS_TOKEN);
	assert_true(id_eq(c.r.auth.principal->id, w->ada));
	assert_true(c.r.auth.has_session);
	assert_true(id_eq(c.r.auth.session, w->sid));
	assert_int_equal(c.r.auth.expires_at, claims.exp * CLOCK_SEC);
	assert_int_equal(c.r.auth.auth_time, claims.auth_time * CLOCK_SEC);
	assert_true(str_eqc(c.r.auth.amr, "pwd otp"));
	assert_null(c.r.auth.scopes.p);
	asked_end(&c);
	/* now the worker knows it: no job, no signature */
	asked_init(w, &c);
	assert_int_equal(asked_start(w, &c, t), OK);
	assert_true(str_eqc(c.r.auth.principal->name, "Ada@example.com"));
	asked_end(&c);
	/* the scheme is case-insensitive */
	memcpy(t, "bEARER", 6);
	assert_int_equal(ask(w, t, NULL), OK);
}

static void test_nobody(void **state)
{
	struct world *w = *state;
	struct asked c;

	asked_init(w, &c);
	assert_int_equal(asked_start(w, &c, NULL), OK);
	assert_null(c.r.auth.principal);
	assert_int_equal(c.r.auth.method, AUTH_NONE);
	asked_end(&c);
	assert_int_equal(failures(w, "none", "missing"), 1);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = { "", "Bearer", "Bearer ", "Basic", "Digest abc", "Bearer a.b",
		"Bearer a.b.c.d", "Bearer ....", "gwk_x", "Bearer gwk_", "Basic !!!!", "Basic Zm9v",
		"Bearer eyJhbGciOiJub25lIn0.e30.", "Negotiate" };
	struct world *w = *state;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (ask(w, bad[i], NULL) != E_UNAUTHENTICATED)
			fail_msg("\"%s\" was not refused", bad[i]);
}

static void test_two_headers(void **state)
{
	struct world *w = *state;
	struct jwt_access claims = claims_of(w);
	char t[4096];
	struct asked c;

	asked_init(w, &c);
	request_add_header(&c.r, STR("authorization"), str_c(bearer(w, &claims, t)));
	assert_int_equal(asked_start(w, &c, t), E_UNAUTHENTICATED);
	assert_null(c.r.auth.principal);
	asked_end(&c);
}

/* One claim or the other wrong; always the same answer, each counted as what it is. */
static void test_claims(void **state)
{
	struct world *w = *state;
	struct jwt_access c;
	char t[4096];

	c = claims_of(w), c.exp = w->now / CLOCK_SEC;
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "expired"), 1);
	c = claims_of(w), c.iss = STR("https://other.example");
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	c = claims_of(w), c.aud[0] = STR("other");
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	c = claims_of(w), c.iat = w->now / CLOCK_SEC + 60;
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "unknown"), 3);
	c = claims_of(w), c.sub = id_new(w->now);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "unknown"), 4);
}

/* A session that is another's, ended, unknown, or none at all. */
static void test_sessions(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];

	c.sub = w->robot;
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	c = claims_of(w), c.sid = id_new(w->now);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "revoked"), 2);
	c = claims_of(w), memset(&c.sid, 0, sizeof c.sid);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "refused"), 1);
	c.sub = w->robot; /* service accounts have none */
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
}

static void test_ended_session_refuses_at_once(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];
	bool at_once;

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	EXEC(w, "UPDATE session SET ended_at = 5 WHERE id = ?", SV_ID(&w->sid));
	principal_cache_drop_session(w->principals, w->sid, change(w, CHANGE_SESSION, w->sid));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	/* and stays so, from the cache */
	assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
	assert_true(at_once);
}

static void test_disabled_principal(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	EXEC(w, "UPDATE user SET disabled = 1 WHERE id = ?", SV_ID(&w->ada));
	principal_cache_drop(w->principals, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "disabled"), 1);
	EXEC(w, "UPDATE user SET disabled = 0 WHERE id = ?", SV_ID(&w->ada));
	principal_cache_drop(w->principals, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	assert_int_equal(ask(w, t, NULL), OK);
	EXEC(w, "DELETE FROM user WHERE id = ?", SV_ID(&w->ada));
	principal_cache_drop(w->principals, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
}

/* A change of somebody else moves the epoch: looked up again, from the principal cache, without a
 * job. */
static void test_other_changes_cost_a_lookup(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];
	bool at_once;

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	principal_cache_drop(w->principals, w->robot, change(w, CHANGE_PRINCIPAL, w->robot));
	assert_int_equal(ask(w, t, &at_once), OK);
	assert_true(at_once);
}

static void test_expiry_between_uses(void **state)
{
	struct world *w = *state;
	struct jwt_access c;
	char t[4096];
	bool at_once;

	tick_past(w, loop_wall(w->lane.loop));
	w->now = loop_wall(w->lane.loop);
	set_keys(w, new_keys(w->now + 30 * CLOCK_MS));
	c = claims_of(w);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	tick_past(w, w->now + 30 * CLOCK_MS);
	assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
	assert_true(at_once);
	assert_int_equal(failures(w, "access_token", "expired"), 1);
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
}

static void test_session_limit_between_uses(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	int64_t limit = clock_wall() + 200 * CLOCK_MS;
	char t[4096];

	EXEC(w, "UPDATE session SET expires_at = ? WHERE id = ?", SV_INT(limit), SV_ID(&w->sid));
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	tick_past(w, limit);
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "revoked"), 1);
}

static void test_keys_that_go(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096], next[4096];

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	set_keys(w, new_keys(0));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "unknown"), 1);
	assert_int_equal(ask(w, bearer(w, &c, next), NULL), OK);
}

/* Keys that another replica has made a moment ago: a token of them is asked about, not refused. */
static void test_keys_that_come(void **state)
{
	struct world *w = *state;
	struct keyring *old = keyring_ref(w->keys), *new = new_keys(0);
	struct jwt_access c = claims_of(w);
	char t[4096];
	bool at_once;

	set_keys(w, keyring_ref(new));
	bearer(w, &c, t);
	set_keys(w, old);
	w->keys_to_come = new;
	assert_int_equal(ask(w, t, &at_once), OK);
	assert_false(at_once);
	assert_int_equal(w->caught_up, 1);
	assert_int_equal(failures(w, "access_token", "unknown"), 0);
}

/* Whoever makes keys up costs the lane a few questions a second; what is wrong besides, none. */
static void test_keys_that_nobody_has(void **state)
{
	struct world *w = *state;
	struct keyring *ours = keyring_ref(w->keys);
	struct jwt_access c = claims_of(w);
	char t[4096], expired[4096];

	set_keys(w, new_keys(0));
	bearer(w, &c, t);
	c.exp = w->now / CLOCK_SEC - 1;
	bearer(w, &c, expired);
	set_keys(w, ours);
	assert_int_equal(ask(w, expired, NULL), E_UNAUTHENTICATED);
	assert_int_equal(w->caught_up, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	assert_in_range(w->caught_up, 1, 4 * (1 + (unsigned)((loop_wall(w->lane.loop) - w->now) / CLOCK_SEC)));
	assert_int_equal(failures(w, "access_token", "unknown"), 100);
}

/* Puts another character into the signature, at most 40 before its end. */
static void spoil(char *t, unsigned i)
{
	char *c = t + strlen(t) - 2 - i % 40;

	*c = *c == 'A' ? 'B' : 'A';
}

static void test_bad_signature(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096], good[4096];
	bool at_once;

	bearer(w, &c, good);
	memcpy(t, good, sizeof t);
	spoil(t, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
		assert_true(at_once);
	}
	assert_int_equal(failures(w, "access_token", "signature"), 3);
	assert_int_equal(ask(w, good, NULL), OK);
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
}

/* Past so many bad signatures within a second, unknown tokens are verified on the lane; known
 * ones are as fast as ever, good new ones still get in. */
static void test_flood(void **state)
{
	struct world *w = *state;
	struct jwt_access claims = claims_of(w);
	char known[4096], good[4096], t[4096];
	bool at_once = true;
	unsigned n;

	assert_int_equal(ask(w, bearer(w, &claims, known), NULL), OK);
	for (n = 0; n < 1000 && at_once; n++) {
		claims.jti = id_new(w->now);
		bearer(w, &claims, t);
		spoil(t, n);
		assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
	}
	assert_true(n >= 200 && n < 1000);
	assert_int_equal(ask(w, known, &at_once), OK);
	assert_true(at_once);
	assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED); /* remembered as bad */
	assert_true(at_once);
	claims.jti = id_new(w->now);
	assert_int_equal(ask(w, bearer(w, &claims, good), &at_once), OK);
	assert_false(at_once);
	assert_int_equal(ask(w, good, &at_once), OK);
	assert_true(at_once);
	assert_int_equal(failures(w, "access_token", "signature"), n + 1);
}

static void test_store_away(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];
	enum err e;

	EXEC(w, "ALTER TABLE session RENAME TO session_away");
	e = ask(w, bearer(w, &c, t), NULL);
	assert_true(e != OK && e != E_UNAUTHENTICATED);
	EXEC(w, "ALTER TABLE session_away RENAME TO session");
	assert_int_equal(ask(w, t, NULL), OK);
}

static void test_no_keys_yet(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];

	bearer(w, &c, t);
	authn_set_keys_take(w->authn, NULL);
	assert_int_equal(ask(w, t, NULL), E_STATE_STALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, authn_setup, authn_teardown)
		T(test_access_token), T(test_nobody), T(test_malformed), T(test_two_headers),
		T(test_claims), T(test_sessions), T(test_ended_session_refuses_at_once),
		T(test_disabled_principal), T(test_other_changes_cost_a_lookup),
		T(test_expiry_between_uses), T(test_session_limit_between_uses), T(test_keys_that_go),
		T(test_keys_that_come), T(test_keys_that_nobody_has),
		T(test_bad_signature), T(test_flood), T(test_store_away), T(test_no_keys_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
