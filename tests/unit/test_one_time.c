#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "iam/email.h"
#include "iam/one_time.h"
#include "iam_fixture.h"

#define MINUTE (60 * CLOCK_SEC)

static void issue(struct iam *t, enum one_time_kind k, struct id user, const char *fold, int64_t now,
    char token[TOKEN_LEN])
{
	struct write w;

	write_init(&w, &t->x.arena, now);
	one_time_add(&w, k, user, str_c(fold), token);
	assert_int_equal(iam_commit(t, &w), OK);
}

static enum err find(struct iam *t, enum one_time_kind k, const char *token, int64_t now,
    struct one_time *out)
{
	return one_time_find(t->x.store, k, str_c(token), now, out, NULL);
}

static enum err use(struct iam *t, const struct one_time *o, int64_t now)
{
	struct write w;

	write_init(&w, &t->x.arena, now);
	one_time_use(&w, o);
	return iam_commit(t, &w);
}

static void a_token_is_used_once(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org");
	char token[TOKEN_LEN];
	struct one_time o;

	issue(t, ONE_TIME_VERIFY, ann, "ann@x.org", NOW, token);
	assert_int_equal(find(t, ONE_TIME_VERIFY, token, NOW, &o), OK);
	assert_true(id_eq(o.user, ann));
	assert_int_equal(use(t, &o, NOW), OK);
	assert_int_equal(use(t, &o, NOW), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_VERIFY, token, NOW, &o), E_TOKEN_INVALID);
}

static void a_token_is_for_its_kind_only(void **state)
{
	struct iam *t = *state;
	char token[TOKEN_LEN], other[TOKEN_LEN];
	struct one_time o;

	issue(t, ONE_TIME_VERIFY, iam_user(t, "ann@x.org"), "ann@x.org", NOW, token);
	assert_int_equal(find(t, ONE_TIME_RESET, token, NOW, &o), E_TOKEN_INVALID);
	memcpy(other, token, sizeof other);
	other[3] = other[3] == 'A' ? 'B' : 'A';
	assert_int_equal(find(t, ONE_TIME_VERIFY, other, NOW, &o), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_VERIFY, "", NOW, &o), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_VERIFY, "x", NOW, &o), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_VERIFY, token, NOW, &o), OK);
}

static void a_token_expires(void **state)
{
	static const struct {
		enum one_time_kind k;
		int64_t life;
	} kinds[] = { { ONE_TIME_VERIFY, 24 * 60 * MINUTE }, { ONE_TIME_RESET, 30 * MINUTE } };
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org");
	char token[TOKEN_LEN];
	struct one_time o;

	for (size_t i = 0; i < 2; i++) {
		issue(t, kinds[i].k, ann, "ann@x.org", NOW, token);
		assert_int_equal(find(t, kinds[i].k, token, NOW + kinds[i].life, &o), E_TOKEN_INVALID);
		assert_int_equal(find(t, kinds[i].k, token, NOW + kinds[i].life - 1, &o), OK);
		assert_int_equal(use(t, &o, NOW + kinds[i].life), E_TOKEN_INVALID);
		assert_int_equal(use(t, &o, NOW + kinds[i].life - 1), OK);
	}
}

static void a_newer_token_ends_the_older_of_its_kind(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org"), bob = iam_user(t, "bob@x.org");
	char first[TOKEN_LEN], verify[TOKEN_LEN], bobs[TOKEN_LEN], second[TOKEN_LEN];
	struct one_time o;

	issue(t, ONE_TIME_RESET, ann, "ann@x.org", NOW, first);
	issue(t, ONE_TIME_VERIFY, ann, "ann@x.org", NOW, verify);
	issue(t, ONE_TIME_RESET, bob, "bob@x.org", NOW, bobs);
	assert_int_equal(find(t, ONE_TIME_RESET, first, NOW, &o), OK);
	issue(t, ONE_TIME_RESET, ann, "ann@x.org", NOW, second);
	assert_int_equal(use(t, &o, NOW), E_TOKEN_INVALID); /* found before, too late now */
	assert_int_equal(find(t, ONE_TIME_RESET, first, NOW, &o), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_RESET, second, NOW, &o), OK);
	assert_int_equal(find(t, ONE_TIME_VERIFY, verify, NOW, &o), OK);
	assert_int_equal(find(t, ONE_TIME_RESET, bobs, NOW, &o), OK);
}

/* What the mail proved no longer holds. */
static void a_token_is_void_when_the_address_is_another(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org");
	struct user_patch p = { .set_email = true, .email = STR("ANN@y.org"), .fold = STR("ann@y.org") };
	char token[TOKEN_LEN];
	struct one_time o;
	struct write w;

	issue(t, ONE_TIME_RESET, ann, "ann@x.org", NOW, token);
	assert_int_equal(find(t, ONE_TIME_RESET, token, NOW, &o), OK);
	iam_begin(t, &w);
	user_update(&w, ann, 0, &p);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(use(t, &o, NOW), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_RESET, token, NOW, &o), E_TOKEN_INVALID);
}

static void a_token_is_void_without_an_enabled_user(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org"), bob = iam_user(t, "bob@x.org");
	struct user_patch off = { .set_disabled = true, .disabled = true };
	char anns[TOKEN_LEN], bobs[TOKEN_LEN];
	struct one_time a, b;
	struct write w;

	iam_assign(t, iam_user(t, "root@x.org"), "*", "platform-admin");
	issue(t, ONE_TIME_RESET, ann, "ann@x.org", NOW, anns);
	issue(t, ONE_TIME_RESET, bob, "bob@x.org", NOW, bobs);
	assert_int_equal(find(t, ONE_TIME_RESET, anns, NOW, &a), OK);
	assert_int_equal(find(t, ONE_TIME_RESET, bobs, NOW, &b), OK);
	iam_begin(t, &w);
	user_update(&w, ann, 0, &off);
	user_delete(&w, bob, 0);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(use(t, &a, NOW), E_TOKEN_INVALID);
	assert_int_equal(use(t, &b, NOW), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_RESET, anns, NOW, &a), E_TOKEN_INVALID);
}

static void all_tokens_of_a_user_can_be_ended(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org"), bob = iam_user(t, "bob@x.org");
	char reset[TOKEN_LEN], verify[TOKEN_LEN], bobs[TOKEN_LEN];
	struct one_time o;
	struct write w;

	issue(t, ONE_TIME_RESET, ann, "ann@x.org", NOW, reset);
	issue(t, ONE_TIME_VERIFY, ann, "ann@x.org", NOW, verify);
	issue(t, ONE_TIME_RESET, bob, "bob@x.org", NOW, bobs);
	iam_begin(t, &w);
	one_time_end_all(&w, ann);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(find(t, ONE_TIME_RESET, reset, NOW, &o), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_VERIFY, verify, NOW, &o), E_TOKEN_INVALID);
	assert_int_equal(find(t, ONE_TIME_RESET, bobs, NOW, &o), OK);
}

static void a_use_that_fails_with_its_batch_is_no_use(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org");
	char token[TOKEN_LEN];
	struct one_time o;
	struct write w;

	issue(t, ONE_TIME_RESET, ann, "ann@x.org", NOW, token);
	assert_int_equal(find(t, ONE_TIME_RESET, token, NOW, &o), OK);
	iam_begin(t, &w);
	one_time_use(&w, &o);
	user_set_password(&w, ann, STR("not the hash"), STR("new"), NULL);
	assert_int_equal(iam_commit(t, &w), E_INVALID_CREDENTIALS);
	assert_int_equal(use(t, &o, NOW), OK);
}

static void the_store_holds_no_token_and_drops_expired_ones(void **state)
{
	struct iam *t = *state;
	char token[TOKEN_LEN], email[32];

	for (int i = 0; i < 150; i++) {
		snprintf(email, sizeof email, "u%d@x.org", i);
		issue(t, ONE_TIME_RESET, iam_user(t, email), email, NOW, token);
	}
	assert_int_equal(iam_count(t, "SELECT count(*) FROM one_time_token WHERE length(hash) = 32"), 150);
	assert_int_equal(fixture_int(t->x.store, (struct store_stmt)STMT(
	    "SELECT count(*) FROM one_time_token WHERE hash = ? OR instr(hash, ?)",
	    SV_BLOB(str_c(token)), SV_BLOB(str_c(token)))), 0);
	issue(t, ONE_TIME_RESET, iam_user(t, "a@x.org"), "a@x.org", NOW + 30 * MINUTE, token);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM one_time_token"), 51);
	issue(t, ONE_TIME_RESET, iam_user(t, "b@x.org"), "b@x.org", NOW + 30 * MINUTE, token);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM one_time_token"), 2);
}

/* ---- reset x reset -------------------------------------------------------------------------- */

#define RACERS 16
#define ROUNDS 200

struct race {
	struct iam *t;
	char token[TOKEN_LEN];
	enum err e[RACERS];
};

/* As the handler does it: find, hash (not here), use and set the password in one batch. */
static void reset(void *arg, int i)
{
	struct race *r = arg;
	struct one_time o;
	struct arena a;
	struct write w;
	char phc[16];

	snprintf(phc, sizeof phc, "by %d", i);
	arena_init(&a, 1 << 16);
	r->e[i] = one_time_find(r->t->x.store, ONE_TIME_RESET, str_c(r->token), NOW, &o, NULL);
	if (r->e[i] == OK) {
		write_init(&w, &a, NOW);
		one_time_use(&w, &o);
		user_set_password(&w, o.user, STR_NONE, str_c(phc), NULL);
		r->e[i] = write_run(&w, r->t->x.store, NULL);
	}
	arena_release(&a);
}

static void one_of_many_resets_wins(void **state)
{
	struct race r = { .t = *state };
	struct id ann = iam_user(r.t, "ann@x.org");
	struct user u;

	for (int round = 0; round < ROUNDS; round++) {
		int winner = -1;
		char phc[16];

		issue(r.t, ONE_TIME_RESET, ann, "ann@x.org", NOW, r.token);
		iam_together(RACERS, reset, &r);
		for (int i = 0; i < RACERS; i++) {
			assert_true(r.e[i] == OK || r.e[i] == E_TOKEN_INVALID);
			assert_true(r.e[i] != OK || winner < 0);
			if (r.e[i] == OK)
				winner = i;
		}
		assert_true(winner >= 0);
		snprintf(phc, sizeof phc, "by %d", winner);
		assert_int_equal(user_by_id(r.t->x.store, STORE_LINEAR, ann, &r.t->x.arena, &u, NULL), OK);
		assert_true(str_eq(u.phc, str_c(phc)));
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_token_is_used_once),
		T(a_token_is_for_its_kind_only),
		T(a_token_expires),
		T(a_newer_token_ends_the_older_of_its_kind),
		T(a_token_is_void_when_the_address_is_another),
		T(a_token_is_void_without_an_enabled_user),
		T(all_tokens_of_a_user_can_be_ended),
		T(a_use_that_fails_with_its_batch_is_no_use),
		T(the_store_holds_no_token_and_drops_expired_ones),
		T(one_of_many_resets_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
