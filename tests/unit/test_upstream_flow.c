/* Calls whose bodies stream: sources that are written as they come, sinks that pause the node, and every way
 * in which either breaks off. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "request/chunked.h"
#include "request/flow.h"
#include "upstream_fixture.h"

#define LARGE (4u << 20)

/* ---- nodes ------------------------------------------------------------------------------------- */

static atomic_size_t node_got, node_sent;

static bool read_head(int fd, char *head, size_t cap)
{
	size_t n = 0;

	while (n < cap - 1 && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = '\0';
		if (n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0)
			return true;
	}
	return false;
}

static bool read_chunked(int fd)
{
	static char in[65536];
	struct chunked c = { 0 };
	ssize_t n;

	while ((n = recv(fd, in, sizeof in, 0)) > 0) {
		size_t at = 0, used;
		struct str data;
		enum chunked_step step;

		while ((step = chunked_read(&c, in + at, (size_t)n - at, &used, &data)) == CHUNKED_DATA) {
			at += used;
			node_got += data.n;
		}
		if (step != CHUNKED_MORE)
			return step == CHUNKED_DONE;
	}
	return false;
}

static bool read_length(int fd, size_t left)
{
	static char in[65536];

	while (left > 0) {
		ssize_t n = recv(fd, in, left < sizeof in ? left : sizeof in, 0);

		if (n <= 0)
			return false;
		node_got += (size_t)n;
		left -= (size_t)n;
	}
	return true;
}

/* Reads a request; false: it was not one. */
static bool read_request(struct node *n, int fd)
{
	char head[4096];
	const char *length;

	if (!read_head(fd, head, sizeof head))
		return false;
	n->requests++;
	length = strstr(head, "\r\ncontent-length: ");
	node_got = 0;
	return length != NULL ? read_length(fd, strtoul(length + 18, NULL, 10)) : read_chunked(fd);
}

static void serve_count(struct node *n, int fd, int nth)
{
	char text[64], out[128];

	(void)nth;
	while (read_request(n, fd)) {
		int k = snprintf(text, sizeof text, "%zu", (size_t)node_got);

		snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", k, text);
		node_write(fd, out);
	}
}

static void give(int fd, size_t n)
{
	static char block[65536];

	for (node_sent = 0; node_sent < n;) {
		ssize_t k = send(fd, block, sizeof block, MSG_NOSIGNAL);

		if (k <= 0)
			return;
		node_sent += (size_t)k;
	}
}

static void serve_large(struct node *n, int fd, int nth)
{
	char head[128];

	(void)nth;
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nx-node: 1\r\ncontent-length: %u\r\n\r\n", LARGE);
	while (read_request(n, fd)) {
		node_write(fd, head);
		give(fd, LARGE);
	}
}

static void serve_half(struct node *n, int fd, int nth)
{
	char head[128];

	(void)nth;
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-length: %u\r\n\r\n", LARGE);
	if (read_request(n, fd)) {
		node_write(fd, head);
		give(fd, LARGE / 2);
	}
}

static void serve_nothing(struct node *n, int fd, int nth)
{
	(void)nth;
	while (read_request(n, fd))
		;
}

/* Closes without a word when the head has come. */
static void serve_drop(struct node *n, int fd, int nth)
{
	char head[4096];

	(void)nth;
	if (read_head(fd, head, sizeof head))
		n->requests++;
}

/* ---- sources ----------------------------------------------------------------------------------- */

/* Gives whenever there is room, up to `total`. */
struct giver {
	struct fixture *fx;
	struct flow flow;
	size_t total, stop_at;
	enum err fail_with; /* at stop_at */
};

static void go_on(struct giver *g)
{
	static char block[30000];

	while (g->flow.given < g->stop_at && !flow_full(&g->flow)) {
		size_t left = g->stop_at - (size_t)g->flow.given, n = left < sizeof block ? left : sizeof block;

		assert_int_equal(flow_give(&g->flow, str_n(block, n)), OK);
	}
	if (g->flow.given < g->stop_at || g->flow.ended)
		return;
	if (g->fail_with != OK)
		flow_fail(&g->flow, g->fail_with);
	else if (g->stop_at == g->total)
		flow_end(&g->flow);
}

static void room_cb(struct flow *f, void *arg, size_t n)
{
	struct giver *g = arg;

	(void)f;
	(void)n;
	loop_stop(g->fx->loop); /* it goes on from outside, as fronts do */
}

static struct seen *upload(struct fixture *fx, struct giver *g, bool length)
{
	struct buf first;
	struct seen *s;

	buf_init(&first, 1 << 20);
	assert_int_equal(buf_adds(&first, STR("{\"first\":1")), OK);
	g->fx = fx;
	flow_init_take(&g->flow, length ? g->total : FLOW_LENGTH_UNKNOWN, &first);
	g->flow.room = room_cb;
	g->flow.giver = g;
	fx->q.source = &g->flow;
	fx->q.lift = true;
	s = fixture_send(fx, 0);
	while (!s->done) {
		go_on(g);
		if (!s->done)
			fixture_turn(fx, PATIENCE);
		assert_false(fx->gave_up);
	}
	assert_null(g->flow.more); /* the call has let go */
	flow_release(&g->flow);
	return s;
}

static void test_sources(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_count);
	for (int i = 0; i < 4; i++) { /* on one connection */
		struct giver g = { .total = LARGE, .stop_at = LARGE };
		struct seen *s = upload(fx, &g, i % 2 == 1);

		if (s->err != OK)
			fail_msg("call %d: %s, the node got %zu", i, err_code(s->err), (size_t)node_got);
		assert_string_equal(s->body, "4194304");
	}
	assert_int_equal(fx->a.accepted, 1);
}

static void test_source_that_fails(void **state)
{
	struct fixture *fx = *state;
	struct giver g = { .total = LARGE, .stop_at = LARGE / 2, .fail_with = E_BODY_TOO_LARGE };
	struct seen *s;

	fixture_start_a(fx, serve_count);
	s = upload(fx, &g, true);
	assert_int_equal(s->err, E_BODY_TOO_LARGE);
	fixture_wait_count(fx, &fx->a.closed, 1); /* the node sees that it is not all */
	assert_int_equal(fx->a.requests, 1);
	fx->q.source = NULL; /* nobody holds it against the node */
	s = fixture_call(fx);
	assert_int_equal(s->err, OK);
}

static void test_source_that_failed_before(void **state)
{
	struct fixture *fx = *state;
	struct giver g = { .total = LARGE, .stop_at = 10, .fail_with = E_REQUEST_TIMEOUT };

	fixture_start_a(fx, serve_count);
	assert_int_equal(upload(fx, &g, true)->err, E_REQUEST_TIMEOUT);
}

/* What was taken can't be sent again. */
static void test_no_second_try_behind_bytes(void **state)
{
	struct fixture *fx = *state;
	struct giver g = { .total = LARGE, .stop_at = LARGE };
	struct seen *s;

	fixture_start_a(fx, serve_drop);
	fixture_start_b(fx, serve_drop);
	s = upload(fx, &g, false);
	assert_int_equal(s->err, E_UPSTREAM_FAILED);
	assert_int_equal(s->tries, 1);
	assert_int_equal(fx->a.requests + fx->b.requests, 1);
}

static void test_second_try_before_any(void **state)
{
	struct fixture *fx = *state;
	struct giver g = { .total = LARGE, .stop_at = LARGE };
	struct seen *s;

	fixture_add(fx, node_dead_port(), 1);
	fixture_start_b(fx, serve_count);
	fx->config.retry_percent = 100;
	s = upload(fx, &g, true);
	assert_int_equal(s->err, OK);
	assert_string_equal(s->body, "4194304");
}

/* ---- sinks ------------------------------------------------------------------------------------- */

struct taker {
	struct fixture *fx;
	struct flow sink;
	struct upstream_call *call;
	bool answered, cancel;
	enum err err;
	bool streams;
	int status;
	char header[16];
	size_t body_n;
};

static void more_cb(struct flow *f, void *arg)
{
	struct taker *t = arg;

	(void)f;
	loop_stop(t->fx->loop);
}

static void answered_cb(void *arg, const struct upstream_response *r)
{
	struct taker *t = arg;

	assert_false(t->answered);
	t->answered = true;
	t->err = r->err;
	t->streams = r->streams;
	t->status = r->status;
	t->body_n = r->body.n;
	snprintf(t->header, sizeof t->header, "%.*s", r->nheaders > 0 ? (int)r->headers[0].name.n : 0,
	    r->nheaders > 0 ? r->headers[0].name.p : "");
	if (r->streams) {
		t->sink.more = more_cb;
		t->sink.taker = t;
	}
	if (t->cancel)
		upstream_cancel(t->call);
	loop_stop(t->fx->loop);
}

static void ask(struct fixture *fx, struct taker *t)
{
	t->fx = fx;
	fx->q.sink = &t->sink;
	fx->q.lift = true;
	if (fx->up == NULL)
		assert_int_equal(upstream_new(&fx->config, fx->loop, &fx->up), OK);
	upstream_send(fx->up, &fx->q, answered_cb, t, &t->call);
	while (!t->answered) {
		fixture_turn(fx, PATIENCE);
		assert_false(fx->gave_up);
	}
}

static void take_all(struct fixture *fx, struct taker *t)
{
	while (!flow_done(&t->sink) && t->sink.err == OK) {
		size_t n = flow_held(&t->sink).n;

		if (n > 0) {
			flow_take(&t->sink, n < 50000 ? n : 50000);
			continue;
		}
		fixture_turn(fx, PATIENCE);
		assert_false(fx->gave_up);
	}
}

static void test_sinks(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_large);
	for (int i = 0; i < 3; i++) {
		struct taker t = { .call = NULL };

		ask(fx, &t);
		assert_true(t.err == OK && t.streams && t.status == 200 && t.body_n == 0);
		assert_string_equal(t.header, "x-node");
		assert_int_equal(t.sink.length, LARGE);
		take_all(fx, &t);
		assert_true(flow_done(&t.sink));
		assert_int_equal(t.sink.taken, LARGE);
		flow_release(&t.sink);
	}
	assert_int_equal(fx->a.accepted, 1);
}

static void test_small_answers_do_not_stream(void **state)
{
	struct fixture *fx = *state;
	struct taker t = { .call = NULL };

	fixture_start_a(fx, serve_count);
	ask(fx, &t);
	assert_true(t.err == OK && !t.streams && t.body_n == 1);
}

/* The node is not read from while nobody takes. */
static void test_pause(void **state)
{
	struct fixture *fx = *state;
	struct taker t = { .call = NULL };

	fixture_start_a(fx, serve_large);
	ask(fx, &t);
	for (int i = 0; i < 20; i++)
		fixture_turn(fx, 10 * CLOCK_MS);
	assert_true(flow_full(&t.sink) && t.sink.given <= 3 * FLOW_FULL);
	take_all(fx, &t);
	assert_int_equal(t.sink.taken, LARGE);
	flow_release(&t.sink);
}

static void test_node_that_breaks_off(void **state)
{
	struct fixture *fx = *state;
	struct taker t = { .call = NULL };

	fixture_start_a(fx, serve_half);
	ask(fx, &t);
	assert_true(t.streams);
	take_all(fx, &t);
	assert_int_equal(t.sink.err, E_UPSTREAM_FAILED);
	assert_int_equal(fx->a.requests, 1);
	flow_release(&t.sink);
}

static void test_cancel(void **state)
{
	struct fixture *fx = *state;

	fixture_start_a(fx, serve_large);
	for (int i = 0; i < 2; i++) { /* in the middle, and in the callback itself */
		struct taker t = { .cancel = i == 1 };

		ask(fx, &t);
		if (i == 0)
			upstream_cancel(t.call);
		fixture_wait_count(fx, &fx->a.closed, i + 1);
		assert_false(t.sink.ended);
		flow_release(&t.sink);
	}
}

static void test_silence_after_upload(void **state)
{
	struct fixture *fx = *state;
	struct giver g = { .total = LARGE, .stop_at = LARGE };

	fx->config.first_byte_timeout_us = 200 * CLOCK_MS;
	fixture_start_a(fx, serve_nothing);
	assert_int_equal(upload(fx, &g, true)->err, E_UPSTREAM_TIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sources),
		TEST(test_source_that_fails),
		TEST(test_source_that_failed_before),
		TEST(test_no_second_try_behind_bytes),
		TEST(test_second_try_before_any),
		TEST(test_silence_after_upload),
		TEST(test_sinks),
		TEST(test_small_answers_do_not_stream),
		TEST(test_pause),
		TEST(test_node_that_breaks_off),
		TEST(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
