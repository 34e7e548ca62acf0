/* A call to a node in which the n-th allocation fails, and all that follow, for every n: it ends once, with an
 * error that says so or with the answer, and nothing stays behind (under AddressSanitizer). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/heap.h"
#include "upstream/budget.h"
#include "upstream/fleet.h"
#include "upstream_fixture.h"

/* False: no allocation has failed. */
static bool one_call(struct fixture *fx, long n)
{
	struct seen *s = &fx->seen[0];
	enum err e;

	fx->gave_up = s->done = false;
	assert_int_equal(loop_timer_set(fx->loop, &fx->patience, PATIENCE), OK);
	heap_fail_after(n);
	e = upstream_new(&fx->config, fx->loop, &fx->up);
	if (e == OK)
		s = fixture_send(fx, 0);
	while (e == OK && !s->done && !fx->gave_up)
		loop_run(fx->loop);
	assert_false(fx->gave_up);
	loop_timer_clear(fx->loop, &fx->patience);
	if (!heap_fail_after(0)) {
		assert_int_equal(s->err, OK);
		return false;
	}
	if (e == OK && s->err != OK)
		assert_true(s->err == E_NOMEM || s->err == E_OVERLOADED || s->err == E_UPSTREAM_FAILED ||
		    s->err == E_BAD_UPSTREAM);
	else
		assert_true(e == OK || e == E_NOMEM);
	upstream_free(e == OK ? fx->up : NULL);
	fx->up = NULL;
	return true;
}

static void every_allocation_of_a_call(struct fixture *fx)
{
	long n = 1;

	fx->config.first_byte_timeout_us = fx->config.connect_timeout_us = 2 * CLOCK_SEC;
	while (one_call(fx, n))
		n++;
	assert_true(n > 10);
}

static void over_http(void **state)
{
	fixture_start_a(*state, serve_well);
	every_allocation_of_a_call(*state);
}

static void over_grpc(void **state)
{
	struct fixture *fx = *state;

	fx->q.grpc = true;
	fixture_start_a(fx, node_http2);
	every_allocation_of_a_call(fx);
}

static void records(void **state)
{
	struct fleet_node *node;
	struct budget *budget;
	struct fleet *f;

	(void)state;
	for (long n = 1, failed = 1; failed; n++) {
		heap_fail_after(n);
		node = NULL;
		budget = NULL;
		if (fleet_new(&f) == OK) {
			node = fleet_node_get(f, STR("http://a"), false);
			budget = fleet_budget_get(f, ROUTE_RUNNER, STR("r"));
			fleet_node_put(f, node);
			fleet_budget_put(f, budget);
			fleet_free(f);
		}
		failed = heap_fail_after(0);
		assert_int_equal(failed, node == NULL || budget == NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(over_http), TEST(over_grpc), cmocka_unit_test(records) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
