/* Active health checks against nodes that are well, unwell, silent, gone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonr.h"
#include "node_fixture.h"
#include "routing/table.h"
#include "upstream/fleet.h"
#include "upstream/prober.h"

#define PATIENCE (20 * CLOCK_SEC)

struct fixture {
	struct fleet *fleet;
	struct prober *p;
	struct prober_config config;
	struct node a;
	bool has_a;
	char url[64];
	int revision;
};

static int set_up(void **state)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	fx->config = (struct prober_config){ .interval_us = 20 * CLOCK_MS, .timeout_us = 2 * CLOCK_SEC,
		.rise = 2, .fall = 3, .path = "/ready?deep=1" };
	assert_int_equal(fleet_new(&fx->fleet), OK);
	*state = fx;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fx = *state;

	prober_free(fx->p);
	fleet_free(fx->fleet);
	if (fx->has_a)
		node_stop(&fx->a);
	free(fx);
	return 0;
}

static void follow(struct fixture *fx, json_t *urls)
{
	json_t *doc = json_pack("{s:i,s:{s:s},s:{s:o}}", "revision", ++fx->revision, "projection_placement",
	    "*", "p", "projection_shards", "p", urls);
	char *text = json_dumps(doc, 0);
	struct route_table *t;

	if (fx->p == NULL)
		assert_int_equal(prober_new(&fx->config, fx->fleet, &fx->p), OK);
	assert_int_equal(route_table_read(text, strlen(text), &t, NULL), OK);
	prober_set_take(fx->p, NULL, t, NULL);
	free(text);
	json_decref(doc);
}

static void start(struct fixture *fx, const char *scheme, node_serve *serve)
{
	node_start(&fx->a, serve);
	fx->has_a = true;
	snprintf(fx->url, sizeof fx->url, "%s://127.0.0.1:%u", scheme, fx->a.port);
	follow(fx, json_pack("[s]", fx->url));
}

static bool health_is(struct fixture *fx, enum health h)
{
	struct fleet_node *n = fleet_node_get(fx->fleet, str_c(fx->url), false);
	bool is = fleet_node_health(n) == h;

	fleet_node_put(fx->fleet, n);
	return is;
}

static void wait_health(struct fixture *fx, enum health h)
{
	for (int64_t end = clock_mono() + PATIENCE; !health_is(fx, h); sched_yield())
		assert_true(clock_mono() < end);
}

static void wait_count(atomic_int *count, int n)
{
	for (int64_t end = clock_mono() + PATIENCE; *count < n; sched_yield())
		assert_true(clock_mono() < end);
}

static int reason(struct fixture *fx)
{
	struct fleet_node *n = fleet_node_get(fx->fleet, str_c(fx->url), false);
	int e = n->reason;

	fleet_node_put(fx->fleet, n);
	return e;
}

/* ---- nodes ------------------------------------------------------------------------------------- */

static atomic_int status; /* that nodes answer with; 0: nothing */

static void serve_status(struct node *n, int fd, int nth)
{
	static const char head[] = "GET /ready?deep=1 HTTP/1.1\r\nhost: 127.0.0.1:";
	char in[4096], out[256];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0) {
		bool asked = strncmp(in, head, sizeof head - 1) == 0;

		snprintf(out, sizeof out, "HTTP/1.1 %d X\r\n%s\r\n", asked ? (int)status : 599,
		    status == 204 ? "" : "content-length: 0\r\n");
		if (status != 0)
			node_write(fd, out);
	}
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void follows_what_a_node_says(void **state)
{
	struct fixture *fx = *state;
	static const int well[] = { 200, 204, 302, 401, 404, 501 };

	status = 200;
	start(fx, "http", serve_status);
	wait_health(fx, HEALTH_UP);
	for (size_t i = 0; i < sizeof well / sizeof *well; i++) {
		status = 503;
		wait_health(fx, HEALTH_DOWN);
		assert_int_equal(reason(fx), OK);
		status = well[i];
		wait_health(fx, HEALTH_UP);
	}
}

static void counts_to_rise_and_fall(void **state)
{
	struct fixture *fx = *state;
	int before;

	fx->config.fall = 7;
	fx->config.rise = 5;
	status = 500;
	start(fx, "http", serve_status);
	wait_health(fx, HEALTH_DOWN);
	assert_true(fx->a.requests >= 7);
	before = fx->a.requests;
	status = 200;
	wait_health(fx, HEALTH_UP);
	assert_true(fx->a.requests >= before + 5 - 1); /* one may have been on its way */
}

static void silence_is_not_well(void **state)
{
	struct fixture *fx = *state;

	fx->config.timeout_us = 20 * CLOCK_MS;
	status = 0;
	start(fx, "http", serve_status);
	wait_health(fx, HEALTH_DOWN);
	assert_int_equal(reason(fx), E_UPSTREAM_TIMEOUT);
}

static void nobody_there_is_not_well(void **state)
{
	struct fixture *fx = *state;

	snprintf(fx->url, sizeof fx->url, "http://127.0.0.1:%u", node_dead_port());
	follow(fx, json_pack("[s]", fx->url));
	wait_health(fx, HEALTH_DOWN);
	assert_int_equal(reason(fx), E_UPSTREAM_FAILED);
}

static void asks_grpc_nodes_in_their_language(void **state)
{
	struct fixture *fx = *state;

	start(fx, "grpc", node_http2);
	wait_health(fx, HEALTH_UP); /* knows no health service */
	fx->a.health = 2;           /* NOT_SERVING */
	wait_health(fx, HEALTH_DOWN);
	fx->a.health = 1;
	wait_health(fx, HEALTH_UP);
}

static void each_check_connects(void **state)
{
	struct fixture *fx = *state;

	status = 200;
	start(fx, "http", serve_status);
	wait_count(&fx->a.closed, 5); /* and leaves nothing open */
	assert_true(fx->a.accepted <= fx->a.closed + 2);
}

static void nodes_come_and_go(void **state)
{
	struct fixture *fx = *state;
	struct fleet_node *n;

	status = 503;
	start(fx, "http", serve_status);
	wait_health(fx, HEALTH_DOWN);
	n = fleet_node_get(fx->fleet, str_c(fx->url), false);
	follow(fx, json_pack("[s]", "http://127.0.0.1:9"));
	for (int64_t end = clock_mono() + PATIENCE; !n->gone; sched_yield())
		assert_true(clock_mono() < end);
	follow(fx, json_pack("[s]", fx->url)); /* and back, with what is known of it */
	for (int64_t end = clock_mono() + PATIENCE; n->gone; sched_yield())
		assert_true(clock_mono() < end);
	assert_true(health_is(fx, HEALTH_DOWN));
	status = 200;
	wait_health(fx, HEALTH_UP);
	fleet_node_put(fx->fleet, n);
}

static void can_be_switched_off(void **state)
{
	struct fixture *fx = *state;

	status = 503;
	start(fx, "http", serve_status);
	wait_health(fx, HEALTH_DOWN);
	fx->config.interval_us = 0;
	prober_set_take(fx->p, &fx->config, NULL, NULL);
	wait_health(fx, HEALTH_UNKNOWN);
	fx->config.interval_us = 10 * CLOCK_MS;
	prober_set_take(fx->p, &fx->config, NULL, NULL);
	wait_health(fx, HEALTH_DOWN);
}

static void serve_never(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	atomic_fetch_add(&n->streams, 1);
	while (node_read_request(n, fd, in, sizeof in) > 0)
		;
	atomic_fetch_sub(&n->streams, 1);
}

static void start_many(struct fixture *fx, node_serve *serve)
{
	json_t *urls = json_array();
	char url[64];

	node_start(&fx->a, serve);
	fx->has_a = true;
	for (int i = 0; i < 5000; i++) {
		snprintf(url, sizeof url, "http://127.0.0.1:%u/%d", fx->a.port, i);
		json_array_append_new(urls, json_string(url));
	}
	follow(fx, urls);
}

static void asks_so_many_a_second(void **state)
{
	struct fixture *fx = *state;
	int64_t began = clock_mono();

	status = 200;
	start_many(fx, serve_status);
	wait_count(&fx->a.accepted, 300);
	assert_true(clock_mono() - began > 250 * CLOCK_SEC / PROBER_A_SECOND);
}

/* Very many nodes, all of them silent: no more than so many are asked at once. */
static void asks_so_many_at_once(void **state)
{
	struct fixture *fx = *state;
	struct fleet_summary s;

	start_many(fx, serve_never);
	wait_count(&fx->a.accepted, PROBER_AT_ONCE);
	fleet_summarise(fx->fleet, 0, NULL, NULL, &s);
	assert_int_equal(s.nodes, 5000);
	assert_int_equal(s.health[HEALTH_UNKNOWN], 5000);
	prober_free(fx->p); /* with checks under way */
	fx->p = NULL;
	assert_int_equal(fx->a.accepted, PROBER_AT_ONCE);
}

static void one(void *arg, const struct fleet_node *n)
{
	snprintf(arg, 64, "%.*s", STR_ARG(n->url));
}

static void sums_up(void **state)
{
	struct fixture *fx = *state;
	struct fleet_summary s;
	char name[64] = "";

	status = 503;
	start(fx, "http", serve_status);
	wait_health(fx, HEALTH_DOWN);
	fleet_summarise(fx->fleet, 1, one, name, &s);
	assert_int_equal(s.nodes, 1);
	assert_int_equal(s.unwell, 1);
	assert_int_equal(s.health[HEALTH_DOWN], 1);
	assert_int_equal(s.circuit[BREAKER_CLOSED], 1);
	assert_string_equal(name, fx->url);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(follows_what_a_node_says), TEST(counts_to_rise_and_fall), TEST(silence_is_not_well),
		TEST(nobody_there_is_not_well), TEST(asks_grpc_nodes_in_their_language), TEST(each_check_connects),
		TEST(nodes_come_and_go), TEST(can_be_switched_off), TEST(asks_so_many_at_once),
		TEST(asks_so_many_a_second), TEST(sums_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
