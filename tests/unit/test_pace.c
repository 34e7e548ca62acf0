#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/pace.h"

#define S CLOCK_SEC
#define MIN (60 * CLOCK_SEC)

static const struct pace tries = { .free = 3, .first = S, .factor = 2, .most = 60 * S, .leak = 60 * S };

static void delays_grow_to_the_longest(void **state)
{
	static const int64_t want[] = { 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60 };

	(void)state;
	for (size_t n = 0; n < sizeof want / sizeof *want; n++)
		assert_int_equal(pace_wait(&tries, (int64_t)n, 0), want[n] * S);
	assert_int_equal(pace_wait(&tries, PACE_MAX, 0), 60 * S);
}

static void waiting_is_enough(void **state)
{
	(void)state;
	assert_int_equal(pace_wait(&tries, 6, 3 * S), 5 * S);
	assert_int_equal(pace_wait(&tries, 6, 8 * S - 1), 1);
	assert_int_equal(pace_wait(&tries, 6, 8 * S), 0);
}

static void events_are_forgotten_one_by_one(void **state)
{
	(void)state;
	assert_int_equal(pace_left(&tries, 5, 0), 5);
	assert_int_equal(pace_left(&tries, 5, 60 * S - 1), 5);
	assert_int_equal(pace_left(&tries, 5, 120 * S), 3);
	assert_int_equal(pace_left(&tries, 5, INT64_MAX), 0);
}

static void a_clock_set_back_holds_nobody_for_long(void **state)
{
	(void)state;
	assert_int_equal(pace_left(&tries, 5, -3600 * S), 5); /* and forgets nothing */
	assert_true(pace_wait(&tries, 6, -30 * S) > 0);        /* replicas differ a little */
	assert_int_equal(pace_wait(&tries, 6, -61 * S), 0);
}

static void no_limit_is_none(void **state)
{
	struct pace p = tries;

	(void)state;
	p.free = 0;
	assert_int_equal(pace_wait(&p, PACE_MAX, 0), 0);
}

/* Whoever asks for letters as often as it can, after any pause: at most five in any hour, and never
 * more than 28 minutes without one, for a link lives for 30. */
static void five_letters_an_hour(void **state)
{
	const struct pace p = { .free = 1, .first = MIN, .factor = 3, .most = 28 * MIN, .leak = 28 * MIN };
	int64_t sent[512], at = 0, n = 0;
	size_t k = 0;

	(void)state;
	for (int pause = 0; pause <= 180; pause += 9) {
		int64_t from = (k > 0 ? at + pause * MIN : 0), gap = 0;

		for (int64_t now = from; now < from + 200 * MIN; now += S) {
			if (k > 0 && pace_wait(&p, n, now - at) > 0)
				continue;
			n = (k > 0 ? pace_left(&p, n, now - at) : 0) + 1;
			gap = k > 0 && now > from ? now - at : 0;
			assert_true(gap <= 28 * MIN);
			sent[k++] = at = now;
		}
	}
	assert_true(k > 100);
	for (size_t i = 5; i < k; i++)
		assert_true(sent[i] - sent[i - 5] >= 60 * MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays_grow_to_the_longest),
		cmocka_unit_test(waiting_is_enough),
		cmocka_unit_test(events_are_forgotten_one_by_one),
		cmocka_unit_test(a_clock_set_back_holds_nobody_for_long),
		cmocka_unit_test(no_limit_is_none),
		cmocka_unit_test(five_letters_an_hour),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
