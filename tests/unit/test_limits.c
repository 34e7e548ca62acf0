/* Limits of the whole process, asked by many threads at once: connections (front/peers.h) and requests
 * (front/gate.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "front/gate.h"
#include "front/peers.h"

#define THREADS 8
#define TURNS 20000

/* ---- connections --------------------------------------------------------------------------- */

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage a = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

	a.ss_family = AF_INET;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		return a;
	a.ss_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	return a;
}

static enum err enter(struct peers *p, const char *text)
{
	struct sockaddr_storage a = address(text);

	return peers_enter(p, (struct sockaddr *)&a);
}

static void leave(struct peers *p, const char *text)
{
	struct sockaddr_storage a = address(text);

	peers_leave(p, (struct sockaddr *)&a);
}

static void test_addresses(void **state)
{
	struct peers *p;

	(void)state;
	assert_int_equal(peers_new(5, 2, &p), OK);
	assert_int_equal(enter(p, "10.0.0.1"), OK);
	assert_int_equal(enter(p, "::ffff:10.0.0.1"), OK);
	assert_int_equal(enter(p, "10.0.0.1"), E_LIMIT);
	assert_int_equal(enter(p, "2001:db8::1"), OK);
	assert_int_equal(enter(p, "2001:db8::2:3"), OK);
	assert_int_equal(enter(p, "2001:db8::4"), E_LIMIT); /* the same /64 */
	assert_int_equal(enter(p, "2001:db8:0:1::4"), OK);
	assert_int_equal(enter(p, "10.0.0.2"), E_LIMIT); /* the sixth of all */
	leave(p, "2001:db8::1");
	assert_int_equal(enter(p, "10.0.0.1"), E_LIMIT);
	leave(p, "10.0.0.1");
	assert_int_equal(enter(p, "10.0.0.1"), OK);
	assert_int_equal(enter(p, "2001:db8::4"), OK);
	peers_free(p);
}

/* So many that tables grow, and in an order in which they have gaps to close. */
static void test_many_addresses(void **state)
{
	struct peers *p;
	char text[32];

	(void)state;
	assert_int_equal(peers_new(0, 1, &p), OK);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20000; i++) {
			snprintf(text, sizeof text, "10.%d.%d.%d", round, i / 256, i % 256);
			assert_int_equal(enter(p, text), OK);
			assert_int_equal(enter(p, text), E_LIMIT);
		}
		for (int i = 0; i < 20000; i++) {
			int k = i * 7919 % 20000;

			snprintf(text, sizeof text, "10.%d.%d.%d", round, k / 256, k % 256);
			assert_int_equal(enter(p, text), E_LIMIT);
			leave(p, text);
		}
	}
	peers_free(p);
}

struct crowd {
	struct peers *peers;
	struct gate *gate;
	atomic_int inside, most, refused;
	int limit;
};

static void note_entry(struct crowd *c)
{
	int now = atomic_fetch_add(&c->inside, 1) + 1, most = c->most;

	while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
		;
}

static void *come_and_go(void *arg)
{
	struct sockaddr_storage a = address("192.0.2.1");
	struct crowd *c = arg;
	int have = 0;

	for (int i = 0; i < TURNS; i++)
		if (have < 3 && peers_enter(c->peers, (struct sockaddr *)&a) == OK) {
			note_entry(c);
			have++;
		} else if (have > 0) {
			atomic_fetch_sub(&c->inside, 1);
			peers_leave(c->peers, (struct sockaddr *)&a);
			have--;
		} else {
			c->refused++;
		}
	for (; have > 0; have--) {
		atomic_fetch_sub(&c->inside, 1);
		peers_leave(c->peers, (struct sockaddr *)&a);
	}
	return NULL;
}

static void run_threads(void *(*run)(void *), struct crowd *c)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void test_threads_share_the_connections(void **state)
{
	(void)state;
	for (int each = 0; each < 2; each++) {
		struct crowd c = { .limit = 10 };

		assert_int_equal(peers_new(each ? 0 : 10, each ? 10 : 0, &c.peers), OK);
		run_threads(come_and_go, &c);
		assert_true(c.most <= 10);
		for (int i = 0; i < 10; i++) /* nothing was lost */
			assert_int_equal(enter(c.peers, "192.0.2.1"), OK);
		assert_int_equal(enter(c.peers, "192.0.2.1"), E_LIMIT);
		peers_free(c.peers);
	}
}

/* ---- requests ------------------------------------------------------------------------------ */

static void test_small_limits_are_exact(void **state)
{
	struct gate_share a = { 0 }, b = { 0 };
	struct gate *g;

	(void)state;
	assert_int_equal(gate_new(3, 2, &g), OK);
	a.gate = b.gate = g;
	for (int round = 0; round < 10; round++) {
		assert_true(gate_enter(&a) && gate_enter(&b) && gate_enter(&b));
		assert_false(gate_enter(&a) || gate_enter(&b));
		gate_leave(&b);
		assert_true(gate_enter(&a));
		gate_leave(&a);
		gate_leave(&a);
		gate_leave(&b);
	}
	gate_set(g, 1);
	assert_true(gate_enter(&b));
	assert_false(gate_enter(&a));
	gate_set(g, 2);
	assert_true(gate_enter(&a));
	gate_set(g, 1); /* below what is inside */
	gate_leave(&a);
	assert_false(gate_enter(&a));
	gate_leave(&b);
	assert_true(gate_enter(&a));
	gate_set(g, 0);
	for (int i = 0; i < 1000; i++)
		assert_true(gate_enter(&b));
	gate_free(g);
}

static void *ask_and_answer(void *arg)
{
	struct crowd *c = arg;
	struct gate_share s = { .gate = c->gate };
	int have = 0, want = 0;

	for (int i = 0; i < TURNS; i++) {
		want = want > 0 ? want : -(i % (2 * c->limit / THREADS)); /* fills up, and empties again */
		if (want < 0 && gate_enter(&s)) {
			note_entry(c);
			have++;
			want++;
		} else if (have > 0) {
			atomic_fetch_sub(&c->inside, 1);
			gate_leave(&s);
			have--;
		} else {
			c->refused++;
		}
	}
	for (; have > 0; have--) {
		atomic_fetch_sub(&c->inside, 1);
		gate_leave(&s);
	}
	return NULL;
}

static void test_threads_share_the_requests(void **state)
{
	static const int limits[] = { 8, 100, 10000 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct crowd c = { .limit = limits[i] };
		struct gate_share s = { 0 };
		int n = 0;

		assert_int_equal(gate_new((size_t)c.limit, THREADS, &c.gate), OK);
		run_threads(ask_and_answer, &c);
		assert_true(c.most <= c.limit);
		s.gate = c.gate;
		while (gate_enter(&s))
			n++;
		assert_true(n <= c.limit && n >= c.limit - c.limit / 16);
		gate_free(c.gate);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_threads_share_the_connections),
		cmocka_unit_test(test_small_limits_are_exact),
		cmocka_unit_test(test_threads_share_the_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
