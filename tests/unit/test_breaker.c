/* The circuit breaker's table: what opens it, what closes it, and what says nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "upstream/breaker.h"

#define MS 1000

static void one(struct breaker *b, enum breaker_result r, int64_t now)
{
	bool probe = breaker_start(b, now);

	breaker_end(b, probe, r, now);
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
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_false(breaker_allows(&b, BREAKER_BACKOFF_MIN - 1));
	assert_true(breaker_allows(&b, BREAKER_BACKOFF_MIN));
}

static void opens_when_half_of_a_window_fails(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	for (int i = 0; i < BREAKER_WINDOW_MIN; i++)
		one(&b, i % 2 ? BREAKER_FAILED : BREAKER_OK, 0);
	assert_int_equal(b.state, BREAKER_OPEN);
	b = (struct breaker){ 0 };
	for (int i = 0; i < 3 * BREAKER_WINDOW_MIN; i++) /* never enough in one window */
		one(&b, i % 2 ? BREAKER_FAILED : BREAKER_OK, i * (BREAKER_WINDOW / 10));
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void one_probe_decides(void **state)
{
	struct breaker b = { 0 };
	int64_t now = BREAKER_BACKOFF_MIN;

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, 0);
	assert_true(breaker_start(&b, now));
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_false(breaker_allows(&b, now)); /* the second has to wait for the first */
	assert_false(breaker_start(&b, now));
	breaker_end(&b, true, BREAKER_FAILED, now);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_false(breaker_allows(&b, now + BREAKER_BACKOFF_MIN)); /* twice as long now */
	now += 2 * BREAKER_BACKOFF_MIN;
	assert_true(breaker_allows(&b, now));
	assert_true(breaker_start(&b, now));
	breaker_end(&b, true, BREAKER_OK, now);
	assert_int_equal(b.state, BREAKER_CLOSED);
	fail_times(&b, BREAKER_CONSECUTIVE, now);
	assert_true(breaker_allows(&b, now + BREAKER_BACKOFF_MIN)); /* and short again */
}

static void what_began_before_says_nothing(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, 0);
	breaker_end(&b, false, BREAKER_OK, MS);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_true(breaker_start(&b, BREAKER_BACKOFF_MIN));
	breaker_end(&b, false, BREAKER_FAILED, BREAKER_BACKOFF_MIN);
	breaker_end(&b, false, BREAKER_OK, BREAKER_BACKOFF_MIN);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
}

static void a_cancelled_probe_makes_room(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, 0);
	assert_true(breaker_start(&b, BREAKER_BACKOFF_MIN));
	breaker_end(&b, true, BREAKER_NOTHING, BREAKER_BACKOFF_MIN);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_true(breaker_allows(&b, BREAKER_BACKOFF_MIN));
	assert_string_equal(breaker_state_name(b.state), "half-open");
}

static void backoff_has_a_bound(void **state)
{
	struct breaker b = { 0 };
	int64_t now = 0;

	(void)state;
	fail_times(&b, BREAKER_CONSECUTIVE, now);
	for (int i = 0; i < 20; i++) {
		now += BREAKER_BACKOFF_MAX;
		assert_true(breaker_start(&b, now));
		breaker_end(&b, true, BREAKER_FAILED, now);
	}
	assert_int_equal(b.until - now, BREAKER_BACKOFF_MAX);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
