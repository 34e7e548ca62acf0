/* Calls to nodes over HTTP/2: gRPC, statuses, and what a node may do to a connection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "upstream_fixture.h"

static struct header headers[] = { { STR("content-type"), STR("application/grpc") },
	{ STR("te"), STR("trailers") } };

static struct fixture *grpc(void **state, const char *path)
{
	struct fixture *fx = *state;

	fx->q.grpc = true;
	fx->q.headers = headers;
	fx->q.nheaders = 2;
	fx->q.path = str_c(path);
	fx->q.body = STR("a message");
	return fx;
}

static void echoes_on_one_connection(void **state)
{
	struct fixture *fx = grpc(state, "/echo");

	fixture_start_a(fx, node_http2);
	for (size_t i = 0; i < 50; i++)
		fixture_send(fx, i);
	fixture_wait_all(fx);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(fx->seen[i].err, OK);
		assert_int_equal(fx->seen[i].grpc_status, 0);
		assert_string_equal(fx->seen[i].body, "a message");
		assert_int_equal(fx->seen[i].tries, 1);
	}
	assert_int_equal(fx->a.accepted, 1);
}

static void carries_large_messages(void **state)
{
	struct fixture *fx = grpc(state, "/echo");
	size_t n = 60000;
	char *body = malloc(n);

	for (size_t i = 0; i < n; i++)
		body[i] = (char)(i >> 3);
	fixture_start_a(fx, node_http2);
	fx->q.body = str_n(body, n);
	assert_int_equal(fixture_call(fx)->err, OK);
	assert_int_equal(fx->seen[0].taken.n, n);
	assert_memory_equal(fx->seen[0].taken.p, body, n);
	free(body);
}

static void carries_empty_messages(void **state)
{
	struct fixture *fx = grpc(state, "/echo");

	fx->q.body = STR("");
	fixture_start_a(fx, node_http2);
	assert_int_equal(fixture_call(fx)->err, OK);
	assert_int_equal(fx->seen[0].body_n, 0);
}

static void respects_max_concurrent_streams(void **state)
{
	struct fixture *fx = grpc(state, "/echo");

	fixture_start_a(fx, node_http2);
	fx->a.max_streams = 3; /* before the first connection */
	fx->config.max_connections = 1;
	fixture_call(fx); /* now SETTINGS are known */
	for (size_t i = 0; i < 40; i++)
		fixture_send(fx, i);
	fixture_wait_all(fx);
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(fx->seen[i].grpc_status, 0);
	assert_true(fx->a.most_streams <= 3);
	assert_int_equal(fx->a.accepted, 1);
}

static void dials_when_streams_are_used_up(void **state)
{
	struct fixture *fx = grpc(state, "/echo");

	fixture_start_a(fx, node_http2);
	fx->a.max_streams = 3;
	fx->config.first_byte_timeout_us = fx->config.total_timeout_us = 10 * PATIENCE; /* no retries */
	fixture_call(fx);
	fx->q.path = STR("/silent");
	for (size_t i = 1; i <= 5; i++)
		fixture_send(fx, i);
	fixture_wait_count(fx, &fx->a.requests, 6);
	assert_int_equal(fx->a.accepted, 2);
}

/* What the node does → what the caller is told. */
static const struct outcome {
	const char *path;
	enum err err;
	int http, grpc;
	unsigned tries;
	const char *message;
} outcomes[] = {
	{ "/denied", OK, 200, 7, 1, "no \xc3\xa9ntry%2" },
	{ "/failed", OK, 200, 9, 1, "behind" },
	{ "/http-503", OK, 503, 14, 1, "" },
	{ "/status-missing", OK, 200, 2, 1, "" },
	{ "/status-bad", E_BAD_UPSTREAM, 0, 2, 1, "" },
	{ "/two-messages", E_BAD_UPSTREAM, 0, 0, 1, "" },
	{ "/compressed", E_BAD_UPSTREAM, 0, 2, 1, "" },
	{ "/short", E_BAD_UPSTREAM, 0, 0, 1, "" },
	{ "/empty", E_BAD_UPSTREAM, 0, 0, 1, "" },
	{ "/reset", E_UPSTREAM_FAILED, 0, 2, 2, "" },
	{ "/close", E_UPSTREAM_FAILED, 0, 2, 2, "" },
	{ "/refused", E_UPSTREAM_FAILED, 0, 2, 2, "" },
	{ "/refused-once", OK, 200, 0, 2, "" },
	{ "/goaway-unseen", OK, 200, 0, 2, "" },
	{ "/goaway-after", OK, 200, 0, 1, "" },
};

static void tells_what_happened(void **state)
{
	for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
		const struct outcome *o = &outcomes[i];
		struct fixture *fx = grpc(state, o->path);
		struct seen *s;

		fixture_start_a(fx, node_http2);
		s = fixture_call(fx);
		if (s->err != o->err || s->tries != o->tries)
			fail_msg("%s: err %d, tries %u", o->path, s->err, s->tries);
		if (o->err == OK) {
			assert_int_equal(s->status, o->http);
			assert_int_equal(s->grpc_status, o->grpc);
			assert_string_equal(s->message, o->message);
		}
		upstream_tear_down(state);
		upstream_set_up(state);
	}
}

static void what_reached_is_not_repeated(void **state)
{
	struct fixture *fx = grpc(state, "/close");

	fx->q.idempotent = false;
	fixture_start_a(fx, node_http2);
	assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_FAILED);
	assert_true(fx->seen[0].reached);
	assert_int_equal(fx->seen[0].tries, 1);
}

static void what_was_refused_is_repeated(void **state)
{
	struct fixture *fx = grpc(state, "/refused-once");

	fx->q.idempotent = false;
	fixture_start_a(fx, node_http2);
	assert_int_equal(fixture_call(fx)->err, OK);
	assert_int_equal(fx->seen[0].tries, 2);
}

static void goes_on_after_goaway(void **state)
{
	struct fixture *fx = grpc(state, "/goaway-after");

	fixture_start_a(fx, node_http2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fixture_call(fx)->err, OK);
		assert_int_equal(fx->seen[0].tries, 1);
	}
	assert_int_equal(fx->a.accepted, 3);
}

static void times_out(void **state)
{
	struct fixture *fx = grpc(state, "/silent");

	fx->config.first_byte_timeout_us = 100 * CLOCK_MS;
	fx->q.idempotent = false;
	fixture_start_a(fx, node_http2);
	assert_int_equal(fixture_call(fx)->err, E_UPSTREAM_TIMEOUT);
	fixture_wait_count(fx, &fx->a.requests, 1);
	fx->q.path = STR("/echo"); /* the connection said SETTINGS at least; it may or may not be kept */
	assert_int_equal(fixture_call(fx)->err, OK);
}

static void cancelling_resets_the_stream(void **state)
{
	struct fixture *fx = grpc(state, "/silent");

	fixture_start_a(fx, node_http2);
	fixture_send(fx, 1);
	fixture_wait_count(fx, &fx->a.requests, 1);
	upstream_cancel(fx->seen[1].call);
	fx->seen[1].sent = false;
	for (int i = 0; fx->a.streams > 0 && i < 2000; i++)
		fixture_turn(fx, 10 * CLOCK_MS);
	assert_int_equal(fx->a.streams, 0);
	fx->q.path = STR("/echo");
	assert_int_equal(fixture_call(fx)->err, OK);
	assert_int_equal(fx->a.accepted, 1);
	assert_false(fx->seen[1].done);
}

static void cancelling_before_it_is_written(void **state)
{
	struct fixture *fx = grpc(state, "/echo");

	fixture_start_a(fx, node_http2);
	fixture_call(fx);
	for (size_t i = 1; i < 10; i++)
		fixture_send(fx, i);
	for (size_t i = 1; i < 10; i += 2) {
		upstream_cancel(fx->seen[i].call);
		fx->seen[i].sent = false;
	}
	fixture_wait_all(fx);
	for (size_t i = 1; i < 10; i++)
		assert_int_equal(fx->seen[i].done, i % 2 == 0);
}

static void cancelling_others_in_a_callback(void **state)
{
	struct fixture *fx = grpc(state, "/close"); /* all end at once, the first takes the others along */

	fx->q.idempotent = false;
	fixture_start_a(fx, node_http2);
	for (size_t i = 0; i < 8; i++)
		fixture_send(fx, i)->cancel_others = true;
	fixture_wait_count(fx, &fx->a.closed, 1);
	for (int i = 0; i < 2000; i++) {
		size_t done = 0;

		for (size_t k = 0; k < 8; k++)
			done += fx->seen[k].done;
		if (done == 1)
			return;
		fixture_turn(fx, 10 * CLOCK_MS);
	}
	fail();
}

static void freeing_ends_streams(void **state)
{
	struct fixture *fx = grpc(state, "/silent");

	fixture_start_a(fx, node_http2);
	for (size_t i = 0; i < 8; i++)
		fixture_send(fx, i);
	fixture_wait_count(fx, &fx->a.requests, 8);
	upstream_free(fx->up);
	fx->up = NULL;
	for (size_t i = 0; i < 8; i++)
		assert_false(fx->seen[i].done);
}

/* A node that speaks HTTP/1.1 where HTTP/2 is expected. */
static void serve_http1(struct node *n, int fd, int nth)
{
	char in[64];

	(void)n;
	(void)nth;
	if (recv(fd, in, sizeof in, 0) > 0)
		node_write(fd, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
}

static void refuses_another_protocol(void **state)
{
	struct fixture *fx = grpc(state, "/echo");

	fixture_start_a(fx, serve_http1);
	assert_true(fixture_call(fx)->err == E_BAD_UPSTREAM || fx->seen[0].err == E_UPSTREAM_FAILED);
}

static void http_shards_take_no_grpc(void **state)
{
	struct fixture *fx = grpc(state, "/echo");

	fixture_start_a(fx, node_http2);
	fx->ep[0].scheme = SCHEME_HTTP;
	assert_int_equal(fixture_call(fx)->err, E_BAD_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(echoes_on_one_connection), TEST(carries_large_messages), TEST(carries_empty_messages),
		TEST(respects_max_concurrent_streams), TEST(dials_when_streams_are_used_up), TEST(tells_what_happened),
		TEST(what_reached_is_not_repeated), TEST(what_was_refused_is_repeated),
		TEST(goes_on_after_goaway), TEST(times_out), TEST(cancelling_resets_the_stream),
		TEST(cancelling_before_it_is_written), TEST(cancelling_others_in_a_callback),
		TEST(freeing_ends_streams), TEST(refuses_another_protocol), TEST(http_shards_take_no_grpc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
