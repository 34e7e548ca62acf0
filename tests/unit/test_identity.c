#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/token.h"
#include "iam/identity.h"
#include "iam/session.h"
#include "iam_fixture.h"

#define ISSUER STR("https://op.test")
#define MINUTE (60 * CLOCK_SEC)

static struct user_identity identity(struct id user, const char *subject)
{
	return (struct user_identity){ .id = id_new(NOW), .user = user, .issuer = ISSUER,
		.subject = str_c(subject), .email = STR("there@op.test") };
}

static enum err add(struct iam *t, const struct user_identity *i, const char *fold)
{
	struct write w;

	iam_begin(t, &w);
	identity_insert(&w, i, fold != NULL ? str_c(fold) : STR_NONE);
	return iam_commit(t, &w);
}

static enum err del(struct iam *t, const struct user_identity *i, struct str issuer)
{
	struct write w;

	iam_begin(t, &w);
	identity_delete(&w, i, issuer, NULL);
	return iam_commit(t, &w);
}

static struct id person(struct iam *t, const char *email, int64_t verified)
{
	struct user u = { .id = id_new(NOW), .email = str_c(email), .email_verified_at = verified };
	struct write w;

	iam_begin(t, &w);
	user_insert(&w, &u, u.email);
	assert_int_equal(iam_commit(t, &w), OK);
	return u.id;
}

static void disable(struct iam *t, struct id user)
{
	struct user_patch p = { .set_disabled = true, .disabled = true };
	struct write w;

	iam_assign(t, iam_user(t, "root@x.org"), "*", "platform-admin");
	iam_begin(t, &w);
	user_update(&w, user, 0, &p);
	assert_int_equal(iam_commit(t, &w), OK);
}

static void one_identity_belongs_to_one_user(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org"), bob = iam_user(t, "bob@x.org");
	struct user_identity a = identity(ann, "1"), b = identity(bob, "1"), c = identity(bob, "2"), found;

	assert_int_equal(add(t, &a, NULL), OK);
	assert_int_equal(add(t, &b, NULL), E_IDENTITY_TAKEN);
	assert_int_equal(add(t, &c, NULL), OK);
	assert_int_equal(identity_find(t->x.store, ISSUER, STR("1"), &t->x.arena, &found, NULL), OK);
	assert_true(id_eq(found.user, ann) && str_eqc(found.email, "there@op.test"));
	assert_int_equal(identity_find(t->x.store, STR("https://op.test/"), STR("1"), &t->x.arena, &found,
	    NULL), E_NOT_FOUND);
	assert_int_equal(identity_by_id(t->x.store, bob, a.id, &t->x.arena, &found, NULL), E_NOT_FOUND);
	disable(t, bob);
	b = identity(bob, "3");
	assert_int_equal(add(t, &b, NULL), E_IDENTITY_TAKEN);
}

static void only_a_verified_address_is_linked_by(void **state)
{
	struct iam *t = *state;
	struct id ann = person(t, "ann@x.org", NOW), bob = person(t, "bob@x.org", 0);
	struct user_identity a = identity(ann, "1"), b = identity(bob, "2");

	assert_int_equal(add(t, &b, "bob@x.org"), E_LINK_REQUIRED);
	assert_int_equal(add(t, &a, "other@x.org"), E_LINK_REQUIRED);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM identity"), 0);
	assert_int_equal(add(t, &a, "ann@x.org"), OK);
}

static void it_is_used_only_while_it_is_the_users(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org"), bob = iam_user(t, "bob@x.org");
	struct user_identity a = identity(ann, "1"), found;
	struct write w;

	assert_int_equal(add(t, &a, NULL), OK);
	iam_begin(t, &w);
	identity_use(&w, a.id, bob, STR_NONE);
	assert_int_equal(iam_commit(t, &w), E_INVALID_CREDENTIALS);
	iam_begin(t, &w);
	identity_use(&w, a.id, ann, STR("new@op.test"));
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(identity_by_id(t->x.store, ann, a.id, &t->x.arena, &found, NULL), OK);
	assert_true(str_eqc(found.email, "new@op.test") && found.last_used_at == w.now);
	assert_int_equal(del(t, &a, ISSUER), OK);
	iam_begin(t, &w);
	identity_use(&w, a.id, ann, STR_NONE);
	assert_int_equal(iam_commit(t, &w), E_INVALID_CREDENTIALS);
}

static void the_last_way_in_stays(void **state)
{
	struct iam *t = *state;
	struct id ann = person(t, "ann@x.org", NOW), bob = iam_user(t, "bob@x.org");
	struct user_identity a = identity(ann, "1"), b = identity(ann, "2"), c = identity(bob, "3");
	struct user_identity old = identity(ann, "4");

	old.issuer = STR("https://was.test"); /* nobody signs in by it any more */
	assert_int_equal(add(t, &a, NULL), OK);
	assert_int_equal(add(t, &old, NULL), OK);
	assert_int_equal(del(t, &a, ISSUER), E_LAST_WAY_IN);
	assert_int_equal(add(t, &b, NULL), OK);
	assert_int_equal(del(t, &a, STR_NONE), E_LAST_WAY_IN); /* no provider is configured */
	assert_int_equal(del(t, &a, ISSUER), OK);
	assert_int_equal(del(t, &b, ISSUER), E_LAST_WAY_IN);
	assert_int_equal(del(t, &old, ISSUER), OK);
	assert_int_equal(add(t, &c, NULL), OK);
	assert_int_equal(del(t, &c, STR_NONE), OK); /* there is a password */
	assert_int_equal(del(t, &c, STR_NONE), E_NOT_FOUND);
}

static enum err prove(struct iam *t, const struct user *u)
{
	struct write w;

	iam_begin(t, &w);
	user_verify_email(&w, u);
	return iam_commit(t, &w);
}

static struct user read_user(struct iam *t, struct id id)
{
	struct user u;

	assert_int_equal(user_by_id(t->x.store, STORE_LINEAR, id, &t->x.arena, &u, NULL), OK);
	return u;
}

static void whoever_proves_an_address_starts_without_identities(void **state)
{
	struct iam *t = *state;
	struct user ann = read_user(t, person(t, "ann@x.org", 0));
	struct user bob = read_user(t, person(t, "bob@x.org", NOW));
	struct user_identity a = identity(ann.id, "1"), b = identity(bob.id, "2");

	assert_int_equal(add(t, &a, NULL), OK);
	assert_int_equal(add(t, &b, NULL), OK);
	assert_int_equal(prove(t, &ann), OK);
	assert_int_equal(prove(t, &bob), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM identity"), 1);
	a = identity(ann.id, "1");
	assert_int_equal(add(t, &a, NULL), OK);
	assert_int_equal(prove(t, &ann), E_TOKEN_INVALID); /* as read before the first proof */
	ann = read_user(t, ann.id);
	assert_int_equal(prove(t, &ann), OK); /* again: it is known by now */
	assert_int_equal(iam_count(t, "SELECT count(*) FROM identity"), 2);
}

static void identities_go_with_their_user(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org");
	struct user_identity a = identity(ann, "1");
	char finish[TOKEN_LEN], code[TOKEN_LEN];
	unsigned char random[TOKEN_RANDOM] = { 7 }, hash[TOKEN_HASH];
	struct write w;

	assert_int_equal(add(t, &a, NULL), OK);
	token_make("x", random, finish, hash);
	iam_begin(t, &w);
	assert_int_equal(oidc_handoff_add(&w, ann, a.id, str_c(finish), code), OK);
	assert_int_equal(iam_commit(t, &w), OK);
	iam_assign(t, iam_user(t, "root@x.org"), "*", "platform-admin");
	iam_begin(t, &w);
	user_delete(&w, ann, 0);
	assert_int_equal(iam_commit(t, &w), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM identity"), 0);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM oidc_handoff"), 0);
}

static void lists_go_by_the_page(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org");
	struct user_identity *rows;
	size_t n;

	for (int i = 0; i < 5; i++) {
		char subject[16];
		struct user_identity one;

		snprintf(subject, sizeof subject, "%d", i);
		one = identity(ann, subject);
		assert_int_equal(add(t, &one, NULL), OK);
	}
	assert_int_equal(identity_list(t->x.store, ann, NULL, 3, &t->x.arena, &rows, &n, NULL), OK);
	assert_int_equal(n, 3);
	assert_int_equal(identity_list(t->x.store, ann, &rows[2].id, 3, &t->x.arena, &rows, &n, NULL), OK);
	assert_int_equal(n, 2);
}

/* ---- once ----------------------------------------------------------------------------------- */

static enum err use_state(struct iam *t, int i, const char *state, int64_t now)
{
	struct arena a;
	struct write w;
	enum err e;

	arena_init(&a, 1 << 20);
	write_init(&w, &a, now);
	oidc_state_use(&w, str_c(state), now + 10 * MINUTE);
	e = write_run(&w, iam_store(t, i), NULL);
	arena_release(&a);
	return e;
}

static void token(unsigned char seed, char text[TOKEN_LEN])
{
	unsigned char random[TOKEN_RANDOM] = { seed }, hash[TOKEN_HASH];

	token_make("x", random, text, hash);
}

static void a_state_is_used_once(void **state)
{
	struct iam *t = *state;
	char one[TOKEN_LEN], two[TOKEN_LEN], three[TOKEN_LEN];

	token(1, one);
	token(2, two);
	token(3, three);
	assert_int_equal(use_state(t, 0, one, NOW), OK);
	assert_int_equal(use_state(t, 1, one, NOW), E_OIDC_STATE);
	assert_int_equal(use_state(t, 1, two, NOW), OK);
	assert_int_equal(use_state(t, 0, "not a state", NOW), E_OIDC_STATE);
	assert_int_equal(use_state(t, 0, three, NOW + 11 * MINUTE), OK); /* takes the expired ones along */
	assert_int_equal(iam_count(t, "SELECT count(*) FROM oidc_state"), 1);
}

static struct race {
	struct iam *t;
	atomic_int won, lost;
	char state[TOKEN_LEN];
	struct user_identity both[2];
} race;

static void use_it(void *arg, int i)
{
	struct race *x = arg;
	enum err e = use_state(x->t, i, x->state, NOW);

	assert_true(e == OK || e == E_OIDC_STATE);
	atomic_fetch_add(e == OK ? &x->won : &x->lost, 1);
}

static void of_states_at_once_one_wins(void **state)
{
	race = (struct race){ .t = *state };
	for (unsigned char i = 1; i <= 10; i++) {
		token(i, race.state);
		atomic_store(&race.won, 0);
		iam_together(8, use_it, &race);
		assert_int_equal(race.won, 1);
	}
}

static void unlink_it(void *arg, int i)
{
	struct race *x = arg;
	struct arena a;
	struct write w;
	enum err e;

	arena_init(&a, 1 << 20);
	write_init(&w, &a, NOW);
	identity_delete(&w, &x->both[i], ISSUER, NULL);
	e = write_run(&w, iam_store(x->t, i), NULL);
	assert_true(e == OK || e == E_LAST_WAY_IN);
	atomic_fetch_add(e == OK ? &x->won : &x->lost, 1);
	arena_release(&a);
}

static void of_two_at_once_one_is_left(void **state)
{
	struct iam *t = *state;

	race = (struct race){ .t = t };
	for (int i = 0; i < 10; i++) {
		char email[32], subject[2][32];
		struct id user;

		snprintf(email, sizeof email, "u%d@x.org", i);
		user = person(t, email, NOW);
		for (int k = 0; k < 2; k++) {
			snprintf(subject[k], sizeof subject[k], "%d-%d", i, k);
			race.both[k] = identity(user, subject[k]);
			assert_int_equal(add(t, &race.both[k], NULL), OK);
		}
		atomic_store(&race.won, 0);
		iam_together(2, unlink_it, &race);
		assert_int_equal(race.won, 1);
	}
}

static void a_handoff_is_picked_up_once_by_whoever_began_it(void **state)
{
	struct iam *t = *state;
	struct id ann = iam_user(t, "ann@x.org");
	struct user_identity a = identity(ann, "1");
	char finish[TOKEN_LEN], other[TOKEN_LEN], code[TOKEN_LEN];
	struct oidc_handoff h;
	struct write w;

	token(1, finish);
	token(2, other);
	assert_int_equal(add(t, &a, NULL), OK);
	iam_begin(t, &w);
	assert_int_equal(oidc_handoff_add(&w, ann, a.id, STR("no token"), code), E_TOKEN_INVALID);
	assert_int_equal(oidc_handoff_add(&w, ann, a.id, str_c(finish), code), OK);
	assert_int_equal(iam_commit(t, &w), OK);
#define FIND(code_, finish_, now) \
	oidc_handoff_find(t->x.store, str_c(code_), str_c(finish_), (now), &h, NULL)
	assert_int_equal(FIND(code, other, w.now), E_TOKEN_INVALID);
	assert_int_equal(FIND(finish, code, w.now), E_TOKEN_INVALID);
	assert_int_equal(FIND("", "", w.now), E_TOKEN_INVALID);
	assert_int_equal(FIND(code, finish, w.now + OIDC_HANDOFF_LIFE), E_TOKEN_INVALID);
	assert_int_equal(FIND(code, finish, w.now), OK);
	assert_true(id_eq(h.user, ann) && id_eq(h.identity, a.id));
	iam_begin(t, &w);
	oidc_handoff_use(&w, &h);
	assert_int_equal(iam_commit(t, &w), OK);
	iam_begin(t, &w);
	oidc_handoff_use(&w, &h);
	assert_int_equal(iam_commit(t, &w), E_TOKEN_INVALID);
	assert_int_equal(FIND(code, finish, w.now), E_TOKEN_INVALID);
}

#define ON_SQLITE(t) cmocka_unit_test_setup_teardown(t, iam_setup, iam_teardown)
#define ON_RQLITE(t) cmocka_unit_test_setup_teardown(t, iam_setup_rqlite, iam_teardown)

int main(void)
{
	const struct CMUnitTest sqlite[] = {
		ON_SQLITE(one_identity_belongs_to_one_user),
		ON_SQLITE(only_a_verified_address_is_linked_by),
		ON_SQLITE(it_is_used_only_while_it_is_the_users),
		ON_SQLITE(the_last_way_in_stays),
		ON_SQLITE(whoever_proves_an_address_starts_without_identities),
		ON_SQLITE(identities_go_with_their_user),
		ON_SQLITE(lists_go_by_the_page),
		ON_SQLITE(a_state_is_used_once),
		ON_SQLITE(of_states_at_once_one_wins),
		ON_SQLITE(of_two_at_once_one_is_left),
		ON_SQLITE(a_handoff_is_picked_up_once_by_whoever_began_it),
	};
	const struct CMUnitTest rqlite[] = {
		ON_RQLITE(one_identity_belongs_to_one_user),
		ON_RQLITE(the_last_way_in_stays),
		ON_RQLITE(a_state_is_used_once),
		ON_RQLITE(of_states_at_once_one_wins),
		ON_RQLITE(of_two_at_once_one_is_left),
		ON_RQLITE(a_handoff_is_picked_up_once_by_whoever_began_it),
	};

	return cmocka_run_group_tests(sqlite, NULL, NULL) +
	    cmocka_run_group_tests_name("rqlite", rqlite, iam_cluster_up, iam_cluster_down);
}
