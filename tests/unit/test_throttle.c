/* Growing delays: addresses, accounts, owners, two replicas, letters. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "iam/throttle.h"
#include "iam/tries.h"
#include "iam_fixture.h"

#define S CLOCK_SEC
#define HOUR (3600 * S)
#define PER_ADDRESS 30
#define PER_ACCOUNT 5

struct world {
	struct iam *iam;
	struct throttle *t[2]; /* of two replicas */
	int64_t now;           /* since the start */
};

static void start(struct world *w)
{
	const struct config limits = { .limits_attempts_per_address = PER_ADDRESS,
		.limits_attempts_per_account = PER_ACCOUNT };

	for (int i = 0; i < 2; i++) {
		assert_int_equal(throttle_new(iam_store(w->iam, i), w->iam->seal, &w->t[i]), OK);
		throttle_configure(w->t[i], &limits);
	}
}

static void stop(struct world *w)
{
	for (int i = 0; i < 2; i++)
		throttle_free(w->t[i]);
}

static int up(void **state, int (*store)(void **))
{
	static struct world w;

	w = (struct world){ 0 };
	if (store(state) != 0)
		return -1;
	w.iam = *state;
	start(&w);
	*state = &w;
	return 0;
}

static int setup(void **state)
{
	return up(state, iam_setup);
}

static int setup_rqlite(void **state)
{
	return up(state, iam_setup_rqlite);
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *iam = w->iam;

	stop(w);
	return iam_teardown(&iam);
}

static struct network at(unsigned address)
{
	struct network n = { .b = { [10] = 0xff, [11] = 0xff, [12] = 10 } };

	n.b[13] = (uint8_t)(address >> 16);
	n.b[14] = (uint8_t)(address >> 8);
	n.b[15] = (uint8_t)address;
	return n;
}

static struct throttle_who whom(const struct world *w, unsigned address, const char *account)
{
	return (struct throttle_who){ .from = at(address), .account = str_c(account),
		.wall = NOW + w->now, .mono = HOUR + w->now };
}

/* A wrong password: how many seconds to wait instead, 0 when it was looked at. */
static int wrong(struct world *w, int replica, unsigned address, const char *account)
{
	struct throttle_who who = whom(w, address, account);
	struct fail f = { 0 };
	struct throttle_try y;
	enum err e = throttle_begin(w->t[replica], THROTTLE_SIGNIN, &who, &y, &f);

	if (e == OK) {
		assert_int_equal(throttle_settle(&y, E_INVALID_CREDENTIALS, &f), E_INVALID_CREDENTIALS);
		return 0;
	}
	assert_int_equal(e, E_RATE_LIMITED);
	assert_true(f.retry_after > 0);
	return f.retry_after;
}

/* A right one. */
static int right(struct world *w, int replica, unsigned address, const char *account)
{
	struct throttle_who who = whom(w, address, account);
	struct fail f = { 0 };
	struct throttle_try y;
	enum err e = throttle_begin(w->t[replica], THROTTLE_SIGNIN, &who, &y, &f);

	if (e == OK)
		throttle_passed(&y);
	return e == OK ? 0 : f.retry_after;
}

/* How many of n attempts at once are looked at. */
static int looked_at(struct world *w, unsigned address, const char *account, int n)
{
	int done = 0;

	for (int i = 0; i < n; i++)
		done += wrong(w, i % 2, address, account) == 0;
	return done;
}

static void delays_grow_and_waiting_is_enough(void **state)
{
	struct world *w = *state;
	int waits[8];

	assert_int_equal(looked_at(w, 1, "ann", PER_ACCOUNT), PER_ACCOUNT);
	for (int i = 0; i < 8; i++) {
		waits[i] = wrong(w, 0, 1, "ann");
		assert_int_equal(waits[i], 1 << i);
		assert_int_equal(wrong(w, 1, 1, "ann"), waits[i]); /* refused ones don't count */
		w->now += waits[i] * S;
		assert_int_equal(wrong(w, 0, 1, "ann"), 0);
	}
	assert_int_equal(wrong(w, 0, 1, "bob"), 0);
}

static void replicas_hold_a_limit_together(void **state)
{
	struct world *w = *state;

	assert_int_equal(looked_at(w, 1, "ann", 40), PER_ACCOUNT);
	assert_true(wrong(w, 0, 1, "ann") > 0 && wrong(w, 1, 1, "ann") > 0);
}

static void a_restart_forgets_no_account(void **state)
{
	struct world *w = *state;

	looked_at(w, 1, "ann", 40);
	stop(w);
	start(w);
	assert_true(wrong(w, 0, 1, "ann") > 0);
}

static void an_account_that_is_not_there_counts_like_one_that_is(void **state)
{
	struct world *w = *state;

	iam_user(w->iam, "there@example.org");
	for (int i = 0; i < 20; i++)
		assert_int_equal(wrong(w, 0, 1, "there@example.org"), wrong(w, 0, 2, "not@example.org"));
}

/* Strangers from everywhere, for a day: the owner comes in from home whenever it likes. */
static void strangers_lock_out_no_owner(void **state)
{
	struct world *w = *state;
	int guesses = 0;

	assert_int_equal(right(w, 0, 1, "ann"), 0);
	for (int minute = 0; minute < 24 * 60; minute++) {
		for (unsigned k = 0; k < 10; k++)
			guesses += wrong(w, (int)k % 2, 1000 + (unsigned)minute * 10 + k, "ann") == 0;
		if (minute % 60 == 0)
			assert_int_equal(right(w, minute % 2, 1, "ann"), 0);
		w->now += 60 * S;
	}
	print_message("%d guesses in a day from 14400 addresses\n", guesses);
	assert_in_range(guesses, PER_ACCOUNT, 24 * 12 + 60);
	assert_true(right(w, 0, 2, "ann") >= 0);
}

/* One stranger uses up its own patience, not that of all strangers: the owner who comes from a new place
 * has to wait a little at worst. */
static void one_stranger_is_slowed_down_alone(void **state)
{
	struct world *w = *state;
	int refused = 0, n = 0;

	for (int s = 0; s < 12 * 3600; s += 10, n++) {
		(void)wrong(w, 0, 1000, "ann");
		refused += right(w, 0, 2000, "bob") != 0;
		if (s % 600 == 300) {
			struct throttle_who who = whom(w, 2000, "ann");
			struct throttle_try y;

			if (throttle_begin(w->t[1], THROTTLE_SIGNIN, &who, &y, NULL) == OK)
				assert_int_equal(throttle_settle(&y, E_OVERLOADED, NULL), E_OVERLOADED);
			else
				refused++;
		}
		w->now += 10 * S;
	}
	print_message("%d of 72 sign-ins of the owner refused\n", refused);
	assert_in_range(refused, 0, 7);
}

/* A password set by mail makes the place known, however many strangers are about; and the places of the
 * old one are none any more. */
static void a_new_password_makes_the_place_known(void **state)
{
	struct world *w = *state;
	struct throttle_who who;
	struct write batch;

	assert_int_equal(right(w, 0, 5, "ann"), 0); /* whoever that was */
	for (unsigned i = 0; i < 200; i++)
		(void)wrong(w, 0, 1000 + i, "ann");
	assert_true(right(w, 0, 2, "ann") > 0);
	assert_int_equal(right(w, 0, 5, "ann"), 0);
	who = whom(w, 2, "ann");
	write_init(&batch, &w->iam->x.arena, who.wall);
	throttle_estrange(w->t[0], &batch, &who);
	throttle_welcome(w->t[0], &batch, &who);
	assert_int_equal(iam_commit(w->iam, &batch), OK);
	assert_int_equal(right(w, 1, 2, "ann"), 0);
	assert_true(right(w, 0, 5, "ann") > 0);
}

static void the_owner_has_delays_too_and_a_success_ends_them(void **state)
{
	struct world *w = *state;
	int wait;

	assert_int_equal(right(w, 0, 1, "ann"), 0);
	assert_int_equal(looked_at(w, 1, "ann", 20), PER_ACCOUNT);
	wait = wrong(w, 0, 1, "ann");
	assert_true(wait > 0);
	w->now += wait * S;
	assert_int_equal(right(w, 0, 1, "ann"), 0);
	assert_int_equal(looked_at(w, 1, "ann", 20), PER_ACCOUNT);
}

static void a_spray_is_held_by_its_address(void **state)
{
	struct world *w = *state;
	char account[32];
	int done = 0;

	for (int i = 0; i < 200; i++) {
		snprintf(account, sizeof account, "user%d", i);
		done += wrong(w, 0, 1, account) == 0;
	}
	assert_int_equal(done, PER_ADDRESS);
	assert_int_equal(wrong(w, 0, 2, "user199"), 0);
	assert_int_equal(right(w, 1, 1, "ann"), 0); /* memory is a replica's own */
	assert_int_equal(right(w, 0, 1, "ann"), 0); /* at home the address does not matter */
}

static void a_site_of_v6_is_held_as_a_whole(void **state)
{
	struct world *w = *state;
	struct throttle_who who = whom(w, 0, NULL);
	int done = 0;

	for (unsigned i = 0; i < 65536 && done < 10000; i++) {
		who.from = (struct network){ .b = { 0x20, 1, 0xd, 0xb8, 0, 1, (uint8_t)(i >> 8), (uint8_t)i } };
		if (throttle_look(w->t[0], THROTTLE_LINK, &who, NULL) != OK)
			break;
		throttle_count(w->t[0], THROTTLE_LINK, &who);
		done++;
	}
	assert_int_equal(done, 16 * PER_ADDRESS);
	who.from.b[5] = 2;
	assert_int_equal(throttle_look(w->t[0], THROTTLE_LINK, &who, NULL), OK);
}

/* A right secret comes through whatever was wrong before. */
static void a_secret_that_is_right_never_waits(void **state)
{
	struct world *w = *state;
	struct throttle_who who = whom(w, 1, NULL);
	struct fail f = { 0 };
	int wrongs = 0;

	for (int i = 0; i < 100; i++)
		wrongs += throttle_wrong(w->t[0], THROTTLE_CREDENTIAL, &who, E_UNAUTHENTICATED, &f) ==
		    E_UNAUTHENTICATED;
	assert_int_equal(wrongs, PER_ADDRESS);
	assert_true(f.retry_after > 0);
	assert_int_equal(throttle_wrong(w->t[0], THROTTLE_CREDENTIAL, &who, OK, &f), OK);
	who.account = STR("client");
	who.from = at(2);
	wrongs = 0;
	for (int i = 0; i < 100; i++)
		wrongs += throttle_wrong(w->t[i % 2], THROTTLE_TOKEN, &who, E_UNAUTHENTICATED, &f) ==
		    E_UNAUTHENTICATED;
	assert_int_equal(wrongs, PER_ACCOUNT);
}

struct crowd {
	struct world *w;
	pthread_barrier_t all_begun;
	int begun[64];
};

static void one_of_many(void *arg, int i)
{
	struct crowd *c = arg;
	struct throttle_who who = whom(c->w, (unsigned)i, "ann");
	struct throttle_try y;

	c->begun[i] = throttle_begin(c->w->t[0], THROTTLE_SIGNIN, &who, &y, NULL) == OK;
	pthread_barrier_wait(&c->all_begun);
	if (c->begun[i])
		assert_int_equal(throttle_settle(&y, E_INVALID_CREDENTIALS, NULL), E_INVALID_CREDENTIALS);
}

static int crowd(struct world *w, int n)
{
	struct crowd c = { .w = w };
	int begun = 0;

	pthread_barrier_init(&c.all_begun, NULL, (unsigned)n);
	iam_together(n, one_of_many, &c);
	pthread_barrier_destroy(&c.all_begun);
	for (int i = 0; i < n; i++)
		begun += c.begun[i];
	return begun;
}

/* Many at once from many addresses: once there are delays, they are let in one by one. */
static void a_crowd_is_no_way_around(void **state)
{
	struct world *w = *state;

	assert_int_equal(crowd(w, 30), 30); /* nothing has been wrong yet */
	assert_int_equal(crowd(w, 30), 0);
	w->now += HOUR;
	assert_in_range(crowd(w, 30), 0, 1);
}

static void a_clock_that_jumps_locks_nobody_out(void **state)
{
	struct world *w = *state;

	looked_at(w, 1, "ann", 40);
	w->now -= 365 * 24 * HOUR;
	assert_int_equal(wrong(w, 0, 1, "ann"), 0); /* and with that the count is of today */
	assert_in_range(wrong(w, 0, 1, "ann"), 1, 60);
	w->now += 2 * 365 * 24 * HOUR;
	assert_int_equal(wrong(w, 0, 1, "ann"), 0);
}

/* The store says no: then nobody is told that a password was wrong. */
static void what_cannot_be_counted_is_not_told(void **state)
{
	struct world *w = *state;
	struct throttle_who who = whom(w, 1, "ann");
	struct fail f = { 0 };
	struct throttle_try y;

	(void)store_fail_after(w->iam->x.store, 1);
	assert_int_equal(throttle_begin(w->t[0], THROTTLE_SIGNIN, &who, &y, &f), E_STORE_UNAVAILABLE);
	assert_int_equal(throttle_begin(w->t[0], THROTTLE_SIGNIN, &who, &y, &f), OK);
	(void)store_fail_after(w->iam->x.store, 1);
	assert_int_equal(throttle_settle(&y, E_INVALID_CREDENTIALS, &f), E_STORE_UNAVAILABLE);
	assert_int_equal(f.err, E_STORE_UNAVAILABLE);
	(void)store_fail_after(w->iam->x.store, 0);
	fail_clear(&f);
}

static void what_is_forgotten_is_deleted(void **state)
{
	struct world *w = *state;
	char account[32];

	for (unsigned i = 0; i < 50; i++) {
		snprintf(account, sizeof account, "user%u", i);
		(void)wrong(w, 0, i, account);
		(void)right(w, 0, 5000 + i, account);
	}
	assert_int_equal(iam_count(w->iam, "SELECT count(*) FROM tries"), 100);
	assert_int_equal(iam_count(w->iam, "SELECT count(*) FROM known_network"), 50);
	w->now += HOUR;
	for (unsigned i = 0; i < 10; i++)
		(void)wrong(w, 0, i, "somebody");
	assert_in_range(iam_count(w->iam, "SELECT count(*) FROM tries"), 2, 15);
	throttle_trim(w->t[0], NOW + 181 * 24 * HOUR);
	assert_int_equal(iam_count(w->iam, "SELECT count(*) FROM tries"), 0);
	assert_int_equal(iam_count(w->iam, "SELECT count(*) FROM known_network"), 0);
}

static void no_limit_is_none(void **state)
{
	const struct config none = { .auth_answer_floor = 5 };
	struct world *w = *state;

	throttle_configure(w->t[0], &none);
	for (int i = 0; i < 300; i++)
		assert_int_equal(wrong(w, 0, 1, "ann"), 0);
	assert_int_equal(throttle_floor(w->t[0]), 5);
	assert_int_equal(throttle_floor(NULL), 0);
}

static bool letter(struct world *w, int replica, const char *address)
{
	struct throttle_letter l;
	struct write batch;

	assert_int_equal(throttle_letter_read(w->t[replica], "reset", str_c(address), NOW + w->now, &l,
	    NULL), OK);
	if (!l.due)
		return false;
	write_init(&batch, &w->iam->x.arena, NOW + w->now);
	throttle_letter_add(w->t[replica], &batch, &l);
	return iam_commit(w->iam, &batch) == OK;
}

static void letters_come_five_an_hour(void **state)
{
	struct world *w = *state;
	int sent[4] = { 0 };

	for (int s = 0; s < 4 * 3600; s += 20, w->now += 20 * S)
		sent[s / 3600] += letter(w, s / 20 % 2, "ann");
	for (int h = 0; h < 4; h++)
		assert_in_range(sent[h], 2, 5);
	assert_int_equal(sent[0], 5);
	assert_true(letter(w, 0, "bob"));
}

struct race {
	struct world *w;
	int won[16];
};

static void post(void *arg, int i)
{
	struct race *r = arg;
	struct throttle_letter l = { .due = true };
	struct arena a;
	struct write batch;

	arena_init(&a, 1 << 16);
	assert_int_equal(throttle_letter_read(r->w->t[i % 2], "reset", STR("ann"), NOW, &l, NULL), OK);
	write_init(&batch, &a, NOW);
	throttle_letter_add(r->w->t[i % 2], &batch, &l);
	r->won[i] = l.due && write_run(&batch, iam_store(r->w->iam, i), NULL) == OK;
	arena_release(&a);
}

static void of_letters_at_once_one_is_sent(void **state)
{
	struct race r = { .w = *state };
	int n = 0;

	iam_together(16, post, &r);
	for (int i = 0; i < 16; i++)
		n += r.won[i];
	assert_int_equal(n, 1);
}

static void refusals_are_counted(void **state)
{
	struct world *w = *state;
	struct buf out;

	looked_at(w, 1, "ann", 40);
	buf_init(&out, 1 << 16);
	throttle_write_metrics(w->t[0], &out);
	buf_addz(&out, "");
	assert_true(buf_err(&out) == OK && buf_add(&out, "\0", 1) == OK);
	assert_non_null(strstr(out.p, "gateway_rate_limited_total{rule=\"signin_account\"} 17\n"));
	assert_non_null(strstr(out.p, "gateway_rate_limited_total{rule=\"signin_address\"} 0\n"));
	buf_release(&out);
}

/* Asks for n changes at once that are refused: how many are heard. */
static int heard(struct throttle *t, const struct id *principal, int64_t mono, int n)
{
	int done = 0;

	for (int i = 0; i < n; i++) {
		struct fail f = { 0 };
		enum err e = throttle_refused_look(t, principal, mono, &f);

		assert_true(e == OK ? f.retry_after == 0 : e == E_RATE_LIMITED && f.retry_after > 0);
		if (e == OK)
			throttle_refused_count(t, principal, mono);
		done += e == OK;
	}
	return done;
}

static void refused_changes_are_heard_a_thousand_times_and_then_slowly(void **state)
{
	struct world *w = *state;
	struct id ann = id_new(NOW), bob = id_new(NOW);
	struct buf out;
	int after = 0;

	assert_int_equal(heard(w->t[0], &ann, HOUR, 1100), 1000);
	assert_int_equal(heard(w->t[0], &bob, HOUR, 1), 1); /* nobody else waits for it */
	assert_int_equal(heard(w->t[1], &ann, HOUR, 1100), 1000); /* each replica has a count of its own */
	for (int s = 1; s <= 600; s++)
		after += heard(w->t[0], &ann, HOUR + s * S, 10);
	print_message("%d heard in the ten minutes after\n", after);
	assert_in_range(after, 60, 600);
	assert_int_equal(heard(w->t[0], &ann, 2 * HOUR, 1100), 1000); /* by then all is forgotten */
	buf_init(&out, 1 << 16);
	throttle_write_metrics(w->t[1], &out);
	assert_true(buf_add(&out, "\0", 1) == OK);
	assert_non_null(strstr(out.p, "gateway_rate_limited_total{rule=\"refused_account\"} 100\n"));
	buf_release(&out);
	assert_int_equal(heard(NULL, &ann, HOUR, 1100), 1100);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RTEST(f) { "rqlite: " #f, f, setup_rqlite, teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(delays_grow_and_waiting_is_enough),
		TEST(replicas_hold_a_limit_together),
		TEST(a_restart_forgets_no_account),
		TEST(an_account_that_is_not_there_counts_like_one_that_is),
		TEST(strangers_lock_out_no_owner),
		TEST(one_stranger_is_slowed_down_alone),
		TEST(a_new_password_makes_the_place_known),
		TEST(the_owner_has_delays_too_and_a_success_ends_them),
		TEST(a_spray_is_held_by_its_address),
		TEST(a_site_of_v6_is_held_as_a_whole),
		TEST(a_secret_that_is_right_never_waits),
		TEST(a_crowd_is_no_way_around),
		TEST(a_clock_that_jumps_locks_nobody_out),
		TEST(what_cannot_be_counted_is_not_told),
		TEST(what_is_forgotten_is_deleted),
		TEST(no_limit_is_none),
		TEST(letters_come_five_an_hour),
		TEST(of_letters_at_once_one_is_sent),
		TEST(refusals_are_counted),
		TEST(refused_changes_are_heard_a_thousand_times_and_then_slowly),
	};
	const struct CMUnitTest on_rqlite[] = {
		RTEST(delays_grow_and_waiting_is_enough),
		RTEST(replicas_hold_a_limit_together),
		RTEST(a_new_password_makes_the_place_known),
		RTEST(what_is_forgotten_is_deleted),
		RTEST(of_letters_at_once_one_is_sent),
	};
	int failed = cmocka_run_group_tests_name("throttle", tests, NULL, NULL);

	return failed + cmocka_run_group_tests_name("throttle on rqlite", on_rqlite, iam_cluster_up,
	    iam_cluster_down);
}
