/* Calls to nodes over HTTP/1.1 on a real loop, against nodes that misbehave. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/loop.h"
#include "node_fixture.h"
#include "upstream/breaker.h"
#include "upstream/upstream.h"

#define PATIENCE (20 * CLOCK_SEC)
#define MAX_CALLS 64

/* One call and what its callback saw. */
struct seen {
	struct fixture *fx;
	struct upstream_call *call;
	bool sent, done, cancel_others; /* sent, and expected to end */
	enum err err;
	int status;
	bool reached;
	unsigned tries;
	char body[256], endpoint[64], header[64];
	size_t body_n;
	struct buf taken;
};

struct fixture {
	struct loop *loop;
	struct upstream *up;
	struct upstream_config config;
	struct loop_timer patience;
	struct route_endpoint ep[3];
	char urls[3][64];
	struct route_shard shard;
	struct upstream_request q;
	struct seen seen[MAX_CALLS];
	bool gave_up, sending;
	struct node a, b;
	bool has_a, has_b;
};

static void patience_cb(struct loop_timer *t)
{
	struct fixture *fx = (struct fixture *)((char *)t - offsetof(struct fixture, patience));

	fx->gave_up = true;
	loop_stop(fx->loop);
}

static int set_up(void **state)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	fx->config = (struct upstream_config){
		.connect_timeout_us = 2 * CLOCK_SEC, .first_byte_timeout_us = 10 * CLOCK_SEC,
		.total_timeout_us = 15 * CLOCK_SEC, .idle_timeout_us = 30 * CLOCK_SEC,
		.max_connections = 16, .max_response = 4 << 20, .retry_percent = 10,
	};
	fx->patience.cb = patience_cb;
	fx->shard = (struct route_shard){ ROUTE_PROJECTION, STR("p1"), fx->ep, 0 };
	fx->q = (struct upstream_request){ .shard = &fx->shard, .method = STR("POST"), .path = STR("/q"),
		.body = STR("{}"), .idempotent = true };
	assert_int_equal(loop_new(&fx->loop), OK);
	*state = fx;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fx = *state;

	upstream_free(fx->up);
	loop_free(fx->loop);
	if (fx->has_a)
		node_stop(&fx->a);
	if (fx->has_b)
		node_stop(&fx->b);
	for (size_t i = 0; i < MAX_CALLS; i++)
		buf_release(&fx->seen[i].taken);
	free(fx);
	return 0;
}

static void add_endpoint(struct fixture *fx, uint16_t port, unsigned weight)
{
	size_t i = fx->shard.n++;

	snprintf(fx->urls[i], sizeof fx->urls[i], "http://127.0.0.1:%u", port);
	fx->ep[i] = (struct route_endpoint){ .url = str_c(fx->urls[i]), .scheme = SCHEME_HTTP,
		.host = STR("127.0.0.1"), .port = port, .base = STR(""), .admin = str_c(fx->urls[i]),
		.weight = weight };
}

static void start_a(struct fixture *fx, node_serve *serve)
{
	node_start(&fx->a, serve);
	fx->has_a = true;
	add_endpoint(fx, fx->a.port, 1);
}

static void start_b(struct fixture *fx, node_serve *serve)
{
	node_start(&fx->b, serve);
	fx->has_b = true;
	add_endpoint(fx, fx->b.port, 1);
}

static void copy_text(char *to, size_t cap, struct str s)
{
	size_t n = s.n < cap - 1 ? s.n : cap - 1;

	if (n > 0)
		memcpy(to, s.p, n);
	to[n] = '\0';
}

static void answered(void *arg, const struct upstream_response *r)
{
	struct seen *s = arg;

	assert_false(s->done);
	s->done = true;
	s->err = r->err;
	s->status = r->status;
	s->reached = r->reached;
	s->tries = r->tries;
	s->body_n = r->body.n;
	copy_text(s->body, sizeof s->body, r->body);
	copy_text(s->endpoint, sizeof s->endpoint, r->endpoint);
	copy_text(s->header, sizeof s->header, r->nheaders > 0 ? r->headers[0].name : STR_NONE);
	if (r->err == OK)
		upstream_body_take(r, &s->taken);
	for (size_t i = 0; s->cancel_others && i < MAX_CALLS; i++) {
		struct seen *o = &s->fx->seen[i];

		if (o != s && o->call != NULL && !o->done) {
			upstream_cancel(o->call);
			o->call = NULL;
			o->sent = false;
		}
	}
	if (!s->fx->sending) /* else the next turn would end before it began */
		loop_stop(s->fx->loop);
}

static struct seen *send_call(struct fixture *fx, size_t i)
{
	struct seen *s = &fx->seen[i];

	if (fx->up == NULL)
		assert_int_equal(upstream_new(&fx->config, fx->loop, &fx->up), OK);
	buf_release(&s->taken);
	memset(s, 0, sizeof *s);
	buf_init(&s->taken, 8 << 20);
	s->fx = fx;
	s->sent = true;
	fx->sending = true;
	upstream_send(fx->up, &fx->q, answered, s, &s->call);
	fx->sending = false;
	return s;
}

/* Turns the loop for as long, or until a callback comes. */
static void turn(struct fixture *fx, int64_t us)
{
	assert_int_equal(loop_timer_set(fx->loop, &fx->patience, us), OK);
	loop_run(fx->loop);
	loop_timer_clear(fx->loop, &fx->patience);
}

/* Until the call has ended. */
static void wait_for(struct fixture *fx, const struct seen *s)
{
	while (!s->done) {
		turn(fx, PATIENCE);
		assert_false(fx->gave_up);
	}
}

static void wait_for_all(struct fixture *fx)
{
	for (size_t i = 0; i < MAX_CALLS; i++)
		if (fx->seen[i].sent)
			wait_for(fx, &fx->seen[i]);
}

/* Until the node has counted that far. */
static void wait_for_count(struct fixture *fx, atomic_int *count, int n)
{
	for (int i = 0; *count < n && i < 2000; i++)
		turn(fx, 10 * CLOCK_MS);
	fx->gave_up = false;
	assert_true(*count >= n);
}

/* Sends one call and waits for its end. */
static struct seen *call(struct fixture *fx)
{
	struct seen *s = send_call(fx, 0);

	wait_for(fx, s);
	return s;
}

static uint64_t metric(struct fixture *fx, const char *sample)
{
	struct buf b;
	const char *at;
	uint64_t v = 0;

	buf_init(&b, 1 << 20);
	upstream_write_metrics(&fx->up, 1, &b);
	at = strstr(buf_cstr(&b), sample);
	if (at != NULL)
		v = strtoull(at + strlen(sample), NULL, 10);
	buf_release(&b);
	return v;
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-node: 1\r\n\r\nok"

/* ---- nodes ------------------------------------------------------------------------------------- */

static void serve_well(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		node_write(fd, OK_ANSWER);
}

static void serve_head_back(struct node *n, int fd, int nth)
{
	char in[4096], out[8192];
	size_t k;

	(void)nth;
	while ((k = node_read_request(n, fd, in, sizeof in)) > 0) {
		snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", k, in);
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

static void serve_close_at_once(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	(void)node_read_request(n, fd, in, sizeof in);
}

static void serve_silence(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		;
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
		node_write(fd, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nhello!!");
}

static void serve_in_pieces(struct node *n, int fd, int nth)
{
	static const char text[] = "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\nX-Node: 7\r\n"
	                           "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: u\r\n\r\n";
	char in[4096], one[2] = "";

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		for (size_t i = 0; i < sizeof text - 1; i++) {
			one[0] = text[i];
			node_write(fd, one);
		}
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
	size_t cap = 4 << 20, k;
	char *in = malloc(cap), out[128];

	(void)nth;
	while ((k = node_read_request(n, fd, in, cap)) > 0) {
		unsigned long sum = 0;
		char *body = strstr(in, "\r\n\r\n") + 4;

		for (char *p = body; p < in + k; p++)
			sum = sum * 31 + (unsigned char)*p;
		snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n%020lu", sum);
		node_write(fd, out);
	}
	free(in);
}

/* ---- connections ------------------------------------------------------------------------------- */

static void keeps_connections(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_well);
	for (int i = 0; i < 3; i++) {
		struct seen *s = call(fx);

		assert_int_equal(s->err, OK);
		assert_int_equal(s->status, 200);
		assert_string_equal(s->body, "ok");
		assert_string_equal(s->header, "x-node");
		assert_string_equal(s->endpoint, fx->urls[0]);
		assert_int_equal(s->taken.n, 2);
		assert_true(s->reached);
	}
	assert_int_equal(fx->a.accepted, 1);
	assert_int_equal(metric(fx, "gateway_upstream_requests_total{kind=\"projection\",shard=\"p1\",outcome=\"ok\"} "), 3);
	assert_int_equal(metric(fx, "gateway_upstream_connections{kind=\"projection\",shard=\"p1\"} "), 1);
	assert_int_equal(metric(fx, "gateway_upstream_duration_seconds_count{kind=\"projection\",shard=\"p1\"} "), 3);
}

static void writes_the_head(void **state)
{
	struct fixture *fx = *state;
	struct header h[] = { { STR("x-tenant-id"), STR("acme") }, { STR("accept"), STR("*/*") } };
	char want[512];

	start_a(fx, serve_head_back);
	fx->ep[0].base = STR("/node");
	fx->q.headers = h;
	fx->q.nheaders = 2;
	snprintf(want, sizeof want, "POST /node/q HTTP/1.1\r\nhost: 127.0.0.1:%u\r\nx-tenant-id: acme\r\n"
	    "accept: */*\r\ncontent-length: 2\r\n\r\n{}", fx->a.port);
	assert_string_equal(call(fx)->body, want);
}

static void a_get_has_no_length(void **state)
{
	struct fixture *fx = *state;
	char want[512];

	start_a(fx, serve_head_back);
	fx->q.method = STR("GET");
	fx->q.body = STR_NONE;
	snprintf(want, sizeof want, "GET /q HTTP/1.1\r\nhost: 127.0.0.1:%u\r\n\r\n", fx->a.port);
	assert_string_equal(call(fx)->body, want);
}

static void never_reuses_what_has_bytes_left(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_leftover);
	for (int i = 0; i < 3; i++)
		assert_string_equal(call(fx)->body, "ok");
	assert_int_equal(fx->a.accepted, 3);
}

static void waits_for_room(void **state)
{
	struct fixture *fx = *state;

	fx->config.max_connections = 2;
	start_a(fx, serve_well);
	for (size_t i = 0; i < 20; i++)
		send_call(fx, i);
	wait_for_all(fx);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(fx->seen[i].status, 200);
	assert_true(fx->a.accepted <= 2);
}

static void idle_connections_end(void **state)
{
	struct fixture *fx = *state;

	fx->config.idle_timeout_us = 50 * CLOCK_MS;
	start_a(fx, serve_well);
	call(fx);
	wait_for_count(fx, &fx->a.closed, 1);
	assert_int_equal(metric(fx, "gateway_upstream_connections{kind=\"projection\",shard=\"p1\"} "), 0);
	assert_int_equal(call(fx)->status, 200);
	assert_int_equal(fx->a.accepted, 2);
}

static void resolves_names(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_well);
	fx->ep[0].host = STR("localhost");
	assert_int_equal(call(fx)->status, 200);
	fx->ep[0].host = STR("no-such-host.invalid");
	fx->ep[0].url = STR("http://no-such-host.invalid");
	assert_int_equal(call(fx)->err, E_UPSTREAM_FAILED);
	assert_false(fx->seen[0].reached);
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static void reads_pieces(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_in_pieces);
	for (int i = 0; i < 2; i++) {
		struct seen *s = call(fx);

		assert_int_equal(s->status, 200);
		assert_string_equal(s->body, "hello world");
		assert_string_equal(s->header, "x-node");
	}
	assert_int_equal(fx->a.accepted, 1);
}

static void reads_until_close(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_until_close);
	assert_string_equal(call(fx)->body, "all of it");
	assert_string_equal(call(fx)->body, "all of it");
	assert_int_equal(fx->a.accepted, 2);
}

static void bounds_the_body(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_large);
	assert_int_equal(call(fx)->err, E_BAD_UPSTREAM);
	upstream_free(fx->up);
	fx->up = NULL;
	fx->config.max_response = 6 << 20;
	assert_int_equal(call(fx)->err, OK);
	assert_int_equal(fx->seen[0].body_n, 5 << 20);
	assert_int_equal(fx->seen[0].taken.n, 5 << 20);
}

static void writes_large_bodies(void **state)
{
	struct fixture *fx = *state;
	size_t size = 3 << 20;
	char *body = malloc(size), want[32];
	unsigned long sum = 0;

	for (size_t i = 0; i < size; i++) {
		body[i] = (char)(i * 7 >> 3);
		sum = sum * 31 + (unsigned char)body[i];
	}
	snprintf(want, sizeof want, "%020lu", sum);
	start_a(fx, serve_sum);
	fx->q.body = str_n(body, size);
	for (int i = 0; i < 3; i++)
		assert_string_equal(call(fx)->body, want);
	free(body);
}

/* ---- failures ---------------------------------------------------------------------------------- */

static void refuses_nonsense(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_nonsense);
	assert_int_equal(call(fx)->err, E_BAD_UPSTREAM);
	assert_int_equal(fx->seen[0].tries, 1);
	assert_int_equal(call(fx)->err, E_BAD_UPSTREAM);
	assert_int_equal(fx->a.accepted, 2);
}

static void retries_what_never_reached(void **state)
{
	struct fixture *fx = *state;
	struct seen *s;

	add_endpoint(fx, node_dead_port(), 1);
	fx->q.idempotent = false;
	s = call(fx);
	assert_int_equal(s->err, E_UPSTREAM_FAILED);
	assert_false(s->reached);
	assert_int_equal(s->tries, 2);
	start_a(fx, serve_well);
	for (int i = 0; i < 10; i++)
		assert_int_equal(call(fx)->status, 200);
}

static void retries_stale_connections(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_then_die);
	assert_int_equal(call(fx)->status, 200);
	assert_int_equal(call(fx)->status, 200);
	assert_int_equal(fx->seen[0].tries, 2);
	assert_int_equal(fx->a.accepted, 2);
}

static void never_retries_what_may_have_been_done(void **state)
{
	struct fixture *fx = *state;
	struct seen *s;

	start_a(fx, serve_then_die);
	fx->q.idempotent = false;
	assert_int_equal(call(fx)->status, 200);
	s = call(fx);
	assert_int_equal(s->err, E_UPSTREAM_FAILED);
	assert_int_equal(s->tries, 1);
	assert_true(s->reached);
	assert_int_equal(fx->a.requests, 2);
}

static void retries_go_elsewhere(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_half_answer);
	start_b(fx, serve_well);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(call(fx)->status, 200);
		assert_string_equal(fx->seen[0].endpoint, fx->urls[1]);
	}
}

static void retries_have_a_budget(void **state)
{
	struct fixture *fx = *state;
	unsigned retried = 0;

	fx->config.retry_percent = 0;
	start_a(fx, serve_close_at_once);
	start_b(fx, serve_well);
	fx->ep[1].weight = 100; /* keeps its breaker out of the picture: most go to b */
	for (int i = 0; i < 30; i++)
		retried += call(fx)->tries == 2;
	fx->ep[1].port = node_dead_port();
	fx->shard.n = 1;
	for (int i = 0; i < 30; i++)
		retried += call(fx)->tries == 2;
	assert_true(retried <= 10);
}

static void first_byte_in_time(void **state)
{
	struct fixture *fx = *state;
	struct seen *s;

	fx->config.first_byte_timeout_us = 100 * CLOCK_MS;
	start_a(fx, serve_silence);
	fx->q.idempotent = false;
	s = call(fx);
	assert_int_equal(s->err, E_UPSTREAM_TIMEOUT);
	assert_int_equal(s->tries, 1);
	assert_true(s->reached);
}

static void deadline_ends_a_stalled_body(void **state)
{
	struct fixture *fx = *state;
	int64_t began = clock_mono();

	fx->config.total_timeout_us = 200 * CLOCK_MS;
	start_a(fx, serve_stall);
	assert_int_equal(call(fx)->err, E_UPSTREAM_TIMEOUT);
	assert_true(clock_mono() - began >= 200 * CLOCK_MS);
	fx->q.deadline = clock_mono() + 50 * CLOCK_MS;
	assert_int_equal(call(fx)->err, E_UPSTREAM_TIMEOUT);
}

/* ---- the choice -------------------------------------------------------------------------------- */

static void shares_by_weight(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_well);
	start_b(fx, serve_well);
	fx->ep[0].weight = 3;
	for (int i = 0; i < 40; i++)
		call(fx);
	assert_int_equal(fx->a.requests, 30);
	assert_int_equal(fx->b.requests, 10);
}

static void avoids_the_busy(void **state)
{
	struct fixture *fx = *state;

	fx->config.first_byte_timeout_us = PATIENCE;
	start_a(fx, serve_silence);
	start_b(fx, serve_well);
	send_call(fx, 1); /* to a, where it stays */
	wait_for(fx, send_call(fx, 2));
	for (int i = 0; i < 20; i++)
		assert_int_equal(call(fx)->status, 200);
	assert_int_equal(fx->a.requests, 1);
}

static void breaks_the_circuit(void **state)
{
	struct fixture *fx = *state;
	const char *sample = "gateway_upstream_circuit_state{kind=\"projection\",shard=\"p1\",endpoint=\"%s\"} ";
	char name[256];
	struct seen *s;
	uint16_t port = node_dead_port();

	add_endpoint(fx, port, 1);
	snprintf(name, sizeof name, sample, fx->urls[0]);
	for (int i = 0; i < BREAKER_CONSECUTIVE; i++)
		assert_int_equal(call(fx)->err, E_UPSTREAM_FAILED);
	assert_int_equal(metric(fx, name), BREAKER_OPEN);
	s = call(fx);
	assert_int_equal(s->err, E_UPSTREAM_FAILED);
	assert_int_equal(s->tries, 0);
	/* another endpoint of the shard takes all while this one is out */
	start_b(fx, serve_well);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(call(fx)->status, 200);
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

	start_a(fx, fail_once);
	fx->q.idempotent = false; /* one try a call */
	for (int i = 0; i < BREAKER_CONSECUTIVE; i++)
		assert_int_equal(call(fx)->err, E_UPSTREAM_FAILED);
	assert_int_equal(call(fx)->tries, 0);
	do /* until the breaker lets a probe through */
		turn(fx, 20 * CLOCK_MS), fx->gave_up = false;
	while (call(fx)->err != OK && clock_mono() < until);
	assert_int_equal(fx->seen[0].status, 200);
	assert_int_equal(call(fx)->status, 200);
}

/* ---- cancelling -------------------------------------------------------------------------------- */

static void cancelling_tells_the_node(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_silence);
	send_call(fx, 0);
	wait_for_count(fx, &fx->a.requests, 1);
	upstream_cancel(fx->seen[0].call);
	wait_for_count(fx, &fx->a.closed, 1);
	assert_false(fx->seen[0].done);
	assert_int_equal(metric(fx, "gateway_upstream_requests_total{kind=\"projection\",shard=\"p1\",outcome=\"cancelled\"} "), 1);
}

static void cancelling_in_a_callback(void **state)
{
	struct fixture *fx = *state;

	fx->config.max_connections = 1; /* the others wait in line */
	start_a(fx, serve_well);
	for (size_t i = 0; i < 5; i++)
		send_call(fx, i);
	fx->seen[0].cancel_others = true;
	wait_for_all(fx);
	assert_int_equal(fx->seen[0].status, 200);
	for (size_t i = 1; i < 5; i++)
		assert_false(fx->seen[i].done);
	assert_int_equal(call(fx)->status, 200);
}

static void freeing_ends_all(void **state)
{
	struct fixture *fx = *state;

	start_a(fx, serve_silence);
	for (size_t i = 0; i < 20; i++)
		send_call(fx, i);
	upstream_free(fx->up);
	fx->up = NULL;
	for (size_t i = 0; i < 20; i++)
		assert_false(fx->seen[i].done);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_connections), TEST(writes_the_head), TEST(a_get_has_no_length),
		TEST(never_reuses_what_has_bytes_left), TEST(waits_for_room), TEST(idle_connections_end),
		TEST(resolves_names), TEST(reads_pieces), TEST(reads_until_close), TEST(bounds_the_body),
		TEST(writes_large_bodies), TEST(refuses_nonsense), TEST(retries_what_never_reached),
		TEST(retries_stale_connections), TEST(never_retries_what_may_have_been_done),
		TEST(retries_go_elsewhere), TEST(retries_have_a_budget), TEST(first_byte_in_time),
		TEST(deadline_ends_a_stalled_body), TEST(shares_by_weight), TEST(avoids_the_busy),
		TEST(breaks_the_circuit), TEST(heals_by_a_probe), TEST(cancelling_tells_the_node),
		TEST(cancelling_in_a_callback), TEST(freeing_ends_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
