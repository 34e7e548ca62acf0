#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "iam/mfa.h"
#include "iam/session.h"
#include "iam_fixture.h"

#define MINUTE (60 * CLOCK_SEC)

static const unsigned char secret[TOTP_SECRET] = "12345678901234567890";

static struct str code_of(int64_t at, char out[TOTP_DIGITS + 1])
{
	assert_int_equal(totp_code(secret, at / CLOCK_SEC / TOTP_PERIOD, out), OK);
	return str_c(out);
}

static struct mfa read_mfa(struct iam *t, struct id user)
{
	struct mfa m;

	assert_int_equal(mfa_read(t->x.store, user, &t->x.arena, &m, NULL), OK);
	return m;
}

/* Confirms an authenticator; its codes of NOW and later are unused. */
static void enrol(struct iam *t, struct id user, char codes[RECOVERY_CODES][RECOVERY_CODE_LEN])
{
	char code[TOTP_DIGITS + 1];
	struct write w;
	struct mfa m;

	iam_begin(t, &w);
	assert_int_equal(mfa_enroll(&w, t->seal, user, secret), OK);
	assert_int_equal(iam_commit(t, &w), OK);
	m = read_mfa(t, user);
	assert_true(m.pending && !m.confirmed);
	write_init(&w, &t->x.arena, NOW);
	assert_int_equal(mfa_confirm(&w, t->seal, &m, code_of(NOW - 30 * CLOCK_SEC, code)), OK);
	assert_int_equal(mfa_recovery_codes(&w, t->seal, user, codes), OK);
	assert_int_equal(iam_commit(t, &w), OK);
}

static struct id enrolled(struct iam *t, const char *email, char codes[RECOVERY_CODES][RECOVERY_CODE_LEN])
{
	struct id user = iam_user(t, email);

	enrol(t, user, codes);
	return user;
}

static void challenge(struct iam *t, struct id user, int64_t now, char token[TOKEN_LEN])
{
	struct write w;

	write_init(&w, &t->x.arena, now);
	mfa_challenge_add(&w, user, STR("phc"), STR("pwd"), token);
	assert_int_equal(iam_commit(t, &w), OK);
}

static enum err find(struct iam *t, const char *token, int64_t now, struct mfa_challenge *c)
{
	return mfa_challenge_find(t->x.store, str_c(token), now, &t->x.arena, c, NULL);
}

static enum err count(struct iam *t, const struct mfa_challenge *c, int64_t now)
{
	struct write w;

	write_init(&w, &t->x.arena, now);
	mfa_challenge_count(&w, c);
	return iam_commit(t, &w);
}

static void a_code_is_accepted_once_and_none_before_it(void **state)
{
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN], code[TOTP_DIGITS + 1];
	struct iam *t = *state;
	struct id ann = enrolled(t, "ann@x.org", codes);
	struct mfa m = read_mfa(t, ann);
	struct write first, second;

	assert_true(m.confirmed && !m.pending);
	write_init(&first, &t->x.arena, NOW);
	assert_int_equal(mfa_use_code(&first, t->seal, &m, code_of(NOW, code)), OK);
	write_init(&second, &t->x.arena, NOW);
	assert_int_equal(mfa_use_code(&second, t->seal, &m, str_c(code)), OK); /* read before, too */
	assert_int_equal(iam_commit(t, &first), OK);
	assert_int_equal(iam_commit(t, &second), E_MFA_INVALID);
	m = read_mfa(t, ann);
	iam_begin(t, &first);
	assert_int_equal(mfa_use_code(&first, t->seal, &m, str_c(code)), E_MFA_INVALID);
	assert_int_equal(mfa_use_code(&first, t->seal, &m, code_of(NOW - 30 * CLOCK_SEC, code)),
	    E_MFA_INVALID);
}

static void a_secret_is_sealed_for_its_user(void **state)
{
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN], code[TOTP_DIGITS + 1];
	struct iam *t = *state;
	struct id ann = enrolled(t, "ann@x.org", codes);
	struct mfa m = read_mfa(t, ann);
	struct write w;

	assert_int_equal(fixture_int(t->x.store, (struct store_stmt)STMT(
	    "SELECT count(*) FROM mfa_totp WHERE instr(secret, ?)",
	    SV_BLOB(str_n((const char *)secret, TOTP_SECRET)))), 0);
	m.user = iam_user(t, "bob@x.org");
	write_init(&w, &t->x.arena, NOW);
	assert_int_equal(mfa_use_code(&w, t->seal, &m, code_of(NOW, code)), E_INTERNAL);
}

static void a_recovery_code_is_used_once_by_its_user(void **state)
{
	char anns[RECOVERY_CODES][RECOVERY_CODE_LEN], bobs[RECOVERY_CODES][RECOVERY_CODE_LEN];
	struct iam *t = *state;
	struct id ann = enrolled(t, "ann@x.org", anns), bob = enrolled(t, "bob@x.org", bobs);
	static const enum err want[] = { E_MFA_INVALID, OK, E_MFA_INVALID };
	const struct id who[] = { bob, ann, ann };
	struct write w;

	for (size_t i = 0; i < 3; i++) {
		iam_begin(t, &w);
		assert_int_equal(mfa_use_recovery_code(&w, t->seal, who[i], str_c(anns[0])), OK);
		assert_int_equal(iam_commit(t, &w), want[i]);
	}
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mfa_recovery_code"), 19);
}

static void a_challenge_expires(void **state)
{
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN], token[TOKEN_LEN];
	struct iam *t = *state;
	struct id ann = enrolled(t, "ann@x.org", codes);
	struct mfa_challenge c;

	challenge(t, ann, NOW, token);
	assert_int_equal(find(t, token, NOW + 5 * MINUTE, &c), E_MFA_INVALID);
	assert_int_equal(find(t, token, NOW + 5 * MINUTE - 1, &c), OK);
	assert_true(id_eq(c.user, ann) && str_eq(c.amr, STR("pwd")));
	assert_int_equal(count(t, &c, NOW + 5 * MINUTE), E_MFA_INVALID);
	assert_int_equal(count(t, &c, NOW + 5 * MINUTE - 1), OK);
	challenge(t, ann, NOW + 5 * MINUTE, token);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mfa_challenge"), 1);
}

static void answers_are_counted_for_the_challenge_and_the_user(void **state)
{
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN], token[TOKEN_LEN];
	struct iam *t = *state;
	struct id ann = enrolled(t, "ann@x.org", codes);
	struct mfa_challenge c;

	for (int k = 0; k < MFA_USER_TRIES / MFA_CHALLENGE_TRIES; k++) {
		challenge(t, ann, NOW, token);
		assert_int_equal(find(t, token, NOW, &c), OK);
		for (int i = 0; i < MFA_CHALLENGE_TRIES; i++)
			assert_int_equal(count(t, &c, NOW), OK);
		assert_int_equal(count(t, &c, NOW), E_MFA_INVALID);
		assert_int_equal(find(t, token, NOW, &c), E_MFA_INVALID);
	}
	challenge(t, ann, NOW + MINUTE, token);
	assert_int_equal(find(t, token, NOW + MINUTE, &c), OK);
	assert_int_equal(count(t, &c, NOW + MINUTE), E_RATE_LIMITED);
	assert_int_equal(count(t, &c, NOW + 5 * MINUTE), OK);
}

static void no_session_without_it(void **state)
{
	static const struct session_limits limits = { 60 * MINUTE, 60 * MINUTE, 0 };
	static const struct {
		struct str amr;
		enum err e;
	} ways[] = { { { "pwd", 3 }, E_INVALID_CREDENTIALS }, { { "fed", 3 }, E_INVALID_CREDENTIALS },
		{ { "pwd otp", 7 }, OK }, { { "pwd rcv", 7 }, OK } };
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN];
	struct iam *t = *state;
	struct id ann = enrolled(t, "ann@x.org", codes);
	struct write w;

	for (size_t i = 0; i < 4; i++) {
		struct session s = { .id = id_new(NOW), .principal = ann, .amr = ways[i].amr,
			.auth_time = NOW };

		iam_begin(t, &w);
		session_insert(&w, t->seal, &limits, STR("phc"), &s);
		assert_int_equal(iam_commit(t, &w), ways[i].e);
	}
}

/* Signed up with an address of somebody else's, signed in, and made it as hard as can be for its owner. */
static struct user squatter(struct iam *t, const char *email, bool vouched, int64_t verified)
{
	static const struct session_limits limits = { 60 * MINUTE, 60 * MINUTE, 0 };
	struct user u = { .id = id_new(NOW), .email = str_c(email), .phc = STR("phc"),
		.has_creator = vouched, .created_by = id_new(NOW), .email_verified_at = verified };
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN], token[TOKEN_LEN];
	struct session s = { .id = id_new(NOW), .principal = u.id, .amr = STR("pwd"), .auth_time = NOW };
	struct write w;

	iam_begin(t, &w);
	user_insert(&w, &u, u.email);
	session_insert(&w, t->seal, &limits, STR("phc"), &s);
	assert_int_equal(iam_commit(t, &w), OK);
	enrol(t, u.id, codes);
	challenge(t, u.id, NOW, token);
	return u;
}

#define LEFT(t, u, what) (int)fixture_int((t)->x.store, (struct store_stmt)STMT( \
	"SELECT count(*) FROM " what " principal = ?", SV_ID(&(u).id)))

static void the_first_proof_of_an_address_ends_what_was_made_before(void **state)
{
	static const struct {
		const char *email;
		bool vouched;
		int64_t verified;
		int sessions, challenges, factors, codes; /* that stay */
	} cases[] = {
		{ "stranger@x.org", false, 0, 0, 0, 1, 10 },
		{ "vouched@x.org", true, 0, 0, 0, 1, 10 },
		{ "owner@x.org", false, NOW - MINUTE, 1, 1, 1, 10 },
	};
	struct iam *t = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct user u = squatter(t, cases[i].email, cases[i].vouched, cases[i].verified);
		struct write w;

		iam_begin(t, &w);
		user_verify_email(&w, &u);
		assert_int_equal(iam_commit(t, &w), OK);
		assert_int_equal(LEFT(t, u, "session WHERE ended_at IS NULL AND"), cases[i].sessions);
		assert_int_equal(LEFT(t, u, "mfa_challenge WHERE"), cases[i].challenges);
		assert_int_equal(LEFT(t, u, "mfa_totp WHERE"), cases[i].factors);
		assert_int_equal(LEFT(t, u, "mfa_recovery_code WHERE"), cases[i].codes);
	}
}

static void a_new_password_ends_challenges_and_a_deleted_user_leaves_nothing(void **state)
{
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN], token[TOKEN_LEN];
	struct iam *t = *state;
	struct id ann = enrolled(t, "ann@x.org", codes);
	struct mfa_challenge c;
	struct write w;

	iam_assign(t, iam_user(t, "root@x.org"), "*", "platform-admin");
	challenge(t, ann, NOW, token);
	iam_begin(t, &w);
	user_set_password(&w, ann, STR_NONE, STR("phc"), NULL);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(find(t, token, NOW, &c), E_MFA_INVALID);
	assert_true(read_mfa(t, ann).confirmed);
	challenge(t, ann, NOW, token);
	iam_begin(t, &w);
	user_delete(&w, ann, 0);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(iam_count(t, "SELECT (SELECT count(*) FROM mfa_totp) +"
	    " (SELECT count(*) FROM mfa_recovery_code) + (SELECT count(*) FROM mfa_challenge)"), 0);
}

/* ---- TOTP x TOTP ---------------------------------------------------------------------------- */

#define RACERS 8
#define ROUNDS 200

struct race {
	struct iam *t;
	struct id user;
	int64_t now;
	enum err e[RACERS];
};

static void use_code(void *arg, int i)
{
	struct race *r = arg;
	char code[TOTP_DIGITS + 1];
	struct arena a;
	struct write w;
	struct mfa m;

	arena_init(&a, 1 << 16);
	r->e[i] = mfa_read(r->t->x.store, r->user, &a, &m, NULL);
	write_init(&w, &a, r->now);
	if (r->e[i] == OK)
		r->e[i] = totp_code(secret, r->now / CLOCK_SEC / TOTP_PERIOD, code);
	if (r->e[i] == OK)
		r->e[i] = mfa_use_code(&w, r->t->seal, &m, str_c(code));
	if (r->e[i] == OK)
		r->e[i] = write_run(&w, r->t->x.store, NULL);
	arena_release(&a);
}

static void one_of_many_uses_of_a_code_wins(void **state)
{
	char codes[RECOVERY_CODES][RECOVERY_CODE_LEN];
	struct race r = { .t = *state, .now = NOW };

	r.user = enrolled(r.t, "ann@x.org", codes);
	for (int round = 0; round < ROUNDS; round++, r.now += 30 * CLOCK_SEC) {
		int winners = 0;

		iam_together(RACERS, use_code, &r);
		for (int i = 0; i < RACERS; i++) {
			assert_true(r.e[i] == OK || r.e[i] == E_MFA_INVALID);
			winners += r.e[i] == OK;
		}
		assert_int_equal(winners, 1);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_code_is_accepted_once_and_none_before_it),
		T(a_secret_is_sealed_for_its_user),
		T(a_recovery_code_is_used_once_by_its_user),
		T(a_challenge_expires),
		T(answers_are_counted_for_the_challenge_and_the_user),
		T(no_session_without_it),
		T(the_first_proof_of_an_address_ends_what_was_made_before),
		T(a_new_password_ends_challenges_and_a_deleted_user_leaves_nothing),
		T(one_of_many_uses_of_a_code_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
