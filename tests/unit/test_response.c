/* The response parser: good and hostile answers, each whole, byte by byte, and split in two at every
 * place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "upstream/response.h"

/* How one reading of an answer ended. */
struct reading {
	enum response_step step;
	struct response r;
	struct buf head, body;
	size_t left; /* bytes behind the answer */
};

/* Feeds pieces that end at `cut` (and one byte each when cut is SIZE_MAX) from memory of their own size,
 * so that a sanitizer sees a read past any of them. */
static void read_pieces(struct reading *g, const char *text, size_t n, bool to_head, size_t cut)
{
	size_t at = 0, used = 0;

	memset(g, 0, sizeof *g);
	buf_init(&g->head, 1 << 20);
	buf_init(&g->body, 1 << 20);
	response_init(&g->r, to_head);
	g->step = RESPONSE_MORE;
	while (at < n && g->step == RESPONSE_MORE) { /* the head: all so far, in memory of that size */
		size_t k = cut == SIZE_MAX ? 1 : at < cut && cut < n ? cut - at : n - at;
		char *p = malloc(at + k);

		assert_non_null(p);
		if (at > 0) /* with the names that are in lower case already */
			memcpy(p, g->head.p, at);
		memcpy(p + at, text + at, k);
		at += k;
		free(g->head.p);
		g->head.p = p;
		g->step = response_head(&g->r, g->head.p, at, &used);
	}
	if (g->step != RESPONSE_DONE)
		return;
	at = used;
	for (;;) {
		size_t k = cut == SIZE_MAX ? at < n : at < cut && cut < n ? cut - at : n - at;
		char *piece = malloc(k > 0 ? k : 1);
		size_t took, from = 0;
		struct str data;

		memcpy(piece, text + at, k);
		while ((g->step = response_body(&g->r, piece + from, k - from, &took, &data)) ==
		    RESPONSE_DATA) {
			buf_adds(&g->body, data);
			from += took;
		}
		from += took;
		free(piece);
		at += from;
		if (g->step != RESPONSE_MORE || at >= n)
			break;
	}
	if (g->step == RESPONSE_MORE)
		g->step = response_eof(&g->r);
	g->left = n - at;
}

static void done(struct reading *g)
{
	free(g->head.p);
	buf_release(&g->body);
}

static const char *header(const struct reading *g, const char *name)
{
	static char text[256];

	for (size_t i = 0; i < g->r.nheaders; i++)
		if (str_eqc(g->r.headers[i].name, name)) {
			snprintf(text, sizeof text, "%.*s", STR_ARG(g->r.headers[i].value));
			return text;
		}
	return NULL;
}

static const struct good {
	const char *text, *body;
	int status;
	bool to_head, keep_alive;
	size_t nheaders, left;
} goods[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:b\r\n\r\nhello", "hello", 200, false,
	  true, 1, 0 },
	{ "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", "", 200, false, true, 0, 0 },
	{ "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello", "hello",
	  200, false, true, 0, 0 },
	{ "HTTP/1.1 204 No Content\r\n\r\n", "", 204, false, true, 0, 0 },
	{ "HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: \"a\"\r\n\r\n", "", 304,
	  false, true, 1, 0 },
	{ "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", "", 200, true, true, 0, 0 },
	{ "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", "ok", 200,
	  false, false, 0, 0 },
	{ "HTTP/1.1 200 OK\r\nconnection: Foo , CLOSE\r\nfoo: 1\r\nbar: 2\r\ncontent-length: "
	  "2\r\n\r\nok", "ok", 200, false, false, 1, 0 },
	{ "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok", 200, false, false, 0, 0 },
	{ "HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", 200, false, false, 0, 0 },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	  "hello", 200, false, true, 0, 0 },
	{ "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\nA\r\n"
	  "0123456789\r\n00\r\nX-T: 1\r\ny:\r\n\r\n", "abc0123456789", 200, false, true, 0, 0 },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 201 "
	  "Created\r\nlocation: /x\r\ncontent-length: 1\r\n\r\nz", "z", 201, false, true, 1, 0 },
	{ "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "ok", 200,
	  false, true, 0, 19 },
	{ "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nmore", "", 200, false,
	  true, 0, 4 },
	{ "HTTP/1.1 200 \xc3\xa9t\xc3\xa9\r\nx-obs:\t\xff caf\xe9 \t\r\ncontent-length: 0\r\n"
	  "keep-alive: timeout=5\r\nupgrade: h2c\r\n\r\n", "", 200, false, true, 1, 0 },
	{ "HTTP/1.1 599 \r\ncontent-length: 000002\r\n\r\nok", "ok", 599, false, true, 0, 0 },
};

static void check_good(const struct good *t, size_t cut)
{
	struct reading g;

	read_pieces(&g, t->text, strlen(t->text), t->to_head, cut);
	if (g.step != RESPONSE_DONE)
		fail_msg("%s\ncut at %zu: step %d, %s", t->text, cut, g.step, g.r.fault);
	assert_int_equal(g.r.status, t->status);
	assert_int_equal(g.r.keep_alive, t->keep_alive);
	assert_int_equal(g.r.nheaders, t->nheaders);
	assert_int_equal(g.left, t->left);
	assert_int_equal(g.body.n, strlen(t->body));
	if (g.body.n > 0)
		assert_memory_equal(g.body.p, t->body, g.body.n);
	done(&g);
}

static void reads_good_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
		check_good(&goods[i], SIZE_MAX);
		for (size_t cut = 0; cut <= strlen(goods[i].text); cut++)
			check_good(&goods[i], cut);
	}
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_HEAD "transfer-encoding: chunked\r\n\r\n"
static const struct bad {
	const char *text;
	size_t n; /* 0: strlen */
} bads[] = {
	{ "HTTP/2.0 200 OK\r\n\r\n" }, { "HTTP/1.2 200 OK\r\n\r\n" }, { "http/1.1 200 OK\r\n\r\n" },
	{ "HTTP/1.1 200\r\n\r\n" }, { "HTTP/1.1  200 OK\r\n\r\n" }, { "HTTP/1.1 20 OK\r\n\r\n" },
	{ "HTTP/1.1 099 OK\r\n\r\n" }, { "HTTP/1.1 600 OK\r\n\r\n" }, { "HTTP/1.1 2x0 OK\r\n\r\n" },
	{ "HTTP/1.1 200 O\x01K\r\n\r\n" }, { "\r\nHTTP/1.1 200 OK\r\n\r\n" },
	  { "SSH-2.0-OpenSSH\r\n" },
	{ "HTTP/1.1 101 Switching\r\n\r\n" }, { "HTTP/1.1 100 Continue\r\ncontent-length: 1\r\n"
	  "\r\n" },
	{ "HTTP/1.1 200 OK\n\n" }, { OK_HEAD "a: b\n\r\n" }, { OK_HEAD "a: b\r\n\n" },
	{ OK_HEAD "content-length: 5\r\ncontent-length: 7\r\n\r\nhello!!" },
	{ OK_HEAD "content-length: 5, 5\r\n\r\nhello" },
	  { OK_HEAD "content-length: +5\r\n\r\nhello" },
	{ OK_HEAD "content-length: -1\r\n\r\n" }, { OK_HEAD "content-length: 0x5\r\n\r\nhello" },
	{ OK_HEAD "content-length:\r\n\r\n" }, { OK_HEAD "content-length: "
	  "9223372036854775808\r\n\r\n" },
	{ OK_HEAD "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
	  "\r\n" },
	{ OK_HEAD "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ OK_HEAD "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
	{ OK_HEAD "transfer-encoding: identity\r\n\r\n" },
	  { OK_HEAD "transfer-encoding: xchunked\r\n\r\n" },
	{ "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ "HTTP/1.1 204 No\r\ncontent-length: 1\r\n\r\nx" },
	{ "HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ OK_HEAD "content-length : 5\r\n\r\nhello" }, { OK_HEAD " a: b\r\n\r\n" },
	{ OK_HEAD "a: b\r\n c\r\n\r\n" }, { OK_HEAD "a: b\r\n\tc\r\n\r\n" },
	  { OK_HEAD "a\r\n\r\n" },
	{ OK_HEAD ": b\r\n\r\n" }, { OK_HEAD "a(b): c\r\n\r\n" }, { OK_HEAD "\xc3\xa9: c\r\n\r\n" },
	{ OK_HEAD "a: b\0c\r\n\r\n", sizeof(OK_HEAD "a: b\0c\r\n\r\n") - 1 },
	{ OK_HEAD "a\0: b\r\n\r\n", sizeof(OK_HEAD "a\0: b\r\n\r\n") - 1 },
	{ OK_HEAD "long-enough-for-words: aaaaaaaaaaaaaaaaaaaaaaa\x7f\r\n\r\n" },
	{ OK_HEAD "a: b\rc\r\n\r\n" }, { OK_HEAD "a: \x1b[0m\r\n\r\n" },
	{ CHUNKED "xyz\r\nhello\r\n0\r\n\r\n" }, { CHUNKED "\r\n" },
	  { CHUNKED " 5\r\nhello\r\n0\r\n\r\n" },
	{ CHUNKED "5 \r\nhello\r\n0\r\n\r\n" }, { CHUNKED "-5\r\nhello\r\n0\r\n\r\n" },
	{ CHUNKED "5\nhello\r\n0\r\n\r\n" }, { CHUNKED "5\r\nhelloXX0\r\n\r\n" },
	{ CHUNKED "5\r\nhello\n0\r\n\r\n" }, { CHUNKED "5\r\nhello\r\n0\r\n\n" },
	{ CHUNKED "10000000000000000\r\n\r\n" }, { CHUNKED "5;\x01\r\nhello\r\n0\r\n\r\n" },
	{ CHUNKED "0\r\nbad trailer: x\r\n\r\n" }, { CHUNKED "0\r\n: x\r\n\r\n" },
	{ CHUNKED "0\r\na: b\n\r\n" }, { CHUNKED "0\r\na: \x01\r\n\r\n" },
	  { CHUNKED "0\r\n a: b\r\n\r\n" },
	/* ended too early */
	{ OK_HEAD "content-length: 5\r\n\r\nhell" }, { CHUNKED "5\r\nhello\r\n" },
	{ CHUNKED "5\r\nhello\r\n0\r\n" }, { CHUNKED "5\r\nhel" },
};

static void check_bad(const struct bad *t, size_t n, size_t cut)
{
	struct reading g;

	read_pieces(&g, t->text, n, false, cut);
	if (g.step != RESPONSE_BAD)
		fail_msg("accepted, cut at %zu: %s", cut, t->text);
	assert_non_null(g.r.fault);
	done(&g);
}

static void refuses_bad_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
		size_t n = bads[i].n > 0 ? bads[i].n : strlen(bads[i].text);

		check_bad(&bads[i], n, SIZE_MAX);
		for (size_t cut = 0; cut <= n; cut++)
			check_bad(&bads[i], n, cut);
	}
}

static void lower_cases_and_trims(void **state)
{
	static const char text[] = OK_HEAD "X-Some_Name.1: \t two  words \t\r\nEMPTY:\r\n"
	    "content-length: 0\r\n\r\n";
	struct reading g;

	(void)state;
	read_pieces(&g, text, sizeof text - 1, false, SIZE_MAX);
	assert_int_equal(g.step, RESPONSE_DONE);
	assert_string_equal(header(&g, "x-some_name.1"), "two  words");
	assert_string_equal(header(&g, "empty"), "");
	assert_null(header(&g, "content-length"));
	done(&g);
}

/* An answer whose head has `fill` bytes of `unit` repeated. */
static enum response_step long_head(const char *unit, size_t times)
{
	struct reading g;
	enum response_step step;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_addz(&b, OK_HEAD);
	for (size_t i = 0; i < times; i++)
		buf_addz(&b, unit);
	buf_addz(&b, "content-length: 0\r\n\r\n");
	read_pieces(&g, b.p, b.n, false, 0);
	step = g.step;
	done(&g);
	buf_release(&b);
	return step;
}

static void bounds_the_head(void **state)
{
	char line[1024];

	(void)state;
	assert_int_equal(long_head("a: b\r\n", RESPONSE_HEADERS), RESPONSE_DONE);
	assert_int_equal(long_head("a: b\r\n", RESPONSE_HEADERS + 1), RESPONSE_BAD);
	memset(line, 'x', sizeof line - 1);
	memcpy(line, "a: ", 3);
	memcpy(line + sizeof line - 3, "\r\n", 3);
	assert_int_equal(long_head(line, 31), RESPONSE_DONE);
	assert_int_equal(long_head(line, 33), RESPONSE_BAD);
}

static void bounds_what_is_not_data(void **state)
{
	struct reading g;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_addz(&b, CHUNKED "0\r\n");
	for (int i = 0; i < 2000; i++)
		buf_addz(&b, "a: b\r\n");
	buf_addz(&b, "\r\n");
	read_pieces(&g, b.p, b.n, false, 0);
	assert_int_equal(g.step, RESPONSE_BAD);
	done(&g);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_good_answers),
		cmocka_unit_test(refuses_bad_answers),
		cmocka_unit_test(lower_cases_and_trims),
		cmocka_unit_test(bounds_the_head),
		cmocka_unit_test(bounds_what_is_not_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
