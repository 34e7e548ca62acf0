#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "iam/session.h"
#include "iam_fixture.h"

static const struct session_limits strict = { .idle = 100 * CLOCK_SEC, .max_age = 1000 * CLOCK_SEC };
static const struct session_limits graceful = { .idle = 100 * CLOCK_SEC,
	.max_age = 1000 * CLOCK_SEC, .grace = 10 * CLOCK_SEC };

struct signed_in {
	struct id user, session;
	char token[REFRESH_TOKEN_LEN];
};

static struct signed_in sign_in(struct iam *t, const char *email)
{
	struct signed_in s = { .user = iam_user(t, email), .session = id_new(NOW) };
	struct session row = { .id = s.session, .principal = s.user, .amr = STR("pwd"),
		.auth_time = NOW };
	struct write w;

	iam_begin(t, &w);
	session_insert(&w, t->seal, &strict, STR("phc"), &row);
	assert_int_equal(iam_commit(t, &w), OK);
	refresh_token_make(t->seal, s.session, 0, s.token);
	return s;
}

static enum err refresh(struct iam *t, const struct session_limits *l, const char *token,
    int64_t now, char next[REFRESH_TOKEN_LEN])
{
	struct session s;
	bool ended;
	enum err e = session_rotate(t->x.store, t->seal, l, str_c(token), now, &t->x.arena, &s, next,
	    &ended, NULL);

	assert_int_equal(ended, e == E_REFRESH_REUSED);
	return e;
}

static void rotates(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	char one[REFRESH_TOKEN_LEN], two[REFRESH_TOKEN_LEN];

	assert_int_equal(refresh(t, &strict, s.token, NOW, one), OK);
	assert_int_equal(refresh(t, &strict, one, NOW, two), OK);
	assert_string_not_equal(one, two);
	assert_int_equal(iam_count(t, "SELECT counter FROM session"), 2);
}

static void replay_ends_that_session_alone(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org"), other = sign_in(t, "b@x.org");
	char one[REFRESH_TOKEN_LEN], x[REFRESH_TOKEN_LEN];

	assert_int_equal(refresh(t, &strict, s.token, NOW, one), OK);
	assert_int_equal(refresh(t, &strict, s.token, NOW, x), E_REFRESH_REUSED);
	assert_int_equal(refresh(t, &strict, one, NOW, x), E_REFRESH_INVALID);
	assert_int_equal(refresh(t, &strict, other.token, NOW, x), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM session WHERE end_reason = 'reuse'"), 1);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM change WHERE kind = 'session'"), 1);
}

static void grace_gives_the_same_successor(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	char one[REFRESH_TOKEN_LEN], again[REFRESH_TOKEN_LEN], two[REFRESH_TOKEN_LEN];

	assert_int_equal(refresh(t, &graceful, s.token, NOW, one), OK);
	assert_int_equal(refresh(t, &graceful, s.token, NOW + 9 * CLOCK_SEC, again), OK);
	assert_string_equal(one, again);
	assert_int_equal(iam_count(t, "SELECT counter FROM session"), 1);
	assert_int_equal(refresh(t, &graceful, one, NOW + 9 * CLOCK_SEC, two), OK);
	/* two steps back is reuse, however soon */
	assert_int_equal(refresh(t, &graceful, s.token, NOW + 9 * CLOCK_SEC, again), E_REFRESH_REUSED);
}

static void grace_ends(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	char one[REFRESH_TOKEN_LEN], again[REFRESH_TOKEN_LEN];

	assert_int_equal(refresh(t, &graceful, s.token, NOW, one), OK);
	assert_int_equal(refresh(t, &graceful, s.token, NOW + 10 * CLOCK_SEC, again),
	    E_REFRESH_REUSED);
}

static void limits_hold(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org"), idle = sign_in(t, "b@x.org");
	char token[REFRESH_TOKEN_LEN];
	int64_t now = NOW;

	assert_int_equal(refresh(t, &strict, idle.token, NOW + 100 * CLOCK_SEC, token),
	    E_REFRESH_INVALID);
	memcpy(token, s.token, sizeof token);
	for (int i = 0; i < 11; i++) { /* kept busy, it still ends at its absolute limit */
		char next[REFRESH_TOKEN_LEN];

		now += 90 * CLOCK_SEC;
		assert_int_equal(refresh(t, &strict, token, now, next), OK);
		memcpy(token, next, sizeof token);
	}
	assert_int_equal(refresh(t, &strict, token, NOW + 1000 * CLOCK_SEC, token), E_REFRESH_INVALID);
}

static void forged_tokens_are_invalid(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	char ahead[REFRESH_TOKEN_LEN], x[REFRESH_TOKEN_LEN];

	refresh_token_make(t->seal, s.session, 7, ahead); /* ours, but not yet given out */
	assert_int_equal(refresh(t, &strict, ahead, NOW, x), E_REFRESH_INVALID);
	refresh_token_make(t->seal, id_new(NOW), 0, ahead);
	assert_int_equal(refresh(t, &strict, ahead, NOW, x), E_REFRESH_INVALID);
	s.token[10] = s.token[10] == 'A' ? 'B' : 'A';
	assert_int_equal(refresh(t, &strict, s.token, NOW, x), E_REFRESH_INVALID);
	assert_int_equal(refresh(t, &strict, "", NOW, x), E_REFRESH_INVALID);
}

static void disabled_user_cannot_refresh(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	char x[REFRESH_TOKEN_LEN];

	fixture_exec(t->x.store, (struct store_stmt)STMT("UPDATE user SET disabled = 1"));
	assert_int_equal(refresh(t, &strict, s.token, NOW, x), E_REFRESH_INVALID);
}

static void password_changed_meanwhile(void **state)
{
	struct iam *t = *state;
	struct id user = iam_user(t, "a@x.org");
	struct session row = { .id = id_new(NOW), .principal = user, .amr = STR("pwd"),
		.auth_time = NOW };
	struct write w;

	iam_begin(t, &w);
	session_insert(&w, t->seal, &strict, STR("an older hash"), &row);
	assert_int_equal(iam_commit(t, &w), E_INVALID_CREDENTIALS);
	fixture_exec(t->x.store, (struct store_stmt)STMT("UPDATE user SET disabled = 1"));
	iam_begin(t, &w);
	session_insert(&w, t->seal, &strict, STR("phc"), &row);
	assert_int_equal(iam_commit(t, &w), E_INVALID_CREDENTIALS);
}

static void ends_all_but_one(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org"), other = sign_in(t, "b@x.org");
	struct session row = { .id = id_new(NOW), .principal = s.user, .amr = STR("pwd"),
		.auth_time = NOW };
	struct session_filter q = { .principal = s.user, .now = NOW, .limit = 10 };
	struct session *list;
	struct write w;
	size_t n;

	iam_begin(t, &w);
	session_insert(&w, t->seal, &strict, STR_NONE, &row);
	assert_int_equal(iam_commit(t, &w), OK);
	iam_begin(t, &w);
	session_end_all(&w, s.user, &s.session, SESSION_PASSWORD);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM change WHERE kind = 'session'"), 1);
	assert_int_equal(session_list(t->x.store, &q, &t->x.arena, &list, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_true(id_eq(list[0].id, s.session));
	iam_begin(t, &w); /* of somebody else: not found */
	session_end(&w, other.session, s.user, SESSION_SIGNOUT);
	assert_int_equal(iam_commit(t, &w), E_NOT_FOUND);
}

/* ---- refresh x refresh ---------------------------------------------------------------------- */

struct race {
	struct iam *t;
	const struct session_limits *limits;
	const char *token;
	enum err e[64];
	char next[64][REFRESH_TOKEN_LEN];
};

static void refresh_one(void *arg, int i)
{
	struct race *r = arg;
	struct session s;
	struct arena a;
	bool ended;

	arena_init(&a, 1 << 16);
	r->e[i] = session_rotate(iam_store(r->t, i), r->t->seal, r->limits, str_c(r->token), NOW, &a, &s,
	    r->next[i], &ended, NULL);
	arena_release(&a);
}

static void one_of_many_wins(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	struct race r = { .t = t, .limits = &strict, .token = s.token };
	int ok = 0;

	iam_together(32, refresh_one, &r);
	for (int i = 0; i < 32; i++) {
		ok += r.e[i] == OK;
		assert_true(r.e[i] == OK || r.e[i] == E_REFRESH_REUSED || r.e[i] == E_REFRESH_INVALID);
	}
	assert_int_equal(ok, 1);
	assert_int_equal(iam_count(t, "SELECT counter FROM session"), 1);
}

static void with_grace_all_get_the_same(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	struct race r = { .t = t, .limits = &graceful, .token = s.token };

	iam_together(32, refresh_one, &r);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(r.e[i], OK);
		assert_string_equal(r.next[i], r.next[0]);
	}
	assert_int_equal(iam_count(t, "SELECT counter FROM session"), 1);
}

/* The n-th call of the store fails, for every n: nothing is handed out that is not stored. */
static void store_fails_anywhere(void **state)
{
	struct iam *t = *state;
	struct signed_in s = sign_in(t, "a@x.org");
	char token[REFRESH_TOKEN_LEN], next[REFRESH_TOKEN_LEN];
	long n = 0;

	memcpy(token, s.token, sizeof token);
	for (;;) {
		enum err e;

		store_fail_after(t->x.store, ++n);
		e = refresh(t, &strict, token, NOW, next);
		if (!store_fail_after(t->x.store, 0))
			break;
		assert_int_equal(e, E_STORE_UNAVAILABLE);
	}
	assert_int_equal(n, 2); /* one write */
	assert_int_equal(iam_count(t, "SELECT counter FROM session"), 1);
}

static void trims_what_is_over(void **state)
{
	struct iam *t = *state;

	sign_in(t, "a@x.org");
	assert_int_equal(session_trim(t->x.store, NOW, NOW, 10, NULL), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM session"), 1);
	assert_int_equal(session_trim(t->x.store, NOW, NOW + 1001 * CLOCK_SEC, 10, NULL), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM session"), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)
	const struct CMUnitTest tests[] = {
		T(rotates), T(replay_ends_that_session_alone), T(grace_gives_the_same_successor),
		T(grace_ends), T(limits_hold), T(forged_tokens_are_invalid),
		T(disabled_user_cannot_refresh), T(password_changed_meanwhile), T(ends_all_but_one),
		T(one_of_many_wins), T(with_grace_all_get_the_same), T(store_fails_anywhere),
		T(trims_what_is_over),
	};

#define R(f) cmocka_unit_test_setup_teardown(f, iam_setup_rqlite, iam_teardown)
	const struct CMUnitTest on_rqlite[] = {
		R(rotates), R(replay_ends_that_session_alone), R(grace_gives_the_same_successor),
		R(password_changed_meanwhile), R(ends_all_but_one), R(one_of_many_wins),
		R(with_grace_all_get_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	    cmocka_run_group_tests(on_rqlite, iam_cluster_up, iam_cluster_down);
}
