#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "base/pace.h"
#include "base/tally.h"

#define S CLOCK_SEC
#define NOW (INT64_C(1000000) * S)

static const struct pace pace = { .free = 3, .first = S, .factor = 2, .most = 60 * S, .leak = 30 * S };

static struct str key(const uint64_t *n)
{
	return str_n((const char *)n, sizeof *n);
}

static void add(struct tally *t, uint64_t n, int times, int64_t now)
{
	while (times-- > 0)
		tally_add(t, &pace, key(&n), now);
}

static int64_t waits(struct tally *t, uint64_t n, int64_t now)
{
	return tally_wait(t, &pace, key(&n), now);
}

static int setup(void **state)
{
	static struct tally t;

	*state = &t;
	return tally_init(&t, 1024) == OK ? 0 : -1;
}

static int teardown(void **state)
{
	tally_release(*state);
	return 0;
}

static void keys_count_apart(void **state)
{
	struct tally *t = *state;

	add(t, 1, 2, NOW);
	add(t, 2, 5, NOW);
	assert_int_equal(waits(t, 1, NOW), 0);
	assert_int_equal(waits(t, 2, NOW), 4 * S);
	assert_int_equal(waits(t, 2, NOW + S), 3 * S);
	assert_int_equal(waits(t, 3, NOW), 0);
	add(t, 1, 1, NOW);
	assert_int_equal(waits(t, 1, NOW), S);
}

static void what_is_long_ago_is_forgotten(void **state)
{
	struct tally *t = *state;

	add(t, 1, 5, NOW);
	add(t, 1, 1, NOW + 150 * S); /* five times 30 s: it is the first again */
	assert_int_equal(waits(t, 1, NOW + 150 * S), 0);
	add(t, 1, 2, NOW + 150 * S);
	assert_int_equal(waits(t, 1, NOW + 150 * S), S);
}

static void counts_end_somewhere(void **state)
{
	struct tally *t = *state;

	add(t, 1, PACE_MAX + 100, NOW);
	assert_int_equal(waits(t, 1, NOW), 60 * S);
}

/* A million others, a failure or two each: neither is the table larger for it, nor do they push out
 * the one that has failed often; the time stays what it is. */
static void a_million_keys_push_out_nobody_who_counts(void **state)
{
	struct tally *t = *state;
	int64_t start = clock_mono(), took;

	add(t, 1, 20, NOW);
	for (uint64_t n = 1000; n < 1001000; n++)
		add(t, n, 1 + (int)(n & 1), NOW);
	took = clock_mono() - start;
	assert_int_equal(waits(t, 1, NOW), 60 * S);
	print_message("%.0f ns an event\n", (double)took / 1500);
	assert_true(took < 30 * S);
}

/* What was pushed out before may have been counted anew: but a set always has room for a new key. */
static void a_full_table_still_takes_a_newcomer(void **state)
{
	struct tally *t = *state;

	for (uint64_t n = 1000; n < 21000; n++)
		add(t, n, 4, NOW);
	add(t, 1, 5, NOW + S);
	assert_int_equal(waits(t, 1, NOW + S), 4 * S);
}

static void *hammer(void *arg)
{
	struct tally *t = arg;

	for (uint64_t i = 0; i < 20000; i++) {
		add(t, i % 64, 1, NOW);
		(void)waits(t, i % 61, NOW);
	}
	return NULL;
}

static void threads_lose_next_to_nothing(void **state)
{
	struct tally *t = *state;
	pthread_t th[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&th[i], NULL, hammer, t), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	for (uint64_t n = 0; n < 64; n++)
		assert_int_equal(waits(t, n, NOW), 60 * S);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_count_apart),
		TEST(what_is_long_ago_is_forgotten),
		TEST(counts_end_somewhere),
		TEST(a_million_keys_push_out_nobody_who_counts),
		TEST(a_full_table_still_takes_a_newcomer),
		TEST(threads_lose_next_to_nothing),
	};

	return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
