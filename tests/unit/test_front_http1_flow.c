/* HTTP/1.1 over time: bodies that stream, clients that are slow or too many, the end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "front_http1_client.h"
#include "request/chunked.h"
#include "request/flow.h"

/* ---- bodies that stream ---------------------------------------------------------------------- */

#define FLOWING (3u << 20)

struct upload {
	int fd;
	bool chunked;
	size_t n;
};

static char piece_at(size_t i)
{
	return (char)('a' + i % 23);
}

static void *upload_main(void *arg)
{
	const struct upload *u = arg;
	char piece[10000], size[32];

	for (size_t at = 0; at < u->n; at += sizeof piece) {
		size_t n = u->n - at < sizeof piece ? u->n - at : sizeof piece;

		for (size_t i = 0; i < n; i++)
			piece[i] = piece_at(at + i);
		if (u->chunked)
			say(u->fd, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", n));
		say(u->fd, piece, n);
		if (u->chunked)
			say(u->fd, "\r\n", 2);
	}
	if (u->chunked)
		say(u->fd, "0\r\n\r\n", 5);
	return NULL;
}

/* Up to the empty line, byte by byte. */
static void hear_head(int fd, char *head, size_t cap)
{
	size_t n = 0;

	while (n < cap - 1 && readable(fd, 5000) && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = '\0';
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
			return;
	}
	fail_msg("no head: %.*s", (int)n, head);
}

/* Checks the pieces; how many bytes came, or -1 when the framing broke. */
static ssize_t hear_body(int fd, bool chunked, size_t want)
{
	struct chunked c = { 0 };
	static char in[65536];
	size_t got = 0;

	while (chunked || got < want) {
		ssize_t n = readable(fd, 5000) ? recv(fd, in, sizeof in, 0) : -1;
		struct str data = { in, n > 0 ? (size_t)n : 0 };
		size_t at = 0, used = 0;
		enum chunked_step step = CHUNKED_MORE;

		if (n <= 0)
			return -1;
		while (!chunked || (step = chunked_read(&c, in + at, (size_t)n - at, &used, &data)) == CHUNKED_DATA) {
			for (size_t i = 0; i < data.n; i++)
				if (data.p[i] != piece_at(got + i))
					fail_msg("byte %zu is another", got + i);
			got += data.n;
			at += used;
			if (!chunked)
				break;
		}
		if (step == CHUNKED_DONE)
			return (ssize_t)got;
		if (step == CHUNKED_BAD)
			return -1;
	}
	return (ssize_t)got;
}

static void test_bodies_stream(void **state)
{
	struct front_limits lim = default_limits;
	char head[1024];
	int fd;

	(void)state;
	worker_down(&w);
	lim.body = 0;
	worker_up(&w, &lim);
	fd = dial(&w.http);
	for (int i = 0; i < 4; i++) { /* and the connection goes on */
		struct upload u = { fd, i % 2 == 1, FLOWING + (unsigned)i };
		pthread_t t;
		int n = u.chunked ? snprintf(head, sizeof head, "POST /flow HTTP/1.1\r\n" H
			"Transfer-Encoding: chunked\r\n\r\n") : snprintf(head, sizeof head,
			"POST /flow HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", u.n);

		say(fd, head, (size_t)n);
		assert_int_equal(pthread_create(&t, NULL, upload_main, &u), 0);
		hear_head(fd, head, sizeof head);
		assert_non_null(strstr(head, u.chunked ? "transfer-encoding: chunked" : "content-length: 31457"));
		assert_int_equal(hear_body(fd, u.chunked, u.n), (ssize_t)u.n);
		pthread_join(t, NULL);
		if (strstr(head, "connection: close") != NULL) { /* said before the body had come */
			close(fd);
			fd = dial(&w.http);
		}
	}
	close(fd);
}

/* The client leaves in the middle, or breaks its chunks: its exchange ends, and nobody else's. */
static void test_streams_that_break_off(void **state)
{
	static const char begun[] = "POST /flow HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n";
	static char chunk[100006];
	static struct answer a;
	char head[1024];

	(void)state;
	memcpy(chunk, "1869e\r\n", 7); /* 99998 */
	for (size_t i = 0; i < 99998; i++)
		chunk[7 + i] = piece_at(i);
	for (int i = 0; i < 20; i++) {
		int fd = dial(&w.http);

		say(fd, begun, sizeof begun - 1);
		say(fd, chunk, 7 + 99998);
		hear_head(fd, head, sizeof head);
		if (i % 2 == 0) {
			say(fd, "\r\nx", 3);
			assert_int_equal(hear_body(fd, true, 0), -1); /* an end that is none */
		}
		close(fd);
	}
	ask(GET("/1"), strlen(GET("/1")), &a, false);
	assert_int_equal(a.status, 200);
	worker_down(&w);
	worker_up(&w, &default_limits);
}

/* ---- limits -------------------------------------------------------------------------------- */

static void repeat(char *out, const char *piece, size_t times)
{
	for (size_t n = strlen(piece); times > 0; times--, out += n)
		memcpy(out, piece, n + 1);
}

static void test_head_too_large(void **state)
{
	static struct answer a;
	static char raw[40000];
	int n;

	(void)state;
	n = sprintf(raw, "GET / HTTP/1.1\r\n" H);
	repeat(raw + n, "A: b\r\n", 70); /* header_count is 64 */
	strcat(raw, "\r\n");
	ask(raw, strlen(raw), &a, true);
	assert_int_equal(a.status, 431);
	assert_non_null(strstr(a.text, "headers_too_large"));

	n = sprintf(raw, "GET / HTTP/1.1\r\n" H "A: ");
	repeat(raw + n, "0123456789", 1700);
	strcat(raw, "\r\n\r\n");
	ask(raw, strlen(raw), &a, true);
	assert_int_equal(a.status, 431);
	assert_non_null(strstr(a.text, "headers_too_large"));

	n = sprintf(raw, "GET / HTTP/1.1\r\n" H "A: ");
	repeat(raw + n, "0123456789", 3800); /* refused before its end has come */
	ask(raw, strlen(raw), &a, true);
	assert_int_equal(a.status, 431);

	n = sprintf(raw, "GET /");
	repeat(raw + n, "0123456789", 900);
	strcat(raw, " HTTP/1.1\r\n" H "\r\n");
	ask(raw, strlen(raw), &a, true);
	assert_int_equal(a.status, 414);
	assert_non_null(strstr(a.text, "uri_too_long"));
}

static void test_chunked_body_past_limit(void **state)
{
	static struct answer a;
	static char raw[400000];

	(void)state;
	strcpy(raw, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
	repeat(raw + strlen(raw), "a\r\n0123456789\r\n", 26400);
	ask(raw, strlen(raw), &a, true);
	assert_int_equal(a.status, 413);
	assert_non_null(strstr(a.text, "body_too_large"));
}

/* A client that sends all before it reads must still see the answer. */
static void test_refused_body_does_not_lose_the_answer(void **state)
{
	static struct answer a;
	static const char head[] = "POST / HTTP/1.1\r\n" H "Content-Length: 1048500\r\n\r\n";
	static char raw[1 << 20];

	(void)state;
	memset(raw, 'x', sizeof raw);
	memcpy(raw, head, sizeof head - 1);
	ask(raw, sizeof raw, &a, true);
	assert_int_equal(a.status, 413);
	assert_non_null(strstr(a.text, "body_too_large"));
}

static void test_slow_clients(void **state)
{
	static const char *const slow[] = {
		"GET / HTTP/1.1\r\nHost: h\r\nA: b",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	};
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		ask(slow[i], strlen(slow[i]), &a, true);
		assert_int_equal(a.status, 408);
		assert_non_null(strstr(a.text, "request_timeout"));
	}
	ask("", 0, &a, true);
	assert_true(a.closed);
	ask("GE", 2, &a, true);
	assert_true(a.closed);
}

/* Slowloris: a byte now and then does not start the time anew. */
static void test_dripping_header(void **state)
{
	static struct answer a;
	int fd = dial(&w.http);
	int64_t end = clock_mono() + 5 * CLOCK_SEC;

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nA: ", 19);
	while (!readable(fd, 20) && clock_mono() < end)
		say(fd, "b", 1);
	hear(fd, &a, true, false);
	assert_int_equal(a.status, 408);
	close(fd);
}

static void test_steady_slow_reader_gets_all(void **state)
{
	static char part[32768];
	int small = 4096, fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t got = 0;
	ssize_t n;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	assert_int_equal(connect(fd, (struct sockaddr *)&w.http, sizeof(struct sockaddr_in)), 0);
	say(fd, GET("/big"), strlen(GET("/big")));
	while (got < sizeof big && readable(fd, 5000) && (n = recv(fd, part, sizeof part, 0)) > 0)
		got += (size_t)n;
	assert_true(got >= sizeof big);
	close(fd);
}

/* ---- limits of the process ------------------------------------------------------------------- */

static void test_too_many(void **state)
{
	static struct answer a;
	int fd[3];

	(void)state;
	worker_down(&w);
	most.requests = 2;
	most.per_address = 3;
	worker_up(&w, &default_limits);
	most.requests = 1000;
	most.per_address = 0;
	for (int i = 0; i < 3; i++) {
		fd[i] = dial(&w.http);
		if (i < 2)
			say(fd[i], GET("/never"), strlen(GET("/never")));
		wait_until(running == (i < 2 ? i + 1 : 2));
	}
	say(fd[2], GET("/"), strlen(GET("/")));
	hear(fd[2], &a, true, false);
	assert_int_equal(a.status, 503);
	assert_non_null(strcasestr(a.text, "retry-after: 1"));
	assert_non_null(strstr(a.text, "overloaded"));
	close(fd[2]);
	for (int i = 0; i < 2; i++)
		close(fd[i]);
	wait_until(running == 0);
	for (int i = 0; i < 3; i++) {
		fd[i] = dial(&w.http);
		say(fd[i], GET("/"), strlen(GET("/")));
		hear(fd[i], &a, false, false);
		assert_int_equal(a.status, 200);
	}
	ask(GET("/"), strlen(GET("/")), &a, true);
	assert_true(a.status == 503 && a.closed);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

static void test_drain(void **state)
{
	static struct answer a;
	struct drain_msg m;
	int idle, busy;

	(void)state;
	worker_down(&w);
	worker_up(&w, &default_limits);
	idle = dial(&w.http);
	say(idle, GET("/"), strlen(GET("/")));
	hear(idle, &a, false, false);
	busy = dial(&w.http);
	say(busy, GET("/late"), strlen(GET("/late")));
	wait_until(running == 1);
	worker_drain(&w, &m);
	hear(idle, &a, true, false);
	assert_true(a.n == 0 && a.closed);
	hear(busy, &a, true, false);
	assert_int_equal(a.status, 200);
	assert_non_null(strcasestr(a.text, "connection: close"));
	wait_until(w.drained);
	close(idle);
	close(busy);
}

/* The front is freed while requests wait: steps may still answer them afterwards. */
static void test_free_with_requests_waiting(void **state)
{
	int fd[40];

	(void)state;
	worker_down(&w);
	worker_up(&w, &default_limits);
	for (int i = 0; i < 40; i++) {
		fd[i] = dial(&w.http);
		say(fd[i], GET("/never"), strlen(GET("/never")));
	}
	wait_until(running == 40);
	worker_down(&w);
	assert_int_equal(running, 0);
	for (int i = 0; i < 40; i++)
		close(fd[i]);
	worker_up(&w, &default_limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies_stream),
		cmocka_unit_test(test_streams_that_break_off),
		cmocka_unit_test(test_head_too_large),
		cmocka_unit_test(test_chunked_body_past_limit),
		cmocka_unit_test(test_refused_body_does_not_lose_the_answer),
		cmocka_unit_test(test_slow_clients),
		cmocka_unit_test(test_dripping_header),
		cmocka_unit_test(test_steady_slow_reader_gets_all),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_free_with_requests_waiting),
	};

	return cmocka_run_group_tests(tests, up, down);
}
