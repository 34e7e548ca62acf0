#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/heap.h"
#include "crypto/tls_peer.h"
#include "tls_fixture.h"

/* A pair whose sessions hold the only references of what they were made from. */
static void open_pair(struct tls_pair *p, const char *server, const char *ca, const char *host)
{
	struct tls_server *s = tls_pki_server(server, NULL);
	struct tls_client *c = tls_pki_client(ca, NULL);

	tls_pair_open(p, s, TLS_HTTP1, c, TLS_HTTP1, host);
	tls_server_unref(s);
	tls_client_unref(c);
}

static void open_established(struct tls_pair *p)
{
	open_pair(p, "node", "ca.pem", "node.test");
	assert_true(tls_pair_shake(p));
}

static ssize_t write_one(struct tls_session *s, const void *p, size_t n)
{
	struct iovec iov = { (void *)p, n };

	return tls_session_writev(s, &iov, 1);
}

/* ---- who is trusted ------------------------------------------------------------------------ */

static void takes_nodes_by_name_and_address(void **state)
{
	static const char *const hosts[] = { "node.test", "a.wild.test", "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		struct tls_pair p;

		open_pair(&p, "node", "ca.pem", hosts[i]);
		assert_true(tls_pair_shake(&p));
		tls_pair_close(&p);
	}
}

static void refuses_nodes(void **state)
{
	static const struct {
		const char *server, *ca, *host, *why;
	} cases[] = {
		{ "node", "ca.pem", "other.test", "name" },
		{ "node", "ca.pem", "127.0.0.2", "name" },
		{ "node", "ca.pem", "::2", "name" },
		{ "node", "ca.pem", "a.b.wild.test", "name" },
		{ "bare", "ca.pem", "node.test", "name" }, /* a common name is no name */
		{ "expired", "ca.pem", "node.test", "expired" },
		{ "stranger", "ca.pem", "node.test", "issuer" },
		{ "node", "other-ca.pem", "127.0.0.1", "issuer" },
		{ "client-only", "ca.pem", "node.test", "purpose" },
		{ "node", NULL, "node.test", "issuer" }, /* the system's authorities */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tls_pair p;
		char text[256];

		open_pair(&p, cases[i].server, cases[i].ca, cases[i].host);
		assert_false(tls_pair_shake(&p));
		if (strstr(tls_session_error(p.client, text), cases[i].why) == NULL)
			fail_msg("case %zu: %s", i, tls_session_error(p.client, text));
		assert_non_null(strstr(tls_session_error(p.server, text), "the peer refuses"));
		tls_pair_close(&p);
	}
}

/* ---- client certificates ------------------------------------------------------------------- */

static bool shake_as(const char *name, struct tls_pair *p)
{
	struct tls_server *s = tls_pki_server("node", "ca.pem");
	struct tls_client *c = tls_pki_client("ca.pem", name);
	bool ok;

	tls_pair_open(p, s, TLS_HTTP2, c, TLS_HTTP2, "node.test");
	tls_server_unref(s);
	tls_client_unref(c);
	ok = tls_pair_shake(p);
	if (!ok)
		return false;
	/* TLS 1.3: the server's refusal comes behind the client's last message */
	return tls_session_read(p->client, (char[1]){ 0 }, 1) == TLS_AGAIN;
}

static void hands_over_the_certificate_of_a_caller(void **state)
{
	struct tls_peer *peer;
	struct tls_pair p;
	gnutls_datum_t dn;

	(void)state;
	assert_true(shake_as("caller", &p));
	peer = tls_session_peer(p.server);
	tls_pair_close(&p);
	assert_non_null(peer); /* and it outlives the session */
	assert_int_equal(gnutls_x509_crt_get_dn3(peer->crt, &dn, 0), 0);
	assert_string_equal((char *)dn.data, "CN=caller,O=test");
	gnutls_free(dn.data);
	assert_true(peer->expires > 0);
	tls_peer_unref(peer);
}

static void takes_callers_without_a_certificate(void **state)
{
	struct tls_pair p;

	(void)state;
	assert_true(shake_as(NULL, &p));
	assert_null(tls_session_peer(p.server));
	tls_pair_close(&p);
}

static void refuses_certificates_of_callers(void **state)
{
	static const char *const names[] = { "stranger", "expired", "server-only" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tls_pair p;
		char text[256];

		if (shake_as(names[i], &p))
			fail_msg("%s was let in", names[i]);
		assert_non_null(strstr(tls_session_error(p.server, text), "certificate is NOT trusted"));
		tls_pair_close(&p);
	}
}

/* ---- protocols ----------------------------------------------------------------------------- */

static void refuses_other_protocols(void **state)
{
	struct tls_server *s = tls_pki_server("node", NULL);
	struct tls_client *c = tls_pki_client("ca.pem", NULL);
	char text[256];

	(void)state;
	for (int i = 0; i < 2; i++) {
		enum tls_alpn mine = i == 0 ? TLS_HTTP1 : TLS_HTTP2, its = i == 0 ? TLS_HTTP2 : TLS_HTTP1;
		struct tls_pair p;

		tls_pair_open(&p, s, mine, c, its, "node.test");
		assert_false(tls_pair_shake(&p));
		assert_string_equal(tls_session_error(p.client, text),
		    "the peer refuses: No supported application protocol could be negotiated");
		tls_pair_close(&p);
	}
	tls_server_unref(s);
	tls_client_unref(c);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static void carries_bytes_both_ways(void **state)
{
	struct tls_pair p;
	char got[64];

	(void)state;
	open_established(&p);
	assert_int_equal(tls_session_read(p.server, got, sizeof got), TLS_AGAIN);
	assert_int_equal(write_one(p.client, "ping", 4), 4);
	assert_int_equal(tls_session_read(p.server, got, sizeof got), 4);
	assert_memory_equal(got, "ping", 4);
	assert_int_equal(write_one(p.server, "pong!", 5), 5);
	assert_int_equal(tls_session_read(p.client, got, sizeof got), 5);
	assert_memory_equal(got, "pong!", 5);
	assert_int_equal(tls_session_read(p.client, got, sizeof got), TLS_AGAIN);
	assert_false(tls_session_ended(p.client));
	tls_pair_close(&p);
}

static size_t waiting(int fd)
{
	static char sink[1 << 20];
	ssize_t n = recv(fd, sink, sizeof sink, MSG_PEEK | MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static void small_pieces_share_a_record(void **state)
{
	struct iovec iov[5] = { { "head", 4 }, { "", 0 }, { "er", 2 }, { "body", 4 }, { "", 0 } };
	struct tls_pair p;
	char got[16];

	(void)state;
	open_established(&p);
	assert_int_equal(tls_session_read(p.client, got, 1), TLS_AGAIN); /* tickets */
	assert_int_equal(tls_session_writev(p.client, iov, 5), 10);
	assert_int_equal(waiting(p.server_fd), 10 + 22); /* one record of TLS 1.3 */
	assert_int_equal(tls_session_read(p.server, got, sizeof got), 10);
	assert_memory_equal(got, "headerbody", 10);
	tls_pair_close(&p);
}

static void fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 7 + i / 251);
}

/* Much more than the socket holds, in pieces of every kind; read in steps of `step` bytes. */
static void carry(size_t total, size_t step)
{
	char *out = malloc(total), *in = malloc(total);
	size_t sent = 0, got = 0;
	struct tls_pair p;
	bool full = false;

	fill(out, total);
	open_established(&p);
	while (got < total) {
		struct iovec iov[3] = { { out + sent, (total - sent) / 5 }, { NULL, 0 }, { NULL, 0 } };
		ssize_t k = 0;

		iov[1] = (struct iovec){ out + sent + iov[0].iov_len, (total - sent) / 2 };
		iov[2].iov_base = (char *)iov[1].iov_base + iov[1].iov_len;
		iov[2].iov_len = total - sent - iov[0].iov_len - iov[1].iov_len;
		if (sent < total)
			k = tls_session_writev(p.client, iov, 3);
		else
			assert_true(tls_session_flush(p.client));
		assert_true(k >= 0 || k == TLS_AGAIN);
		full |= tls_session_unflushed(p.client);
		assert_true(k < 0 || sent + (size_t)k == total || tls_session_unflushed(p.client));
		sent += k > 0 ? (size_t)k : 0;
		do {
			k = tls_session_read(p.server, in + got, total - got < step ? total - got : step);
			got += k > 0 ? (size_t)k : 0;
		} while (k > 0);
		assert_true(k == TLS_AGAIN || got == total);
	}
	assert_true(full || total < 100000);
	assert_memory_equal(in, out, total);
	tls_pair_close(&p);
	free(out);
	free(in);
}

static void a_full_socket_loses_nothing(void **state)
{
	(void)state;
	carry(3000000, 65536);
	carry(1000000, 100000);
	carry(1000003, 1000);
	carry(20000, 1);
}

/* Between the ends: what one writes comes to the other in pieces. */
static void relay_some(int from, int to, size_t step)
{
	char piece[4096];
	ssize_t n = recv(from, piece, step, MSG_DONTWAIT);

	if (n > 0)
		assert_int_equal(send(to, piece, (size_t)n, 0), n);
}

static void split_records_are_put_together(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 5, 7, 64, 1000, 4096 };

	(void)state;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct tls_server *ts = tls_pki_server("node", "ca.pem");
		struct tls_client *tc = tls_pki_client("ca.pem", "caller");
		enum tls_step cs = TLS_GOING, ss = TLS_GOING;
		struct tls_session *s, *c;
		struct tls_buffers *b;
		char out[30000], in[30000];
		size_t got = 0;
		int x[2], y[2];

		fill(out, sizeof out);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, x), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, y), 0);
		assert_int_equal(tls_buffers_new(&b), OK);
		assert_int_equal(tls_session_accept(ts, b, y[1], TLS_HTTP1, &s), OK);
		assert_int_equal(tls_session_connect(tc, b, x[0], "node.test", TLS_HTTP1, &c), OK);
		while (cs != TLS_DONE || ss != TLS_DONE) {
			assert_true(cs != TLS_FAILED && ss != TLS_FAILED);
			cs = cs == TLS_GOING ? tls_session_handshake(c) : cs;
			ss = ss == TLS_GOING ? tls_session_handshake(s) : ss;
			relay_some(x[1], y[0], steps[i]);
			relay_some(y[0], x[1], steps[i]);
		}
		assert_int_equal(write_one(c, out, sizeof out), sizeof out);
		while (got < sizeof in) {
			ssize_t k;

			relay_some(x[1], y[0], steps[i]);
			k = tls_session_read(s, in + got, sizeof in - got);
			assert_true(k > 0 || k == TLS_AGAIN);
			got += k > 0 ? (size_t)k : 0;
		}
		assert_memory_equal(in, out, sizeof in);
		tls_session_free(s);
		tls_session_free(c);
		tls_buffers_free(b);
		tls_server_unref(ts);
		tls_client_unref(tc);
		for (int k = 0; k < 2; k++) {
			close(x[k]);
			close(y[k]);
		}
	}
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void tells_an_end_from_a_cut(void **state)
{
	(void)state;
	for (int cut = 0; cut < 2; cut++) {
		struct tls_pair p;
		char got[16];

		open_established(&p);
		assert_int_equal(write_one(p.client, "last", 4), 4);
		if (!cut)
			tls_session_bye(p.client);
		close(p.client_fd);
		p.client_fd = -1;
		assert_int_equal(tls_session_read(p.server, got, sizeof got), 4);
		if (!cut)
			assert_true(tls_session_ended(p.server));
		assert_int_equal(tls_session_read(p.server, got, sizeof got), cut ? TLS_ERROR : 0);
		assert_int_equal(tls_session_read(p.server, got, sizeof got), cut ? TLS_ERROR : 0);
		tls_pair_close(&p);
	}
}

/* A record that was changed on its way ends the session; nothing of it comes out. */
static void refuses_forged_records(void **state)
{
	struct tls_pair p;
	char record[256], got[64];
	ssize_t n;

	(void)state;
	open_established(&p);
	assert_int_equal(tls_session_read(p.client, got, sizeof got), TLS_AGAIN);
	assert_int_equal(write_one(p.client, "pay 10", 6), 6);
	n = recv(p.server_fd, record, sizeof record, 0);
	assert_true(n > 10);
	record[8] ^= 1;
	assert_int_equal(send(p.client_fd, record, (size_t)n, 0), n);
	assert_int_equal(tls_session_read(p.server, got, sizeof got), TLS_ERROR);
	assert_int_equal(write_one(p.server, "x", 1), TLS_ERROR);
	assert_int_equal(tls_session_read(p.client, got, sizeof got), TLS_ERROR); /* the alert */
	tls_pair_close(&p);
}

static void refuses_what_is_not_tls(void **state)
{
	static const char *const texts[] = { "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\xff\xff\x01", "" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tls_pair p;

		open_pair(&p, "node", "ca.pem", "node.test");
		assert_int_equal(tls_session_handshake(p.server), TLS_GOING);
		assert_true(send(p.client_fd, texts[i], strlen(texts[i]), 0) >= 0);
		shutdown(p.client_fd, SHUT_WR);
		assert_int_equal(tls_session_handshake(p.server), TLS_FAILED);
		assert_int_equal(tls_session_handshake(p.server), TLS_FAILED);
		tls_pair_close(&p);
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

static void every_allocation_may_fail(void **state)
{
	(void)state;
	for (long n = 1; n < 60; n++) {
		struct tls_server *s = tls_pki_server("node", "ca.pem");
		struct tls_client *c = tls_pki_client("ca.pem", "caller");
		struct tls_session *a = NULL, *b = NULL;
		struct tls_buffers *buffers;
		enum tls_step as = TLS_GOING, bs = TLS_GOING;
		char big[40000] = "", got[100];
		int fds[2];

		assert_int_equal(tls_buffers_new(&buffers), OK);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		heap_fail_after(n);
		if (tls_session_accept(s, buffers, fds[0], TLS_HTTP1, &a) == OK &&
		    tls_session_connect(c, buffers, fds[1], "node.test", TLS_HTTP1, &b) == OK) {
			for (int i = 0; i < 5 && (as == TLS_GOING || bs == TLS_GOING); i++) {
				as = as == TLS_GOING ? tls_session_handshake(a) : as;
				bs = bs == TLS_GOING ? tls_session_handshake(b) : bs;
			}
			if (as == TLS_DONE && bs == TLS_DONE && write_one(b, big, sizeof big) > 0)
				for (int i = 0; i < 500 && tls_session_read(a, got, sizeof got) > 0; i++)
					;
		}
		heap_fail_after(0);
		tls_session_free(a);
		tls_session_free(b);
		tls_buffers_free(buffers);
		tls_server_unref(s);
		tls_client_unref(c);
		close(fds[0]);
		close(fds[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_nodes_by_name_and_address),
		cmocka_unit_test(refuses_nodes),
		cmocka_unit_test(hands_over_the_certificate_of_a_caller),
		cmocka_unit_test(takes_callers_without_a_certificate),
		cmocka_unit_test(refuses_certificates_of_callers),
		cmocka_unit_test(refuses_other_protocols),
		cmocka_unit_test(carries_bytes_both_ways),
		cmocka_unit_test(small_pieces_share_a_record),
		cmocka_unit_test(a_full_socket_loses_nothing),
		cmocka_unit_test(split_records_are_put_together),
		cmocka_unit_test(tells_an_end_from_a_cut),
		cmocka_unit_test(refuses_forged_records),
		cmocka_unit_test(refuses_what_is_not_tls),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, tls_pki_set_up, tls_pki_tear_down);
}
