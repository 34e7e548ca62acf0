/* Calls to nodes over HTTP/1.1 on a real loop, against nodes that misbehave. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "upstream/breaker.h"
#include "upstream_fixture.h"

/* ---- nodes ------------------------------------------------------------------------------------- */

static void serve_head_back(struct node *n, int fd, int nth)
{
	char in[4096], out[8192];
	size_t k;

	(void)nth;
	while ((k = node_read_request(n, fd, in, sizeof in)) > 0) {
		snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", k,
		    in);
		node_write(fd, out);
	}
}

static void serve_leftover(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		node_write(fd, OK_ANSWER "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
}

/* The first connection answers once and then takes a request with it into the grave. */
static void serve_then_die(struct node *n, int fd, int nth)
{
	char in[4096];

	while (node_read_request(n, fd, in, sizeof in) > 0) {
		if (nth == 0 && n->requests == 2)
			return;
		node_write(fd, OK_ANSWER);
	}
}

static void serve_half_answer(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	if (node_read_request(n, fd, in, sizeof in) > 0)
		node_write(fd, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
}

static void serve_stall(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		node_write(fd, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
}

static void serve_nonsense(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		node_write(fd, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n"
		    "\r\nhello!!");
}

static void serve_in_pieces(struct node *n, int fd, int nth)
{
	static const char text[] = "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\n"
	    "X-Node: 7\r\n"
	                           "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
	    "world\r\n0\r\nt: u\r\n\r\n";
	char in[4096], one[2] = "";

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		for (size_t i = 0; i < sizeof text - 1; i++) {
			one[0] = text[i];
			node_write(fd, one);
		}
}

#define MORE_THAN_HEAD 500000 /* bytes of body: more than is read at once */

/* The status line alone; the rest, once the test has turned the loop. */
static void serve_status_first(struct node *n, int fd, int nth)
{
	char in[4096], *rest = malloc(MORE_THAN_HEAD + 100);
	size_t k = (size_t)snprintf(rest, 100, "content-length: %d\r\nx-node: 1\r\n\r\n", MORE_THAN_HEAD);

	(void)nth;
	memset(rest + k, 'x', MORE_THAN_HEAD);
	rest[k + MORE_THAN_HEAD] = '\0';
	if (node_read_request(n, fd, in, sizeof in) > 0) {
		node_write(fd, "HTTP/1.1 200 OK\r\n");
		n->streams = 1;
		while (n->streams == 1)
			sched_yield();
		node_write(fd, rest);
	}
	free(rest);
}

static void serve_until_close(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	if (node_read_request(n, fd, in, sizeof in) > 0)
		node_write(fd, "HTTP/1.1 200 OK\r\n\r\nall of it");
}

static void serve_large(struct node *n, int fd, int nth)
{
	size_t size = 5 << 20;
	char in[4096], *body = malloc(size + 1);

	(void)nth;
	memset(body, 'x', size);
	body[size] = '\0';
	while (node_read_request(n, fd, in, sizeof in) > 0) {
		node_write(fd, "HTTP/1.1 200 OK\r\ncontent-length: 5242880\r\n\r\n");
		node_write(fd, body);
	}
	free(body);
}

/* Sums up a large body; its socket buffer is small, so that the gateway can't write it at once. */
static void serve_sum(struct node *n, int fd, int nth)
{
	size_t cap = 9 << 20, k;
	char *in = malloc(cap), out[128];

	(void)nth;
	while ((k = node_read_request(n, fd, in, cap)) > 0) {
		unsigned long sum = 0;
		char *body = strstr(in, "\r\n\r\n") + 4;

		for (char *p = body; p < in + k; p++)
			sum = sum * 31 + (unsigned char)*p;
		snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n%020lu",
		    sum);
		node_write(fd, out);
	}
	free(in);
}

/* ---- connections ------------------------------------------------------------------------------- */

static void keeps_connections(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_well);
	for (int i = 0; i < 3; i++) {
		struct seen *s = fixture_call(fx);

		assert_int_equal(s->err, OK);
		assert_int_equal(s->status, 200);
		assert_string_equal(s->body, "ok");
		assert_string_equal(s->header, "x-node");
		assert_string_equal(s->endpoint, fx->urls[0]);
		assert_int_equal(s->taken.n, 2);
		assert_true(s->reached);
	}
	assert_int_equal(fx->a.accepted, 1);
	assert_int_equal(fixture_metric(fx,
	    "gateway_upstream_requests_total{kind=\"projection\",shard=\"p1\",outcome=\"ok\"} "
	    ""), 3);
	assert_int_equal(fixture_metric(fx, "gateway_upstream_connections{kind=\"projection\","
	    "shard=\"p1\"} "), 1);
	assert_int_equal(fixture_metric(fx,
	    "gateway_upstream_duration_seconds_count{kind=\"projection\",shard=\"p1\"} "), 3);
}

static void writes_the_head(void **state)
{
	struct fixture *fx = *state;
	struct header h[] = { { STR("x-tenant-id"), STR("acme") }, { STR("accept"), STR("*/*") } };
	char want[512];

	fixture_start_a(fx, serve_head_back);
	fx->ep[0].base = STR("/node");
	fx->q.headers = h;
	fx->q.nheaders = 2;
	snprintf(want, sizeof want, "POST /node/q HTTP/1.1\r\nhost: 127.0.0.1:%u\r\n"
	    "x-tenant-id: acme\r\n"
	    "accept: */*\r\ncontent-length: 2\r\n\r\n{}", fx->a.port);
	assert_string_equal(fixture_call(fx)->body, want);
}

static void a_get_has_no_length(void **state)
{
	struct fixture *fx = *state;
	char want[512];

	fixture_start_a(fx, serve_head_back);
	fx->q.method = STR("GET");
	fx->q.body = STR_NONE;
	snprintf(want, sizeof want, "GET /q HTTP/1.1\r\nhost: 127.0.0.1:%u\r\n\r\n", fx->a.port);
	assert_string_equal(fixture_call(fx)->body, want);
}

static void never_reuses_what_has_bytes_left(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_leftover);
	for (int i = 0; i < 3; i++)
		assert_string_equal(fixture_call(fx)->body, "ok");
	assert_int_equal(fx->a.accepted, 3);
}

static void waits_for_room(void **state)
{
	struct fixture *fx = *state;

	fx->config.max_connections = 2;
	fixture_start_a(fx, serve_well);
	for (size_t i = 0; i < 20; i++)
		fixture_send(fx, i);
	fixture_wait_all(fx);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(fx->seen[i].status, 200);
	assert_true(fx->a.accepted <= 2);
}

static void idle_connections_end(void **state)
{
	struct fixture *fx = *state;

	fx->config.idle_timeout_us = 50 * CLOCK_MS;
	fixture_start_a(fx, serve_well);
	fixture_call(fx);
	fixture_wait_count(fx, &fx->a.closed, 1);
	assert_int_equal(fixture_metric(fx, "gateway_upstream_connections{kind=\"projection\","
	    "shard=\"p1\"} "), 0);
	assert_int_equal(fixture_call(fx)->status, 200);
	assert_int_equal(fx->a.accepted, 2);
}

static void resolves_names(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_well);
	fx->ep[0].host = STR("localhost");
	assert_int_equal(fixture_call(fx)->status, 200);
	fx->ep[0].host = STR("no-such-host.invalid");
	fx->ep[0].url = STR("http://no-such-host.invalid");
	assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_FAILED);
	assert_false(fx->seen[0].reached);
}

static void fewer_connections_from_now_on(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_well);
	for (size_t i = 0; i < 8; i++)
		fixture_send(fx, i);
	fixture_wait_all(fx);
	assert_true(fx->a.accepted > 2);
	fx->config.max_connections = 2;
	upstream_configure(fx->up, &fx->config);
	fixture_wait_count(fx, &fx->a.closed, fx->a.accepted - 2);
	assert_int_equal(fixture_metric(fx, "gateway_upstream_connections{kind=\"projection\","
	    "shard=\"p1\"} "), 2);
	for (size_t i = 0; i < 8; i++)
		fixture_send(fx, i);
	fixture_wait_all(fx);
	assert_int_equal(fixture_metric(fx, "gateway_upstream_connections{kind=\"projection\","
	    "shard=\"p1\"} "), 2);
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static void reads_pieces(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_in_pieces);
	for (int i = 0; i < 2; i++) {
		struct seen *s = fixture_call(fx);

		assert_int_equal(s->status, 200);
		assert_string_equal(s->body, "hello world");
		assert_string_equal(s->header, "x-node");
	}
	assert_int_equal(fx->a.accepted, 1);
}

static void reads_until_close(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_until_close);
	assert_string_equal(fixture_call(fx)->body, "all of it");
	assert_string_equal(fixture_call(fx)->body, "all of it");
	assert_int_equal(fx->a.accepted, 2);
}

static void reads_a_head_in_two_pieces(void **state)
{
	struct fixture *fx = *state;
	struct seen *s;

	fixture_start_a(fx, serve_status_first);
	s = fixture_send(fx, 0);
	fixture_wait_count(fx, &fx->a.streams, 1);
	fixture_turn(fx, CLOCK_MS);
	fx->a.streams = 2;
	fixture_wait(fx, s);
	assert_int_equal(s->err, OK);
	assert_string_equal(s->header, "x-node");
	assert_int_equal(s->body_n, MORE_THAN_HEAD);
}

static void bounds_the_body(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_large);
	for (int i = 0; i < 2 * BREAKER_CONSECUTIVE; i++) /* no fault of the node's: its circuit stays closed */
		assert_int_equal(fixture_call(fx)->err, E_LIMIT);
	upstream_free(fx->up);
	fx->up = NULL;
	fx->config.max_response = 6 << 20;
	assert_int_equal(fixture_call(fx)->err, OK);
	assert_int_equal(fx->seen[0].body_n, 5 << 20);
	assert_int_equal(fx->seen[0].taken.n, 5 << 20);
}

static void writes_large_bodies(void **state)
{
	struct fixture *fx = *state;
	size_t size = 8 << 20;
	int small = 4096;
	char *body = malloc(size), want[32];
	unsigned long sum = 0;

	for (size_t i = 0; i < size; i++) {
		body[i] = (char)(i * 7 >> 3);
		sum = sum * 31 + (unsigned char)body[i];
	}
	snprintf(want, sizeof want, "%020lu", sum);
	fixture_start_a(fx, serve_sum);
	setsockopt(fx->a.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	fx->q.body = str_n(body, size);
	for (int i = 0; i < 3; i++)
		assert_string_equal(fixture_call(fx)->body, want);
	free(body);
}

/* ---- failures ---------------------------------------------------------------------------------- */

static void refuses_nonsense(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_nonsense);
	assert_int_equal(fixture_call(fx)->err, E_BAD_UPSTREAM);
	assert_int_equal(fx->seen[0].tries, 1);
	assert_int_equal(fixture_call(fx)->err, E_BAD_UPSTREAM);
	assert_int_equal(fx->a.accepted, 2);
}

static void retries_what_never_reached(void **state)
{
	struct fixture *fx = *state;
	struct seen *s;

	fixture_add(fx, node_dead_port(), 1);
	fx->q.idempotent = false;
	s = fixture_call(fx);
	assert_int_equal(s->err, E_UPSTREAM_FAILED);
	assert_false(s->reached);
	assert_int_equal(s->tries, 2);
	fixture_start_a(fx, serve_well);
	for (int i = 0; i < 10; i++)
		assert_int_equal(fixture_call(fx)->status, 200);
}

static void retries_stale_connections(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_then_die);
	assert_int_equal(fixture_call(fx)->status, 200);
	assert_int_equal(fixture_call(fx)->status, 200);
	assert_int_equal(fx->seen[0].tries, 2);
	assert_int_equal(fx->a.accepted, 2);
}

static void never_retries_what_may_have_been_done(void **state)
{
	struct fixture *fx = *state;
	struct seen *s;

	fixture_start_a(fx, serve_then_die);
	fx->q.idempotent = false;
	assert_int_equal(fixture_call(fx)->status, 200);
	s = fixture_call(fx);
	assert_int_equal(s->err, E_UPSTREAM_FAILED);
	assert_int_equal(s->tries, 1);
	assert_true(s->reached);
	assert_int_equal(fx->a.requests, 2);
}

static void retries_go_elsewhere(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_half_answer);
	fixture_start_b(fx, serve_well);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(fixture_call(fx)->status, 200);
		assert_string_equal(fx->seen[0].endpoint, fx->urls[1]);
	}
}

/* Every third connection fails, so that the circuit stays closed. */
static void serve_two_of_three(struct node *n, int fd, int nth)
{
	char in[4096];

	if (node_read_request(n, fd, in, sizeof in) > 0 && nth % 3 != 0)
		node_write(fd, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
}

static void retries_have_a_budget(void **state)
{
	struct fixture *fx = *state;
	unsigned retried = 0, failed = 0;

	fx->config.retry_percent = 1; /* what a new shard starts with is nearly all */
	fixture_start_a(fx, serve_two_of_three);
	for (int i = 0; i < 60; i++) {
		failed += fixture_call(fx)->err != OK;
		retried += fx->seen[0].tries == 2;
	}
	assert_int_equal(retried, 10);
	assert_true(failed > 5);
	fx->config.retry_percent = 0; /* no retries at all, whatever the budget has */
	fx->config.fleet = NULL;
	fx->shard.name = STR("p2");
	upstream_configure(fx->up, &fx->config);
	for (int i = 0; i < 6; i++) {
		fixture_call(fx);
		assert_int_equal(fx->seen[0].tries, 1);
	}
}

/* Three connections, there at the same time, that answered once take the next request into the grave. */
static void serve_three_graves(struct node *n, int fd, int nth)
{
	char in[4096];

	while (node_read_request(n, fd, in, sizeof in) > 0) {
		while (n->accepted < 3)
			sched_yield();
		node_write(fd, OK_ANSWER);
		if (nth < 3) {
			(void)node_read_request(n, fd, in, sizeof in);
			return;
		}
	}
}

static void a_retry_dials(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_three_graves);
	for (size_t i = 0; i < 3; i++)
		fixture_send(fx, i);
	fixture_wait_all(fx);
	assert_int_equal(fx->a.accepted, 3);
	assert_int_equal(fixture_call(fx)->status, 200);
	assert_int_equal(fx->a.accepted, 4);
}

static void first_byte_in_time(void **state)
{
	struct fixture *fx = *state;
	struct seen *s;

	fx->config.first_byte_timeout_us = 100 * CLOCK_MS;
	fixture_start_a(fx, serve_silence);
	fx->q.idempotent = false;
	s = fixture_call(fx);
	assert_int_equal(s->err, E_UPSTREAM_TIMEOUT);
	assert_int_equal(s->tries, 1);
	assert_true(s->reached);
}

static void deadline_ends_a_stalled_body(void **state)
{
	struct fixture *fx = *state;
	int64_t began = clock_mono();

	fx->config.total_timeout_us = 200 * CLOCK_MS;
	fixture_start_a(fx, serve_stall);
	assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_TIMEOUT);
	assert_true(clock_mono() - began >= 200 * CLOCK_MS);
	fx->q.deadline = clock_mono() + 50 * CLOCK_MS;
	assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_TIMEOUT);
}

/* ---- cancelling -------------------------------------------------------------------------------- */

static void cancelling_tells_the_node(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_silence);
	fixture_send(fx, 0);
	fixture_wait_count(fx, &fx->a.requests, 1);
	upstream_cancel(fx->seen[0].call);
	fixture_wait_count(fx, &fx->a.closed, 1);
	assert_false(fx->seen[0].done);
	assert_int_equal(fixture_metric(fx,
	    "gateway_upstream_requests_total{kind=\"projection\",shard=\"p1\","
	    "outcome=\"cancelled\"} "), 1);
}

static void cancelling_in_a_callback(void **state)
{
	struct fixture *fx = *state;

	fx->config.max_connections = 1; /* the others wait in line */
	fixture_start_a(fx, serve_well);
	for (size_t i = 0; i < 5; i++)
		fixture_send(fx, i);
	fx->seen[0].cancel_others = true;
	fixture_wait_all(fx);
	assert_int_equal(fx->seen[0].status, 200);
	for (size_t i = 1; i < 5; i++)
		assert_false(fx->seen[i].done);
	assert_int_equal(fixture_call(fx)->status, 200);
}

static void freeing_ends_all(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_silence);
	for (size_t i = 0; i < 20; i++)
		fixture_send(fx, i);
	upstream_free(fx->up);
	fx->up = NULL;
	for (size_t i = 0; i < 20; i++)
		assert_false(fx->seen[i].done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_connections), TEST(writes_the_head), TEST(a_get_has_no_length),
		TEST(never_reuses_what_has_bytes_left), TEST(waits_for_room), TEST(idle_connections_end),
		TEST(resolves_names), TEST(fewer_connections_from_now_on), TEST(reads_pieces),
		TEST(reads_until_close), TEST(reads_a_head_in_two_pieces), TEST(bounds_the_body), TEST(writes_large_bodies),
		TEST(refuses_nonsense), TEST(retries_what_never_reached), TEST(retries_stale_connections),
		TEST(never_retries_what_may_have_been_done), TEST(retries_go_elsewhere),
		TEST(retries_have_a_budget), TEST(a_retry_dials), TEST(first_byte_in_time),
		TEST(deadline_ends_a_stalled_body), TEST(cancelling_tells_the_node),
		TEST(cancelling_in_a_callback), TEST(freeing_ends_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
