/* Records of nodes and shards: found again, shared, gone with the last reference; retry budgets under many
 * threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "upstream/budget.h"
#include "upstream/fleet.h"

#define MANY 1000

static void records_are_found_again(void **state)
{
	struct fleet *f;
	struct fleet_node *n[MANY], *again;
	char url[32];

	(void)state;
	assert_int_equal(fleet_new(&f), OK);
	for (int i = 0; i < MANY; i++) {
		snprintf(url, sizeof url, "http://h:%d", i);
		n[i] = fleet_node_get(f, str_c(url), false);
		assert_int_equal(fleet_node_health(n[i]), HEALTH_UNKNOWN);
		assert_int_equal(breaker_state(&n[i]->breaker), BREAKER_CLOSED);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(url, sizeof url, "http://h:%d", i);
		again = fleet_node_get(f, str_c(url), false);
		assert_ptr_equal(again, n[i]);
		fleet_node_put(f, again);
		again = fleet_node_get(f, str_c(url), true); /* as the target of administration: another */
		assert_ptr_not_equal(again, n[i]);
		fleet_node_put(f, again);
	}
	atomic_store(&n[0]->health, HEALTH_DOWN);
	fleet_node_put(f, n[0]); /* and with it what was known */
	n[0] = fleet_node_get(f, STR("http://h:0"), false);
	assert_int_equal(fleet_node_health(n[0]), HEALTH_UNKNOWN);
	for (int i = 0; i < MANY; i++)
		fleet_node_put(f, n[i]);
	fleet_free(f);
}

static void sums_leave_out_who_is_gone(void **state)
{
	struct fleet *f;
	struct fleet_node *a, *b;
	struct fleet_summary s;

	(void)state;
	assert_int_equal(fleet_new(&f), OK);
	a = fleet_node_get(f, STR("http://a"), false);
	b = fleet_node_get(f, STR("http://b"), false);
	atomic_store(&b->gone, true);
	fleet_summarise(f, 0, NULL, NULL, &s);
	assert_int_equal(s.nodes, 1);
	fleet_node_put(f, a);
	fleet_node_put(f, b);
	fleet_free(f);
}

static void budgets_are_the_shards(void **state)
{
	struct fleet *f;
	struct budget *a, *same, *kind, *other;
	int64_t purse = 0, poor = 0;

	(void)state;
	assert_int_equal(fleet_new(&f), OK);
	a = fleet_budget_get(f, ROUTE_PROJECTION, STR("p1"));
	same = fleet_budget_get(f, ROUTE_PROJECTION, STR("p1"));
	kind = fleet_budget_get(f, ROUTE_AGGREGATE, STR("p1"));
	other = fleet_budget_get(f, ROUTE_PROJECTION, STR("p2"));
	assert_ptr_equal(a, same);
	assert_ptr_not_equal(a, kind);
	assert_ptr_not_equal(a, other);
	for (int i = 0; i < BUDGET_START / BUDGET_RETRY; i++)
		assert_true(budget_spend(a, &purse));
	assert_false(budget_spend(a, &purse));
	for (int i = 0; i < 9; i++)
		budget_earn(a, &purse, 10); /* nine tenths, in the worker's own purse */
	assert_false(budget_spend(a, &poor));
	budget_earn(a, &purse, 10);
	assert_true(budget_spend(a, &poor)); /* another worker spends what this one paid in */
	assert_false(budget_spend(a, &poor));
	for (int i = 0; i < 100000; i++)
		budget_earn(a, &purse, 100);
	assert_int_equal(a->tokens, BUDGET_MAX);
	fleet_budget_put(f, a);
	fleet_budget_put(f, same);
	fleet_budget_put(f, kind);
	fleet_budget_put(f, other);
	fleet_free(f);
}

/* ---- many threads ------------------------------------------------------------------------------ */

#define THREADS 4
#define CALLS 20000

static struct budget *shared;
static struct fleet *fleet;

/* A call in two wants a retry; the budget is for one in ten. Records come and go meanwhile. */
static void *spend(void *arg)
{
	uintptr_t spent = 0;
	int64_t purse = 0;

	(void)arg;
	for (int i = 0; i < CALLS; i++) {
		struct fleet_node *n = fleet_node_get(fleet, i % 2 ? STR("http://a") : STR("http://b"), false);

		budget_earn(shared, &purse, 10);
		if (i % 2)
			spent += budget_spend(shared, &purse);
		fleet_node_put(fleet, n);
	}
	return (void *)spent;
}

static void retries_are_a_share_of_all_calls(void **state)
{
	pthread_t id[THREADS];
	uintptr_t all = 0;

	(void)state;
	assert_int_equal(fleet_new(&fleet), OK);
	shared = fleet_budget_get(fleet, ROUTE_RUNNER, STR("r"));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&id[i], NULL, spend, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		void *spent;

		pthread_join(id[i], &spent);
		all += (uintptr_t)spent;
	}
	assert_in_range(all, THREADS * CALLS / 10 - THREADS, THREADS * CALLS / 10 + BUDGET_START / BUDGET_RETRY);
	fleet_budget_put(fleet, shared);
	fleet_free(fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_found_again), cmocka_unit_test(sums_leave_out_who_is_gone),
		cmocka_unit_test(budgets_are_the_shards), cmocka_unit_test(retries_are_a_share_of_all_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
