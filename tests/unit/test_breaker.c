/* The circuit breaker's table: what opens it, what closes it, and what says nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "upstream/breaker.h"

#define MS 1000

static struct breaker_share mine; /* of a worker */

static bool end(struct breaker *b, bool probe, enum breaker_result r, int64_t now)
{
	return breaker_end(b, &mine, probe, r, now);
}

static void one(struct breaker *b, enum breaker_result r, int64_t now)
{
	enum breaker_pass pass = breaker_start(b, now);

	assert_int_not_equal(pass, BREAKER_REFUSED);
	end(b, pass == BREAKER_PROBE, r, now);
}

static void fail_times(struct breaker *b, int n, int64_t now)
{
	while (n-- > 0)
		one(b, BREAKER_FAILED, now);
}

static void opens_after_failures_in_a_row(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE - 1, 0);
	one(&b, BREAKER_OK, 0);
	fail_times(&b, BREAKER_CONSECUTIVE - 1, 0);
	assert_true(breaker_allows(&b, 0));
	one(&b, BREAKER_FAILED, 0);
	assert_int_equal(breaker_state(&b), BREAKER_OPEN);
	assert_false(breaker_allows(&b, BREAKER_BACKOFF_MIN - 1));
	assert_true(breaker_allows(&b, BREAKER_BACKOFF_MIN));
}

static void opens_when_half_of_a_window_fails(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	for (int i = 0; i < BREAKER_WINDOW_MIN; i++)
		one(&b, i % 2 ? BREAKER_FAILED : BREAKER_OK, 0);
	assert_int_equal(breaker_state(&b), BREAKER_OPEN);
	memset(&b, 0, sizeof b);
	for (int i = 0; i < 3 * BREAKER_WINDOW_MIN; i++) /* never enough in one window */
		one(&b, i % 2 ? BREAKER_FAILED : BREAKER_OK, i * (BREAKER_WINDOW / 10));
	assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
}

static void one_probe_decides(void **state)
{
	struct breaker b = { 0 };
	int64_t now = BREAKER_BACKOFF_MIN;

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, 0);
	assert_int_equal(breaker_start(&b, now), BREAKER_PROBE);
	assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
	assert_false(breaker_allows(&b, now)); /* the second has to wait for the first */
	assert_int_equal(breaker_start(&b, now), BREAKER_REFUSED);
	end(&b, true, BREAKER_FAILED, now);
	assert_int_equal(breaker_state(&b), BREAKER_OPEN);
	assert_false(breaker_allows(&b, now + BREAKER_BACKOFF_MIN)); /* twice as long now */
	now += 2 * BREAKER_BACKOFF_MIN;
	assert_true(breaker_allows(&b, now));
	assert_int_equal(breaker_start(&b, now), BREAKER_PROBE);
	end(&b, true, BREAKER_OK, now);
	assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
	fail_times(&b, BREAKER_CONSECUTIVE, now);
	assert_true(breaker_allows(&b, now + BREAKER_BACKOFF_MIN)); /* and short again */
}

static void what_began_before_says_nothing(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, 0);
	end(&b, false, BREAKER_OK, MS);
	assert_int_equal(breaker_state(&b), BREAKER_OPEN);
	assert_int_equal(breaker_start(&b, BREAKER_BACKOFF_MIN), BREAKER_PROBE);
	end(&b, false, BREAKER_FAILED, BREAKER_BACKOFF_MIN);
	end(&b, false, BREAKER_OK, BREAKER_BACKOFF_MIN);
	assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
}

static void a_cancelled_probe_makes_room(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, 0);
	assert_int_equal(breaker_start(&b, BREAKER_BACKOFF_MIN), BREAKER_PROBE);
	end(&b, true, BREAKER_NOTHING, BREAKER_BACKOFF_MIN);
	assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
	assert_true(breaker_allows(&b, BREAKER_BACKOFF_MIN));
	assert_string_equal(breaker_state_name(breaker_state(&b)), "half-open");
}

static void backoff_has_a_bound(void **state)
{
	struct breaker b = { 0 };
	int64_t now = 0;

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, now);
	for (int i = 0; i < 20; i++) {
		now += BREAKER_BACKOFF_MAX;
		assert_int_equal(breaker_start(&b, now), BREAKER_PROBE);
		end(&b, true, BREAKER_FAILED, now);
	}
	assert_false(breaker_allows(&b, now + BREAKER_BACKOFF_MAX - MS));
	assert_true(breaker_allows(&b, now + BREAKER_BACKOFF_MAX));
}

/* Successes that a worker has kept to itself count as soon as there is a failure beside them. */
static void every_workers_successes_count(void **state)
{
	struct breaker b = { 0 };
	struct breaker_share busy = { 0 }, quiet = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		breaker_end(&b, &busy, false, BREAKER_OK, 0);
	breaker_end(&b, &quiet, false, BREAKER_FAILED, 0);
	for (int i = 0; i < 80; i++) /* never five in a row, and never half: 101 + 160 results */
		breaker_end(&b, i % 2 ? &busy : &quiet, false, i % 4 < 2 ? BREAKER_FAILED : BREAKER_OK, 0);
	assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
	for (int i = 0; i < BREAKER_CONSECUTIVE; i++) /* in a row, whoever met them */
		breaker_end(&b, i % 2 ? &busy : &quiet, false, BREAKER_FAILED, 0);
	assert_int_equal(breaker_state(&b), BREAKER_OPEN);
}

/* ---- many threads ------------------------------------------------------------------------------ */

#define THREADS 4
#define ROUNDS 20000

static struct breaker shared;
static pthread_barrier_t gate;
static atomic_int through;
static atomic_int probes, most_probes, astray, changes;

static void open_at_zero(struct breaker *b)
{
	memset(b, 0, sizeof *b);
	fail_times(b, BREAKER_CONSECUTIVE, 0);
}

static void start_and_end(struct breaker_share *share, unsigned seed, int64_t now)
{
	enum breaker_pass pass;

	if (!breaker_allows(&shared, now))
		return;
	pass = breaker_start(&shared, now);
	if (pass == BREAKER_REFUSED)
		return;
	if (pass == BREAKER_PROBE && atomic_fetch_add(&probes, 1) + 1 > most_probes)
		most_probes = probes;
	if (pass == BREAKER_PROBE)
		atomic_fetch_sub(&probes, 1);
	changes += breaker_end(&shared, share, pass == BREAKER_PROBE, (enum breaker_result)(seed >> 16) % 3, now);
}

static void *hammer(void *arg)
{
	struct breaker_share share = { 0 };
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int64_t i = 0; i < ROUNDS; i++) {
		seed = seed * 1103515245 + 12345;
		start_and_end(&share, seed, i * 100 * MS);
	}
	return NULL;
}

static void together(void *(*body)(void *))
{
	pthread_t id[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&id[i], NULL, body, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
}

static void one_probe_of_all_threads(void **state)
{
	(void)state;
	together(hammer);
	assert_true(changes > 0);
	assert_int_equal(most_probes, 1);
}

/* All come to an open circuit that is due at the same time: one goes through. */
static void *rush(void *arg)
{
	(void)arg;
	for (int64_t i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&gate);
		if (breaker_allows(&shared, BREAKER_BACKOFF_MIN) &&
		    breaker_start(&shared, BREAKER_BACKOFF_MIN) != BREAKER_REFUSED)
			through++;
		if (pthread_barrier_wait(&gate) == PTHREAD_BARRIER_SERIAL_THREAD) {
			astray += through != 1;
			through = 0;
			open_at_zero(&shared);
		}
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

static void one_of_a_rush(void **state)
{
	(void)state;
	assert_int_equal(pthread_barrier_init(&gate, NULL, THREADS), 0);
	open_at_zero(&shared);
	together(rush);
	pthread_barrier_destroy(&gate);
	assert_int_equal(astray, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_after_failures_in_a_row),
		cmocka_unit_test(opens_when_half_of_a_window_fails),
		cmocka_unit_test(one_probe_decides),
		cmocka_unit_test(what_began_before_says_nothing),
		cmocka_unit_test(a_cancelled_probe_makes_room),
		cmocka_unit_test(backoff_has_a_bound),
		cmocka_unit_test(every_workers_successes_count),
		cmocka_unit_test(one_probe_of_all_threads),
		cmocka_unit_test(one_of_a_rush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
