/* The front with TLS, on real sockets that hold little. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "front_double.h"
#include "tls_fixture.h"

/* For what is not about time: a crowd shakes hands for a while. */
static void up(struct worker *w)
{
	struct front_limits limits = default_limits;

	limits.header_timeout_us = limits.body_timeout_us = 30 * CLOCK_SEC;
	worker_up_with(w, &limits, tls_pki_server("node", "ca.pem"), 8192);
}

/* ---- a client that waits -------------------------------------------------------------------- */

struct client {
	int fd;
	struct tls_buffers *b;
	struct tls_session *s;
	enum tls_step step; /* of the handshake */
};

static void open_client(struct client *c, const struct sockaddr_storage *to, enum tls_alpn alpn)
{
	struct tls_client *t = tls_pki_client("ca.pem", NULL);

	c->fd = dial(to);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(tls_buffers_new(&c->b), OK);
	assert_int_equal(tls_session_connect(t, c->b, c->fd, "127.0.0.1", alpn, &c->s), OK);
	tls_client_unref(t);
	c->step = tls_session_handshake(c->s); /* says hello */
	assert_int_not_equal(c->step, TLS_FAILED);
}

static void shake(struct client *c)
{
	while (c->step == TLS_GOING) {
		assert_true(readable(c->fd, 5000));
		c->step = tls_session_handshake(c->s);
	}
	assert_int_equal(c->step, TLS_DONE);
}

static void close_client(struct client *c)
{
	tls_session_free(c->s);
	tls_buffers_free(c->b);
	close(c->fd);
}

static void wait_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	assert_int_equal(poll(&p, 1, 5000), 1);
}

static void say_all(struct client *c, const void *p, size_t n)
{
	while (n > 0 || tls_session_unflushed(c->s)) {
		struct iovec iov = { (void *)p, n };
		ssize_t k = tls_session_writev(c->s, &iov, 1);

		assert_true(k >= 0 || k == TLS_AGAIN);
		p = (const char *)p + (k > 0 ? k : 0);
		n -= k > 0 ? (size_t)k : 0;
		if (tls_session_unflushed(c->s))
			wait_writable(c->fd);
	}
}

/* Some bytes, 0 at the end. A server that says nothing for 5 s has failed. */
static size_t hear_some(struct client *c, void *p, size_t n)
{
	ssize_t k;

	while ((k = tls_session_read(c->s, p, n)) == TLS_AGAIN)
		assert_true(readable(c->fd, 5000));
	assert_true(k >= 0); /* and no cut */
	return (size_t)k;
}

static size_t hear_to_end(struct client *c, char *p, size_t n)
{
	size_t have = 0, k;

	while ((k = hear_some(c, p + have, n - have)) > 0)
		have += k;
	return have;
}

/* ---- HTTP/1.1 ------------------------------------------------------------------------------- */

static void answers_that_the_socket_does_not_hold(void **state)
{
	static const char ask[] = "GET /big HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
	static char got[sizeof big + 1000];
	struct worker w;

	(void)state;
	up(&w);
	for (int i = 0; i < 2; i++) {
		struct client c;
		size_t n;

		open_client(&c, &w.http, TLS_HTTP1);
		shake(&c);
		say_all(&c, ask, sizeof ask - 1);
		n = hear_to_end(&c, got, sizeof got);
		assert_true(n > sizeof big);
		assert_memory_equal(got + n - sizeof big, big, sizeof big);
		close_client(&c);
	}
	worker_down(&w);
}

/* Around the sizes at which the last of an answer does not fit into the socket in small steps. */
static size_t next_size(size_t n)
{
	return n + (n % 65536 > 64800 ? 50 : 4903);
}

static void bodies_of_many_sizes(void **state)
{
	static char body[200000], got[sizeof body + 1000];
	struct worker w;
	struct client c;

	(void)state;
	up(&w);
	open_client(&c, &w.http, TLS_HTTP1);
	shake(&c);
	for (size_t n = 0; n <= sizeof body; n = next_size(n)) {
		char head[100], *end;
		size_t have = 0;

		memset(body, 'a' + (int)(n % 26), n);
		snprintf(head, sizeof head, "POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: %zu\r\n\r\n", n);
		say_all(&c, head, strlen(head));
		say_all(&c, body, n);
		do {
			have += hear_some(&c, got + have, sizeof got - 1 - have);
			got[have] = '\0';
			end = strstr(got, "\n\n");
		} while (end == NULL || (size_t)(got + have - end - 2) < n);
		assert_int_equal(got + have - end - 2, n);
		assert_memory_equal(end + 2, body, n);
	}
	close_client(&c);
	worker_down(&w);
}

/* RFC 8446, 6.1: the other direction stays open. The connection ends behind the answer, not when it has
 * been idle for long. */
static void a_client_that_has_said_all_is_answered(void **state)
{
	static const char *const paths[] = { "/x", "/next", "/soon" };
	struct worker w;

	(void)state;
	up(&w);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		char ask[100], got[4000];
		struct client c;
		size_t n;

		snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nhost: x\r\n\r\n", paths[i]);
		open_client(&c, &w.http, TLS_HTTP1);
		shake(&c);
		say_all(&c, ask, strlen(ask));
		tls_session_bye(c.s);
		n = hear_to_end(&c, got, sizeof got);
		assert_true(n > 15);
		assert_memory_equal(got, "HTTP/1.1 200 OK", 15);
		close_client(&c);
	}
	worker_down(&w);
}

/* ---- HTTP/2 --------------------------------------------------------------------------------- */

static size_t put_frame(char *p, size_t n, int type, int flags, uint32_t stream)
{
	const unsigned char head[9] = { (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n,
		(unsigned char)type, (unsigned char)flags, 0, 0, (unsigned char)(stream >> 8),
		(unsigned char)stream };

	memcpy(p, head, sizeof head);
	return sizeof head;
}

/* Preface, SETTINGS with a large window, one for the connection, and the acknowledgement of the server's */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\6\4\0\0\0\0\0\0\4\x7f\xff\xff\xff"
    "\0\0\4\x8\0\0\0\0\0\x7f\xff\0\0\0\0\0\4\1\0\0\0\0";

/* POST /x with a body of n bytes, as frames. */
static size_t put_request(char *p, uint32_t stream, size_t n)
{
	static const char fields[] = "\x83\x87\x04\x02/x\x01\x01x";
	size_t at = put_frame(p, sizeof fields - 1, 1, n > 0 ? 4 : 5, stream);

	memcpy(p + at, fields, sizeof fields - 1);
	at += sizeof fields - 1;
	while (n > 0) {
		size_t k = n < 16384 ? n : 16384;

		at += put_frame(p + at, k, 0, k == n, stream);
		memset(p + at, 'b', k);
		at += k;
		n -= k;
	}
	return at;
}

struct frames {
	struct client c;
	char buf[70000];
	size_t n;
	int goaways;
};

/* Reads on until the stream has ended; bytes of its body. */
static size_t hear_body(struct frames *f, uint32_t stream)
{
	size_t body = 0;

	for (;;) {
		const unsigned char *p = (unsigned char *)f->buf;
		size_t len = f->n >= 9 ? ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]) + 9 : SIZE_MAX;
		bool last;

		if (f->n < len) {
			size_t k = hear_some(&f->c, f->buf + f->n, sizeof f->buf - f->n);

			assert_true(k > 0);
			f->n += k;
			continue;
		}
		if (p[3] <= 1)
			assert_int_equal(p[7] << 8 | p[8], stream);
		body += p[3] == 0 ? len - 9 : 0;
		last = p[3] <= 1 && (p[4] & 1) != 0;
		f->goaways += p[3] == 7;
		memmove(f->buf, f->buf + len, f->n - len);
		f->n -= len;
		if (last)
			return body;
	}
}

/* Keeps the worker busy until `hold` is false, so that it finds all at once what is sent meanwhile. */
static void hold_worker(struct worker *w, struct client *c)
{
	hold = true;
	held = false;
	open_client(c, &w->http, TLS_HTTP1);
	shake(c);
	say_all(c, "GET /hold HTTP/1.1\r\nhost: x\r\n\r\n", 32);
	wait_until(held);
}

static void bursts_of_frames(void **state)
{
	static char burst[260000];
	struct frames f = { .n = 0 };
	uint32_t stream = 1;
	struct worker w;

	(void)state;
	up(&w);
	open_client(&f.c, &w.grpc, TLS_HTTP2);
	shake(&f.c);
	say_all(&f.c, preface, sizeof preface - 1);
	for (size_t n = 0; n < 200000; n = next_size(n), stream += 2) {
		struct client c;

		hold_worker(&w, &c);
		say_all(&f.c, burst, put_request(burst, stream, n));
		hold = false;
		assert_true(hear_body(&f, stream) >= n); /* and not a refusal */
		assert_int_equal(f.goaways, 0);
		close_client(&c);
	}
	close_client(&f.c);
	worker_down(&w);
}

/* ---- handshakes ----------------------------------------------------------------------------- */

#define CROWD 40

/* All say hello at once; every other one leaves at some point of the handshake. */
static void a_crowd_comes_and_half_of_it_leaves(void **state)
{
	struct client c[CROWD];
	struct worker w;

	(void)state;
	up(&w);
	for (int i = 0; i < CROWD; i++) {
		open_client(&c[i], i % 3 == 0 ? &w.grpc : &w.http, i % 3 == 0 ? TLS_HTTP2 : TLS_HTTP1);
	}
	for (int i = 0; i < CROWD; i += 2)
		close_client(&c[i]);
	for (int i = 1; i < CROWD; i += 2)
		shake(&c[i]);
	for (int i = 1; i < CROWD; i += 2) {
		if (i % 3 != 0) {
			char got[100];

			say_all(&c[i], "GET /x HTTP/1.1\r\nhost: x\r\n\r\n", 29);
			assert_true(hear_some(&c[i], got, sizeof got) > 15);
			assert_memory_equal(got, "HTTP/1.1 200 OK", 15);
		}
		close_client(&c[i]);
	}
	worker_down(&w);
}

static void open_crowd(const struct sockaddr_storage *to, enum tls_alpn alpn, struct client c[CROWD])
{
	for (int i = 0; i < CROWD; i++)
		open_client(&c[i], to, alpn);
}

static void ends_with_handshakes_under_way(void **state)
{
	struct client http[CROWD], grpc[CROWD];
	struct worker w;

	(void)state;
	up(&w);
	open_crowd(&w.http, TLS_HTTP1, http);
	open_crowd(&w.grpc, TLS_HTTP2, grpc);
	worker_down(&w);
	for (int i = 0; i < CROWD; i++) {
		close_client(&http[i]);
		close_client(&grpc[i]);
	}
}

/* Whether the server has closed it already. */
static bool ended(int fd)
{
	char p[4096];
	ssize_t k;

	while ((k = recv(fd, p, sizeof p, 0)) > 0)
		;
	return k == 0 || errno == ECONNRESET;
}

/* The time that they have is longer than a drain waits for connections that do nothing. */
static void a_drain_waits_for_handshakes_until_they_are_late(void **state)
{
	struct front_limits limits = default_limits;

	(void)state;
	limits.header_timeout_us = 1500 * CLOCK_MS;
	for (int h2 = 0; h2 < 2; h2++) {
		int64_t start = clock_mono();
		struct client c[CROWD];
		struct drain_msg m;
		struct worker w;

		worker_up_with(&w, &limits, tls_pki_server("node", "ca.pem"), 0);
		open_crowd(h2 ? &w.grpc : &w.http, h2 ? TLS_HTTP2 : TLS_HTTP1, c);
		worker_drain(&w, &m);
		wait_until(w.drained);
		assert_true(clock_mono() - start >= limits.header_timeout_us);
		for (int i = 0; i < CROWD; i++) {
			assert_true(ended(c[i].fd));
			close_client(&c[i]);
		}
		worker_down(&w);
	}
}

/* The server has answered c's hello; what c says from now on it finds together with the drain. */
static void drain_amid(struct worker *w, struct client *c, struct client *holder, struct drain_msg *m)
{
	assert_true(readable(c->fd, 5000));
	hold_worker(w, holder);
	worker_drain(w, m);
	shake(c);
}

static void a_handshake_amid_a_drain_is_followed_by_a_request(void **state)
{
	struct client c, holder;
	struct drain_msg m;
	struct worker w;
	char got[4000];
	size_t n;

	(void)state;
	up(&w);
	open_client(&c, &w.http, TLS_HTTP1);
	drain_amid(&w, &c, &holder, &m);
	say_all(&c, "GET /soon HTTP/1.1\r\nhost: x\r\n\r\n", 32);
	hold = false;
	n = hear_to_end(&c, got, sizeof got - 1);
	got[n] = '\0';
	assert_memory_equal(got, "HTTP/1.1 200 OK", 15);
	assert_non_null(strstr(got, "connection: close\r\n"));
	wait_until(w.drained);
	close_client(&c);
	close_client(&holder);
	worker_down(&w);
}

static void a_handshake_amid_a_drain_is_followed_by_a_stream(void **state)
{
	struct frames f = { .n = 0 };
	struct client holder;
	struct drain_msg m;
	struct worker w;
	char p[4000];

	(void)state;
	up(&w);
	open_client(&f.c, &w.grpc, TLS_HTTP2);
	drain_amid(&w, &f.c, &holder, &m);
	say_all(&f.c, preface, sizeof preface - 1);
	say_all(&f.c, p, put_request(p, 1, 100));
	hold = false;
	assert_true(hear_body(&f, 1) >= 100);
	assert_int_equal(f.goaways, 1); /* that refuses nothing */
	(void)hear_to_end(&f.c, p, sizeof p);
	wait_until(w.drained);
	close_client(&f.c);
	close_client(&holder);
	worker_down(&w);
}

static void a_handshake_that_takes_too_long_ends(void **state)
{
	const struct sockaddr_storage *to[2];
	struct worker w;

	(void)state;
	worker_up_with(&w, &default_limits, tls_pki_server("node", "ca.pem"), 0);
	to[0] = &w.http;
	to[1] = &w.grpc;
	for (int i = 0; i < 4; i++) {
		int fd = dial(to[i % 2]);
		char c;

		if (i >= 2)
			say(fd, "\x16\x03\x01\x02\x00\x01", 6);
		assert_true(readable(fd, 5000));
		assert_true(recv(fd, &c, 1, 0) <= 0);
		close(fd);
	}
	worker_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_that_the_socket_does_not_hold),
		cmocka_unit_test(bodies_of_many_sizes),
		cmocka_unit_test(a_client_that_has_said_all_is_answered),
		cmocka_unit_test(bursts_of_frames),
		cmocka_unit_test(a_crowd_comes_and_half_of_it_leaves),
		cmocka_unit_test(ends_with_handshakes_under_way),
		cmocka_unit_test(a_drain_waits_for_handshakes_until_they_are_late),
		cmocka_unit_test(a_handshake_amid_a_drain_is_followed_by_a_request),
		cmocka_unit_test(a_handshake_amid_a_drain_is_followed_by_a_stream),
		cmocka_unit_test(a_handshake_that_takes_too_long_ends),
	};

	return cmocka_run_group_tests(tests, tls_pki_set_up, tls_pki_tear_down);
}
