/* Which node a call goes to: weights and load, circuits, health, what workers share of it; and how what
 * routing no longer names goes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/breaker.h"
#include "upstream/budget.h"
#include "upstream/fleet.h"
#include "upstream_fixture.h"

/* ---- the choice -------------------------------------------------------------------------------- */

static void shares_by_weight(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_well);
	fixture_start_b(fx, serve_well);
	fx->ep[0].weight = 3;
	for (int i = 0; i < 40; i++)
		fixture_call(fx);
	assert_int_equal(fx->a.requests, 30);
	assert_int_equal(fx->b.requests, 10);
}

static void avoids_the_busy(void **state)
{
	struct fixture *fx = *state;

	fx->config.first_byte_timeout_us = PATIENCE;
	fixture_start_a(fx, serve_silence);
	fixture_start_b(fx, serve_well);
	fixture_send(fx, 1); /* to a, where it stays */
	fixture_wait(fx, fixture_send(fx, 2));
	for (int i = 0; i < 20; i++)
		assert_int_equal(fixture_call(fx)->status, 200);
	fixture_wait_count(fx, &fx->a.requests, 1);
	assert_int_equal(fx->a.requests, 1);
}

static void breaks_the_circuit(void **state)
{
	struct fixture *fx = *state;
	const char *sample = "gateway_upstream_circuit_state{kind=\"projection\",shard=\"p1\","
	    "endpoint=\"%s\"} ";
	char name[256];
	struct seen *s;
	uint16_t port = node_dead_port();

	fixture_add(fx, port, 1);
	snprintf(name, sizeof name, sample, fx->urls[0]);
	for (int i = 0; i < (BREAKER_CONSECUTIVE + 1) / 2; i++) /* each with a retry */
		assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_FAILED);
	assert_int_equal(fixture_metric(fx, name), BREAKER_OPEN);
	s = fixture_call(fx);
	assert_int_equal(s->err, E_SHARD_UNAVAILABLE);
	assert_int_equal(s->tries, 0);
	/* another endpoint of the shard takes all while this one is out */
	fixture_start_b(fx, serve_well);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fixture_call(fx)->status, 200);
		assert_int_equal(fx->seen[0].tries, 1);
	}
}

static void fail_once(struct node *n, int fd, int nth)
{
	char in[4096];

	while (node_read_request(n, fd, in, sizeof in) > 0)
		if (nth >= BREAKER_CONSECUTIVE)
			node_write(fd, OK_ANSWER);
		else
			return;
}

static void heals_by_a_probe(void **state)
{
	struct fixture *fx = *state;
	int64_t until = clock_mono() + PATIENCE;

	fixture_start_a(fx, fail_once);
	fx->q.idempotent = false; /* one try a call */
	for (int i = 0; i < BREAKER_CONSECUTIVE; i++)
		assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_FAILED);
	assert_int_equal(fixture_call(fx)->tries, 0);
	do /* until the breaker lets a probe through */
		fixture_turn(fx, 20 * CLOCK_MS);
	while (fixture_call(fx)->err != OK && clock_mono() < until);
	assert_int_equal(fx->seen[0].status, 200);
	assert_int_equal(fixture_call(fx)->status, 200);
}

/* Callers whose time is up before the node's say nothing about it. */
static void haste_opens_no_circuit(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_silence);
	for (int i = 0; i < 4 * BREAKER_CONSECUTIVE; i++) {
		fx->q.deadline = clock_mono() + 5 * CLOCK_MS;
		assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_TIMEOUT);
	}
}

/* But when it is silent to all of them for as long as it may be to one, it is given up. */
static void silence_opens_the_circuit(void **state)
{
	struct fixture *fx = *state;
	int64_t began = clock_mono();

	fx->config.first_byte_timeout_us = 200 * CLOCK_MS;
	fixture_start_a(fx, serve_silence);
	do
		fx->q.deadline = clock_mono() + 20 * CLOCK_MS;
	while (fixture_call(fx)->err == E_UPSTREAM_TIMEOUT && clock_mono() < began + PATIENCE);
	assert_int_equal(fx->seen[0].err, E_SHARD_UNAVAILABLE);
	assert_true(clock_mono() - began >= 200 * CLOCK_MS);
}

/* ---- what workers share ------------------------------------------------------------------------ */

static void two_workers_share_a_circuit(void **state)
{
	struct fixture *fx = *state;
	struct upstream *first;
	struct fleet *fleet;

	assert_int_equal(fleet_new(&fleet), OK);
	fx->config.fleet = fleet;
	fixture_add(fx, node_dead_port(), 1);
	for (int i = 0; i < (BREAKER_CONSECUTIVE + 1) / 2; i++)
		assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_FAILED);
	first = fx->up;
	fx->up = NULL; /* the next call makes another, on the same fleet */
	assert_int_equal(fixture_call(fx)->err, E_SHARD_UNAVAILABLE);
	upstream_free(first);
	upstream_free(fx->up);
	fx->up = NULL;
	fleet_free(fleet);
}

static void who_is_down_gets_no_calls(void **state)
{
	struct fixture *fx = *state;
	struct fleet_node *a;
	struct fleet *fleet;

	assert_int_equal(fleet_new(&fleet), OK);
	fx->config.fleet = fleet;
	fixture_start_a(fx, serve_well);
	fixture_start_b(fx, serve_well);
	a = fleet_node_get(fleet, str_c(fx->urls[0]), false);
	atomic_store(&a->health, HEALTH_DOWN);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(fixture_call(fx)->status, 200);
		assert_string_equal(fx->seen[0].endpoint, fx->urls[1]);
	}
	fx->shard.n = 1;
	assert_int_equal(fixture_call(fx)->err, E_SHARD_UNAVAILABLE);
	fx->q.admin = true; /* an operator reaches it all the same */
	assert_int_equal(fixture_call(fx)->status, 200);
	fx->q.admin = false;
	atomic_store(&a->health, HEALTH_UP);
	assert_int_equal(fixture_call(fx)->status, 200);
	fleet_node_put(fleet, a);
	upstream_free(fx->up);
	fx->up = NULL;
	fleet_free(fleet);
}

/* ---- what routing no longer names --------------------------------------------------------------- */

/* Its connections end, its series too, and what was counted for the shard stays. */
static void who_is_gone_is_forgotten(void **state)
{
	struct fixture *fx = *state;
	struct fleet_node *a;
	struct fleet *fleet;
	char sample[160];

	assert_int_equal(fleet_new(&fleet), OK);
	fx->config.fleet = fleet;
	fixture_start_a(fx, serve_well);
	assert_int_equal(fixture_call(fx)->status, 200);
	snprintf(sample, sizeof sample, "gateway_upstream_circuit_state{kind=\"projection\",shard=\"p1\","
	    "endpoint=\"%s\"} 0", fx->urls[0]);
	assert_true(fixture_has_sample(fx, sample));
	a = fleet_node_get(fleet, str_c(fx->urls[0]), false);
	assert_int_equal(a->refs, 2);
	atomic_store(&a->gone, true);
	assert_false(fixture_has_sample(fx, sample));
	upstream_configure(fx->up, &fx->config); /* sweeps */
	fixture_wait_count(fx, &fx->a.closed, 1);
	upstream_configure(fx->up, &fx->config);
	fixture_turn(fx, 50 * CLOCK_MS);
	assert_int_equal(a->refs, 1);
	assert_int_equal(fixture_metric(fx,
	    "gateway_upstream_requests_total{kind=\"projection\",shard=\"p1\",outcome=\"ok\"} "), 1);
	assert_int_equal(fixture_call(fx)->status, 200); /* a table that is still in use names it */
	assert_int_equal(a->refs, 2);
	fleet_node_put(fleet, a);
	upstream_free(fx->up);
	fx->up = NULL;
	fleet_free(fleet);
}

static struct route_table *table(const char *document)
{
	char *text = strdup(document);
	struct route_table *t;

	assert_int_equal(route_table_read(text, strlen(text), &t, NULL), OK);
	free(text);
	return t;
}

/* All that is to go goes, for nobody reads the counters. */
static void sweep(struct fixture *fx)
{
	upstream_configure(fx->up, &fx->config);
	fixture_turn(fx, 20 * CLOCK_MS);
}

#define REQUESTS "gateway_upstream_requests_total{kind=\"projection\",shard=\"p1\""

static void a_shard_is_forgotten_when_nothing_names_it(void **state)
{
	struct fixture *fx = *state;
	struct budget *b;
	struct fleet *fleet;

	assert_int_equal(fleet_new(&fleet), OK);
	fx->config.fleet = fleet;
	fixture_start_a(fx, serve_silence);
	fixture_send(fx, 0);
	fixture_wait_count(fx, &fx->a.requests, 1);
	b = fleet_budget_get(fleet, ROUTE_PROJECTION, STR("p1"));
	fixture_send(fx, 1);
	upstream_cancel(fx->seen[1].call);
	upstream_set_routes_take(fx->up,
	    table("{\"revision\":1,\"projection_shards\":{\"p1\":[\"http://h\"]}}"));
	sweep(fx);
	assert_true(fixture_has_sample(fx, REQUESTS));
	upstream_set_routes_take(fx->up,
	    table("{\"revision\":2,\"runner_shards\":{\"p1\":[\"http://h\"]}}"));
	sweep(fx);
	assert_false(fixture_has_sample(fx, REQUESTS));
	assert_int_equal(b->refs, 2); /* a call is under way */
	upstream_cancel(fx->seen[0].call);
	sweep(fx);
	assert_int_equal(b->refs, 1);
	fixture_send(fx, 0); /* by somebody who has the table before */
	assert_int_equal(b->refs, 2);
	upstream_cancel(fx->seen[0].call);
	assert_int_equal(fixture_metric(fx, REQUESTS ",outcome=\"cancelled\"} "), 1);
	fleet_budget_put(fleet, b);
	upstream_free(fx->up);
	fx->up = NULL;
	fleet_free(fleet);
}

#define MANY 700 /* more than one sweep goes through */

/* Sweeps until the worker has no more than so many of them. */
static void sweep_down_to(struct fixture *fx, struct budget *const *b, unsigned n)
{
	unsigned left = MANY;

	for (int turns = 0; left > n && turns < 1000; turns++) {
		sweep(fx);
		left = 0;
		for (int i = 0; i < MANY; i++)
			left += b[i]->refs > 1;
	}
	assert_int_equal(left, n);
}

static void many_shards_are_forgotten(void **state)
{
	struct fixture *fx = *state;
	struct budget *b[MANY];
	char name[8];
	struct fleet *fleet;

	assert_int_equal(fleet_new(&fleet), OK);
	fx->config.fleet = fleet;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "%d", i);
		fx->shard.name = str_c(name); /* without endpoints */
		assert_int_equal(fixture_call(fx)->err, E_BAD_REQUEST);
		b[i] = fleet_budget_get(fleet, ROUTE_PROJECTION, fx->shard.name);
	}
	upstream_set_routes_take(fx->up, table("{\"revision\":1,\"projection_shards\":"
	    "{\"0\":[\"http://h\"],\"350\":[\"http://h\"],\"699\":[\"http://h\"]}}"));
	sweep_down_to(fx, b, 3);
	assert_true(b[0]->refs == 2 && b[350]->refs == 2 && b[699]->refs == 2);
	assert_int_equal(fixture_call(fx)->err, E_BAD_REQUEST); /* 699 is found again */
	assert_int_equal(b[699]->refs, 2);
	upstream_set_routes_take(fx->up, table("{\"revision\":2}"));
	sweep_down_to(fx, b, 0);
	for (int i = 0; i < MANY; i++)
		fleet_budget_put(fleet, b[i]);
	upstream_free(fx->up);
	fx->up = NULL;
	fleet_free(fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shares_by_weight), TEST(avoids_the_busy), TEST(breaks_the_circuit),
		TEST(heals_by_a_probe), TEST(haste_opens_no_circuit), TEST(silence_opens_the_circuit),
		TEST(two_workers_share_a_circuit), TEST(who_is_down_gets_no_calls),
		TEST(who_is_gone_is_forgotten), TEST(a_shard_is_forgotten_when_nothing_names_it),
		TEST(many_shards_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
