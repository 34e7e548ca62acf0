#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "front_http2_client.h"

/* ---- the HTTP API over HTTP/2 ---------------------------------------------------------------- */

static void test_requests(void **state)
{
	static struct client c;
	struct stream *st;

	(void)state;
	client_up(&c);
	st = ask(&c, "GET", "/x?a=%41", STR_NONE);
	assert_int_equal(st->status, 200);
	assert_true(str_eqc(str_n(st->body, st->n), "GET /x?a=%41 at h\n\n"));
	assert_non_null(strstr(st->head, "content-length: 19\n"));
	assert_non_null(strstr(st->head, "date: "));
	assert_non_null(strstr(st->head, "x-correlation-id: "));
	st = ask(&c, "POST", "/p", STR("abc"));
	assert_true(str_eqc(str_n(st->body, st->n), "POST /p at h\n\nabc"));
	st = ask(&c, "HEAD", "/x", STR_NONE);
	assert_true(st->status == 200 && st->n == 0);
	st = ask(&c, "GET", "/empty", STR_NONE);
	assert_true(st->status == 204 && st->n == 0);
	assert_null(strstr(st->head, "content-length"));
	st = ask(&c, "GET", "/soon", STR_NONE);
	assert_int_equal(st->status, 200);
	st = ask(&c, "GET", "/early", STR_NONE);
	assert_int_equal(st->status, 404);
	assert_non_null(strstr(st->body, "not_found"));
	st = ask(&c, "GET", "/big", STR_NONE);
	assert_true(st->status == 200 && st->n == sizeof big);
	assert_memory_equal(st->body, big, sizeof big);
	client_down(&c);
}

static void test_streams_do_not_wait_for_each_other(void **state)
{
	static struct client c;
	struct stream *slow, *big_one, *fast;

	(void)state;
	client_up(&c);
	slow = ask_with(&c, "GET", "/late", STR_NONE, NULL);
	big_one = ask_with(&c, "GET", "/big", STR_NONE, NULL);
	fast = ask(&c, "GET", "/", STR_NONE);
	assert_true(fast->closed && !slow->closed);
	until_closed(&c, big_one);
	assert_true(big_one->n == sizeof big);
	until_closed(&c, slow);
	assert_int_equal(slow->status, 200);
	client_down(&c);
}

static void test_body_limits(void **state)
{
	static char body[300000];
	static struct client c;
	struct stream *st;

	(void)state;
	client_up(&c);
	st = ask(&c, "POST", "/", str_n(body, 256 * 1024));
	assert_true(st->status == 200 && st->n > 256 * 1024);
	st = ask(&c, "POST", "/", str_n(body, sizeof body));
	assert_int_equal(st->status, 413);
	assert_non_null(strstr(st->body, "body_too_large"));
	st = ask_open(&c, "1000000");
	assert_int_equal(st->status, 413);
	st = ask(&c, "GET", "/", STR_NONE);
	assert_int_equal(st->status, 200);
	client_down(&c);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *name, *method, *path, *field, *value;
		int status; /* 0: the stream is reset */
	} rows[] = {
		{ "TRACE", "TRACE", "/", NULL, NULL, 501 },
		{ "no slash", "GET", "x", NULL, NULL, 0 },
		{ "absolute", "GET", "/../x", NULL, NULL, 400 },
		{ "%00", "GET", "/a%00", NULL, NULL, 400 },
		{ "blank in path", "GET", "/a b", NULL, NULL, 0 },
		{ "other host", "GET", "/", "host", "other", 400 },
		{ "connection", "GET", "/", "connection", "close", 0 },
		{ "transfer-encoding", "GET", "/", "transfer-encoding", "chunked", 0 },
		{ "keep-alive", "GET", "/", "keep-alive", "x", 0 },
		{ "upgrade", "GET", "/", "upgrade", "h2c", 0 },
		{ "te", "GET", "/", "te", "gzip", 0 },
		{ "blank in name", "GET", "/", "x y", "z", 400 },
		{ "LF in value", "GET", "/", "x", "a\nb", 400 },
		{ "control in value", "GET", "/", "x", "a\x01", 400 },
		{ "length without body", "POST", "/", "content-length", "5", 0 },
		{ "length not a number", "POST", "/", "content-length", "x", 0 },
		{ "unknown pseudo", "GET", "/", ":foo", "x", 0 },
	};
	static struct client c;

	(void)state;
	client_up_with(&c, true);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *const fields[] = { rows[i].field, rows[i].value, NULL };
		struct stream *st = ask_with(&c, rows[i].method, rows[i].path, STR_NONE, fields);

		until_closed(&c, st);
		if (!st->closed || st->status != rows[i].status)
			fail_msg("%s: status %d, closed %d, error %u", rows[i].name, st->status, st->closed,
			    st->error);
	}
	assert_int_equal(ask(&c, "GET", "/", STR_NONE)->status, 200);
	client_down(&c);
}

static void test_head_too_large(void **state)
{
	static const char *fields[140], value[4000] = { [0 ... 3998] = 'v' };
	static struct client c;
	struct stream *st;

	(void)state;
	client_up(&c);
	for (int i = 0; i < 10; i++)
		fields[i] = i % 2 == 0 ? "x" : value;
	st = ask_with(&c, "GET", "/", STR_NONE, fields);
	until_closed(&c, st);
	assert_int_equal(st->status, 431);
	for (int i = 0; i < 138; i++)
		fields[i] = "x";
	st = ask_with(&c, "GET", "/", STR_NONE, fields);
	until_closed(&c, st);
	assert_int_equal(st->status, 431);
	assert_int_equal(ask(&c, "GET", "/", STR_NONE)->status, 200);
	client_down(&c);
}

/* ---- gRPC ------------------------------------------------------------------------------------ */

static struct str grpc_frame(struct str message, unsigned char flag, char *out)
{
	out[0] = (char)flag;
	out[1] = (char)(message.n >> 24);
	out[2] = (char)(message.n >> 16);
	out[3] = (char)(message.n >> 8);
	out[4] = (char)message.n;
	memcpy(out + 5, message.p, message.n);
	return str_n(out, message.n + 5);
}

static const char *const grpc_fields[] = { "content-type", "application/grpc", "te", "trailers", NULL };

static void test_grpc(void **state)
{
	static struct client c;
	struct stream *st;
	char frame[64];

	(void)state;
	client_up(&c);
	st = ask_with(&c, "POST", "/grpc/Echo", grpc_frame(STR("hello"), 0, frame), grpc_fields);
	until_closed(&c, st);
	assert_int_equal(st->status, 200);
	assert_int_equal(st->n, 10);
	assert_memory_equal(st->body, "\0\0\0\0\5hello", 10);
	assert_non_null(strstr(st->head, "content-type: application/grpc\n"));
	assert_non_null(strstr(st->head, "--\ngrpc-status: 0\n"));
	assert_null(strstr(st->head, "grpc-message"));

	st = ask_with(&c, "POST", "/grpc/Echo", grpc_frame(STR(""), 0, frame), grpc_fields);
	until_closed(&c, st);
	assert_int_equal(st->n, 5);
	assert_non_null(strstr(st->head, "--\ngrpc-status: 0\n"));

	st = ask_with(&c, "POST", "/grpc/Fail", grpc_frame(STR("x"), 0, frame), grpc_fields);
	until_closed(&c, st);
	assert_true(st->status == 200 && st->n == 0);
	assert_null(strstr(st->head, "--\n")); /* trailers only */
	assert_non_null(strstr(st->head, "grpc-status: 5\n"));
	assert_non_null(strstr(st->head, "grpc-message: no \"caf%C3%A9\" at 100%25\n"));
	client_down(&c);
}

static void test_grpc_bad_messages(void **state)
{
	static const struct {
		const char *name;
		struct str body;
		const char *status;
	} rows[] = {
		{ "compressed", { "\1\0\0\0\1x", 6 }, "grpc-status: 12\n" },
		{ "two messages", { "\0\0\0\0\1x\0\0\0\0\1y", 12 },
		    "grpc-status: 12\ngrpc-message: this method takes exactly one message" },
		{ "short prefix", { "\0\0\0", 3 }, "grpc-status: 3\n" },
		{ "no message", { "", 0 }, "grpc-status: 12\ngrpc-message: this method takes exactly one message" },
		{ "short message", { "\0\0\0\0\5abc", 8 }, "grpc-status: 3\n" },
		{ "bad flag", { "\7\0\0\0\1x", 6 }, "grpc-status: 3\n" },
		{ "too long", { "\0\1\0\0\0x", 6 }, "grpc-status: 8\n" },
	};
	static struct client c;

	(void)state;
	client_up(&c);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct stream *st = ask_with(&c, "POST", "/grpc/Echo", rows[i].body, grpc_fields);

		until_closed(&c, st);
		if (st->status != 200 || strstr(st->head, rows[i].status) == NULL)
			fail_msg("%s: %d %s", rows[i].name, st->status, st->head);
	}
	client_down(&c);
}

/* ---- clients that leave, are slow, or mean harm ---------------------------------------------- */

static void test_reset_stream_stops_work(void **state)
{
	static struct client c;
	struct stream *st;

	(void)state;
	client_up(&c);
	st = ask_with(&c, "GET", "/never", STR_NONE, NULL);
	wait_until(running == 1);
	nghttp2_submit_rst_stream(c.s, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
	push(&c);
	wait_until(running == 0);
	ask_with(&c, "GET", "/never", STR_NONE, NULL);
	wait_until(running == 1);
	client_down(&c);
	wait_until(running == 0);
	assert_true(gone >= 2);
}

/* Work that goes on after a reset counts against new streams (CVE-2023-44487). */
static void test_rapid_reset_is_capped(void **state)
{
	static struct client c;
	struct stream *st = NULL;
	int refused = 0, before = started;

	(void)state;
	client_up(&c);
	for (int i = 0; i < 300; i++) {
		st = ask_with(&c, "GET", "/stubborn", STR_NONE, NULL);
		nghttp2_submit_rst_stream(c.s, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
		push(&c);
	}
	st = ask(&c, "GET", "/", STR_NONE);
	refused = st->error == NGHTTP2_REFUSED_STREAM;
	assert_true(refused);
	assert_true(started - before <= 128);
	client_down(&c);
	wait_until(running == 0);
}

static void test_reset_flood_ends_connection(void **state)
{
	static struct client c;

	(void)state;
	client_up(&c);
	for (int round = 0; round < 5 && !c.eof; round++) {
		for (int i = 0; i < 400; i++) {
			c.n = 0;
			nghttp2_submit_rst_stream(c.s, NGHTTP2_FLAG_NONE,
			    ask_with(&c, "GET", "/", STR_NONE, NULL)->id, NGHTTP2_CANCEL);
			push(&c);
		}
	}
	while (pull(&c))
		;
	assert_true(c.eof);
	client_down(&c);
}

static void raw_expect_goaway(const char *what, const char *frames, size_t n, size_t times)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	static char in[65536];
	int fd = dial(&w.grpc);
	bool goaway = false, eof = false;
	ssize_t k;

	say(fd, preface, sizeof preface - 1);
	for (size_t i = 0; i < times; i++)
		say(fd, frames, n);
	while (readable(fd, 5000)) {
		k = recv(fd, in, sizeof in, 0);
		eof = k <= 0;
		if (eof)
			break;
		for (char *p = in; p + 9 <= in + k;) {
			size_t len = (size_t)(unsigned char)p[0] << 16 | (size_t)(unsigned char)p[1] << 8 |
			    (unsigned char)p[2];

			goaway |= p[3] == 7;
			p += 9 + len;
		}
	}
	if (!eof || !goaway)
		fail_msg("%s: %s, %s", what, eof ? "closed" : "open", goaway ? "GOAWAY" : "no GOAWAY");
	close(fd);
}

static void test_floods(void **state)
{
	static const char ping[] = "\0\0\10\6\0\0\0\0\0\1\2\3\4\5\6\7\10";
	static const char settings[] = "\0\0\0\4\0\0\0\0\0";
	/* HEADERS without END_HEADERS, then CONTINUATIONs without end */
	static const char headers[] = "\0\0\1\1\0\0\0\0\1\x82";
	static const char continuation[] = "\0\0\1\11\0\0\0\0\1\x84";
	static char cont[10 * 1000 + sizeof headers];

	(void)state;
	raw_expect_goaway("PING", ping, sizeof ping - 1, 20000);
	raw_expect_goaway("SETTINGS", settings, sizeof settings - 1, 20000);
	memcpy(cont, headers, sizeof headers - 1);
	for (int i = 0; i < 1000; i++)
		memcpy(cont + sizeof headers - 1 + 10 * i, continuation, 10);
	raw_expect_goaway("CONTINUATION", cont, sizeof headers - 1 + 10 * 1000, 1);
}

static void test_broken_frames(void **state)
{
	(void)state;
	raw_expect_goaway("DATA on an idle stream", "\0\0\1\0\1\0\0\0\1x", 10, 1);
	raw_expect_goaway("DATA on stream 0", "\0\0\1\0\1\0\0\0\0x", 10, 1);
	raw_expect_goaway("WINDOW_UPDATE by 0", "\0\0\4\10\0\0\0\0\0\0\0\0\0", 13, 1);
	raw_expect_goaway("window overflow", "\0\0\4\10\0\0\0\0\0\x7f\xff\xff\xff", 13, 2);
	raw_expect_goaway("HPACK: index 127... unfinished", "\0\0\1\1\5\0\0\0\1\xff", 10, 1);
	raw_expect_goaway("even stream", "\0\0\1\1\5\0\0\0\2\x82", 10, 1);
	raw_expect_goaway("CONTINUATION out of place", "\0\0\1\11\4\0\0\0\1\x82", 10, 1);
	raw_expect_goaway("PUSH_PROMISE by a client", "\0\0\5\5\4\0\0\0\1\0\0\0\2\x82", 14, 1);
	raw_expect_goaway("frame size past the maximum", "\1\0\0\0\0\0\0\0\1", 9, 1);
}

static void test_not_http2(void **state)
{
	char in[256];
	int fd = dial(&w.grpc);

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
	while (readable(fd, 5000) && recv(fd, in, sizeof in, 0) > 0)
		;
	close(fd);
	fd = dial(&w.grpc); /* says nothing */
	assert_true(readable(fd, 5000));
	while (recv(fd, in, sizeof in, 0) > 0)
		;
	close(fd);
}

static void test_slow_body(void **state)
{
	static struct client c;

	(void)state;
	client_up(&c);
	assert_int_equal(ask_open(&c, "10")->status, 408);
	client_down(&c);
}

/* A client that opens no window gets its own connection closed, and nobody else's. */
static void test_slow_reader(void **state)
{
	static struct client slow, other;
	int fd;

	(void)state;
	client_up(&slow);
	for (int i = 0; i < 8; i++)
		ask_with(&slow, "GET", "/big", STR_NONE, NULL);
	nghttp2_submit_window_update(slow.s, NGHTTP2_FLAG_NONE, 0, 1 << 30);
	for (int i = 0; i < 8; i++)
		nghttp2_submit_window_update(slow.s, NGHTTP2_FLAG_NONE, slow.st[i].id, 1 << 30);
	push(&slow); /* and never reads */
	client_up(&other);
	for (int i = 0; i < 50; i++)
		assert_int_equal(ask(&other, "GET", "/", STR_NONE)->status, 200);
	fd = slow.fd;
	wait_until(send(fd, "\0\0\0\4\1\0\0\0\0", 9, MSG_NOSIGNAL) < 0);
	client_down(&slow);
	client_down(&other);
}

/* The socket never takes all that there is, so that the output is never empty; it must not grow for that. */
static void test_output_that_is_never_empty(void **state)
{
	static struct client c;

	(void)state;
	worker_down(&w);
	worker_up_with(&w, &default_limits, NULL, 16384);
	client_up(&c);
	nghttp2_session_set_local_window_size(c.s, NGHTTP2_FLAG_NONE, 0, 1 << 30);
	for (int i = 0; i < 8; i++) {
		ask_with(&c, "GET", "/big", STR_NONE, NULL);
		nghttp2_session_set_local_window_size(c.s, NGHTTP2_FLAG_NONE, c.st[i].id, 1 << 30);
	}
	push(&c);
	for (int i = 0; i < 8; i++) {
		until_closed(&c, &c.st[i]);
		assert_true(c.st[i].closed && c.st[i].error == NGHTTP2_NO_ERROR);
		assert_int_equal(c.st[i].n, sizeof big);
	}
	client_down(&c);
	worker_down(&w);
	worker_up(&w, &default_limits);
}

static void test_drain(void **state)
{
	static struct client idle, busy;
	struct drain_msg m;
	struct stream *st;

	(void)state;
	worker_down(&w);
	worker_up(&w, &default_limits);
	client_up(&idle);
	assert_int_equal(ask(&idle, "GET", "/", STR_NONE)->status, 200);
	client_up(&busy);
	st = ask_with(&busy, "GET", "/late", STR_NONE, NULL);
	wait_until(running == 1);
	worker_drain(&w, &m);
	while (pull(&idle))
		;
	assert_true(idle.eof && idle.goaway && idle.goaway_error == NGHTTP2_NO_ERROR);
	until_closed(&busy, st);
	assert_int_equal(st->status, 200);
	while (pull(&busy))
		;
	assert_true(busy.eof && busy.goaway && busy.goaway_last == st->id);
	wait_until(w.drained);
	client_down(&idle);
	client_down(&busy);
}

static void test_free_with_requests_waiting(void **state)
{
	static struct client c;

	(void)state;
	worker_down(&w);
	worker_up(&w, &default_limits);
	client_up(&c);
	for (int i = 0; i < 40; i++)
		ask_with(&c, "GET", "/never", STR_NONE, NULL);
	wait_until(running == 40);
	worker_down(&w);
	assert_int_equal(running, 0);
	client_down(&c);
	worker_up(&w, &default_limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_streams_do_not_wait_for_each_other),
		cmocka_unit_test(test_body_limits),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_head_too_large),
		cmocka_unit_test(test_grpc),
		cmocka_unit_test(test_grpc_bad_messages),
		cmocka_unit_test(test_reset_stream_stops_work),
		cmocka_unit_test(test_rapid_reset_is_capped),
		cmocka_unit_test(test_reset_flood_ends_connection),
		cmocka_unit_test(test_floods),
		cmocka_unit_test(test_broken_frames),
		cmocka_unit_test(test_not_http2),
		cmocka_unit_test(test_slow_body),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_output_that_is_never_empty),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_free_with_requests_waiting),
	};

	return cmocka_run_group_tests(tests, up, down);
}
