#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "front_double.h"
#include "request/chunked.h"
#include "request/flow.h"

static struct worker w;

static int up(void **state)
{
	(void)state;
	worker_up(&w, &default_limits);
	return 0;
}

static int down(void **state)
{
	(void)state;
	worker_down(&w);
	return 0;
}

/* ---- reading answers ----------------------------------------------------------------------- */

struct answer {
	int status;     /* 0: the connection was closed without one */
	char text[65536];
	size_t n;
	const char *body;
	size_t body_n;
	bool closed;    /* the end of the stream was seen */
	bool garbage;   /* bytes behind the answer */
};

static bool complete(struct answer *a, bool head)
{
	char *end = memmem(a->text, a->n, "\r\n\r\n", 4), *cl;

	if (end == NULL)
		return false;
	a->text[a->n] = '\0';
	a->status = atoi(a->text + 9);
	cl = strcasestr(a->text, "\r\ncontent-length: ");
	a->body = end + 4;
	a->body_n = head || cl == NULL || cl > end ? 0 : strtoul(cl + 18, NULL, 10);
	if (a->status == 100) {
		a->n -= (size_t)(a->body - a->text);
		memmove(a->text, a->body, a->n);
		return complete(a, head);
	}
	return a->text + a->n >= a->body + a->body_n;
}

/* Reads one answer, or up to the end of the stream. */
static void hear(int fd, struct answer *a, bool to_end, bool head)
{
	memset(a, 0, sizeof *a);
	while ((to_end || !complete(a, head)) && readable(fd, 5000)) {
		ssize_t n = recv(fd, a->text + a->n, sizeof a->text - 1 - a->n, 0);

		if (n <= 0) {
			a->closed = true;
			break;
		}
		a->n += (size_t)n;
	}
	if (complete(a, head))
		a->garbage = a->text + a->n > a->body + a->body_n;
}

static void ask(const char *p, size_t n, struct answer *a, bool to_end)
{
	int fd = dial(&w.http);

	say(fd, p, n);
	hear(fd, a, to_end, false);
	close(fd);
}

/* ---- requests that are fine ----------------------------------------------------------------- */

struct fine {
	const char *name, *raw, *expect;
};

static const struct fine fine[] = {
	{ "get", "GET /x?a=%41 HTTP/1.1\r\nHost: h:80\r\nX-Y:  z \t\r\n\r\n",
		"GET /x?a=%41 at h:80\nhost=h:80\nx-y=z\n\n" },
	{ "encoded slash stays", "GET /a%2Fb%2e/c HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a%2Fb%2e/c at h\nhost=h\n\n" },
	{ "absolute form", "GET http://H:81/x HTTP/1.1\r\nHost: h:81\r\n\r\n",
		"GET /x at H:81\nhost=h:81\n\n" },
	{ "asterisk form", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * at h\nhost=h\n\n" },
	{ "leading CRLF", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / at h\nhost=h\n\n" },
	{ "body", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
		"POST /p at h\nhost=h\ncontent-length=3\n\nabc" },
	{ "chunked", "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
		"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n",
		"POST /p at h\nhost=h\ntransfer-encoding=Chunked\n\nabcde" },
	{ "expect", "POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
		"POST /p at h\nhost=h\nexpect=100-continue\ncontent-length=1\n\na" },
	{ "1.0", "GET / HTTP/1.0\r\n\r\n", "GET / at \n\n" },
	{ "empty value", "GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB: \r\n\r\n",
		"GET / at h\nhost=h\na=\nb=\n\n" },
	{ "obs-text", "GET / HTTP/1.1\r\nHost: h\r\nA: \xe9\r\n\r\n", "GET / at h\nhost=h\na=\xe9\n\n" },
	{ "waits a little", "GET /soon HTTP/1.1\r\nHost: h\r\n\r\n", "GET /soon at h\nhost=h\n\n" },
	{ "waits long", "GET /late HTTP/1.1\r\nHost: h\r\n\r\n", "GET /late at h\nhost=h\n\n" },
};

static void test_fine(void **state)
{
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		ask(fine[i].raw, strlen(fine[i].raw), &a, false);
		if (a.status != 200 || a.body_n != strlen(fine[i].expect) ||
		    memcmp(a.body, fine[i].expect, a.body_n) != 0)
			fail_msg("%s: %.*s", fine[i].name, (int)a.n, a.text);
		assert_false(a.garbage);
	}
}

/* The same, byte by byte: what is split must be put together the same way. */
static void test_fine_in_pieces(void **state)
{
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		int fd = dial(&w.http);

		for (const char *p = fine[i].raw; *p != '\0'; p++)
			say(fd, p, 1);
		hear(fd, &a, false, false);
		close(fd);
		if (a.status != 200 || a.body_n != strlen(fine[i].expect) ||
		    memcmp(a.body, fine[i].expect, a.body_n) != 0)
			fail_msg("%s: %.*s", fine[i].name, (int)a.n, a.text);
	}
}

/* ---- requests that are not ------------------------------------------------------------------ */

struct bad {
	const char *name, *raw;
	size_t n;
	int status;
	const char *code; /* of the envelope */
};

#define BAD(name, raw, status, code) { name, raw, sizeof raw - 1, status, code }
#define H "Host: h\r\n"

static const struct bad bad[] = {
	BAD("CL and TE", "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
		"0\r\n\r\n", 400, "bad_request"),
	BAD("TE and CL", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
		"0\r\n\r\n", 400, "bad_request"),
	BAD("two lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400,
		"bad_request"),
	BAD("same length twice", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
		400, "bad_request"),
	BAD("two hosts", "GET / HTTP/1.1\r\n" H "Host: i\r\n\r\n", 400, "bad_request"),
	BAD("no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", 400, "bad_request"),
	BAD("empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad_request"),
	BAD("userinfo in host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "bad_request"),
	BAD("blank before colon", "POST / HTTP/1.1\r\n" H "Content-Length : 4\r\n\r\nGET ", 400,
		"bad_request"),
	BAD("TE gzip", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", 400, "bad_request"),
	BAD("TE gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		400, "bad_request"),
	BAD("TE twice", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"
		"0\r\n\r\n", 400, "bad_request"),
	BAD("TE in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("obs-fold", "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400, "bad_request"),
	BAD("obs-fold glues names", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n", 400,
		"bad_request"),
	BAD("fold of first field", "GET / HTTP/1.1\r\n A: b\r\n" H "\r\n", 400, "bad_request"),
	BAD("NUL in value", "GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n", 400, "bad_request"),
	BAD("NUL at end of value", "GET / HTTP/1.1\r\n" H "A: b\0\r\n\r\n", 400, "bad_request"),
	BAD("NULs like a line end", "GET / HTTP/1.1\r\n" H "A: b\0\0B: c\r\n\r\n", 400, "bad_request"),
	BAD("line that starts with NUL", "GET / HTTP/1.1\r\n" H "\0A: b\r\n\r\n", 400, "bad_request"),
	BAD("NUL in target", "GET /\0x HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("NUL in method", "GE\0T / HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("bare LF after request line", "GET / HTTP/1.1\n" H "\r\n", 400, "bad_request"),
	BAD("bare LF after field", "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, "bad_request"),
	BAD("bare LF at the end", "GET / HTTP/1.1\r\n" H "\n", 400, "bad_request"),
	BAD("bare CR", "GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", 400, "bad_request"),
	BAD("control character", "GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n", 400, "bad_request"),
	BAD("DEL", "GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", 400, "bad_request"),
	BAD("name with blank", "GET / HTTP/1.1\r\n" H "A b: c\r\n\r\n", 400, "bad_request"),
	BAD("name with slash", "GET / HTTP/1.1\r\n" H "A/b: c\r\n\r\n", 400, "bad_request"),
	BAD("name with high byte", "GET / HTTP/1.1\r\n" H "\xe9: c\r\n\r\n", 400, "bad_request"),
	BAD("empty name", "GET / HTTP/1.1\r\n" H ": c\r\n\r\n", 400, "bad_request"),
	BAD("TRACE", "TRACE / HTTP/1.1\r\n" H "\r\n", 501, "unimplemented"),
	BAD("CONNECT", "CONNECT h:1 HTTP/1.1\r\n" H "\r\n", 501, "unimplemented"),
	BAD("unknown method", "get / HTTP/1.1\r\n" H "\r\n", 501, "unimplemented"),
	BAD("%00", "GET /a%00b HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("%2e%2e", "GET /a/%2e%2E/b HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD(".%2e", "GET /a/.%2e HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("..", "GET /../b HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("half a percent", "GET /%4 HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("high byte in target", "GET /\xe9 HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("two blanks", "GET  / HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("blanks behind target", "GET /  HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("blank in target", "GET /a b HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("tab", "GET /\tHTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("asterisk with GET", "GET * HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("authority form", "GET h:80 HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("other scheme", "GET ftp://h/ HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("length past limit", "POST / HTTP/1.1\r\n" H "Content-Length: 300000\r\n\r\n", 413,
		"body_too_large"),
	BAD("length past 64 bits", "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n",
		400, "bad_request"),
	BAD("negative length", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400, "bad_request"),
	BAD("signed length", "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\na", 400, "bad_request"),
	BAD("hex length", "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\na", 400, "bad_request"),
	BAD("list of lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\na", 400, "bad_request"),
	BAD("field without colon", "GET / HTTP/1.1\r\n" H "abc\r\n\r\n", 400, "bad_request"),
	BAD("0.9", "GET /\r\n", 400, "bad_request"),
	BAD("2.0", "GET / HTTP/2.0\r\n" H "\r\n", 505, "http_version"),
	BAD("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version"),
	BAD("lower-case version", "GET / http/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("absolute form that is not Host", "GET http://other/ HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("empty line of LF first", "\nGET / HTTP/1.1\r\n" H "\r\n", 400, "bad_request"),
	BAD("1.2", "GET / HTTP/1.2\r\n" H "\r\n", 505, "http_version"),
	BAD("1.10", "GET / HTTP/1.10\r\n" H "\r\n", 400, "bad_request"),
	BAD("blank behind version", "GET / HTTP/1.1 \r\n" H "\r\n", 400, "bad_request"),
	BAD("no target", "GET\r\n" H "\r\n", 400, "bad_request"),
	BAD("chunk size not hex", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, "bad_request"),
	BAD("chunk size negative", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400,
		"bad_request"),
	BAD("chunk size too large", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"fffffffffffffffff\r\n", 400, "bad_request"),
	BAD("chunk longer than said", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"1\r\nab\r\n0\r\n\r\n", 400, "bad_request"),
	BAD("chunk ends in LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"1\na\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("chunk data ends in LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"1\r\na\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("last chunk ends in LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"0\n\r\n", 400,
		"bad_request"),
	BAD("trailers end in LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"0\r\n\n", 400,
		"bad_request"),
	BAD("chunk size with blank", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"1 \r\na\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("chunk size with prefix", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"0x1\r\na\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("chunk size signed", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"+1\r\na\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("no chunk size", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"\r\na\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("LF in chunk extension", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"1;a=\nb\r\na\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("NUL in chunk extension", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"1;a=\0b\r\na\r\n0\r\n\r\n", 400,
		"bad_request"),
	BAD("trailer without colon", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"0\r\nabc\r\n\r\n", 400,
		"bad_request"),
	BAD("trailer folded", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"0\r\na: b\r\n c\r\n\r\n", 400,
		"bad_request"),
	BAD("trailer with bare LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
		"0\r\na: b\nc: d\r\n\r\n", 400,
		"bad_request"),
	BAD("TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"),
	BAD("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n", 400,
		"bad_request"),
};

static void check_bad(const struct bad *b, const struct answer *a)
{
	char code[64];

	if (a->status != b->status || !a->closed)
		fail_msg("%s: status %d, %s: %.*s", b->name, a->status, a->closed ? "closed" : "open",
		    (int)a->n, a->text);
	snprintf(code, sizeof code, "{\"code\":\"%s\"", b->code);
	if (a->body_n == 0 || strncmp(a->body, code, strlen(code)) != 0)
		fail_msg("%s: no envelope: %.*s", b->name, (int)a->n, a->text);
	if (strcasestr(a->text, "\r\nconnection: close\r\n") == NULL)
		fail_msg("%s: connection: close is missing: %.*s", b->name, (int)a->n, a->text);
	if (a->garbage)
		fail_msg("%s: more than one answer: %.*s", b->name, (int)a->n, a->text);
}

static void test_bad(void **state)
{
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ask(bad[i].raw, bad[i].n, &a, true);
		check_bad(&bad[i], &a);
	}
	assert_int_equal(running, 0);
}

/* A fine request behind the bad one on the same connection must never be seen. */
static void test_bad_ends_connection(void **state)
{
	static const char smuggled[] = "GET /early/smuggled HTTP/1.1\r\n" H "\r\n";
	static struct answer a;
	char raw[1024];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		memcpy(raw, bad[i].raw, bad[i].n);
		memcpy(raw + bad[i].n, smuggled, sizeof smuggled - 1);
		ask(raw, bad[i].n + sizeof smuggled - 1, &a, true);
		if (memmem(a.text, a.n, "not_found", 9) != NULL)
			fail_msg("%s: %.*s", bad[i].name, (int)a.n, a.text);
	}
}

/* ---- connections --------------------------------------------------------------------------- */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void test_keep_alive_and_pipelining(void **state)
{
	static const char two[] = GET("/1") GET("/soon") "GET /late HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
	static struct answer a;
	int fd = dial(&w.http);

	(void)state;
	for (int i = 0; i < 100; i++) {
		say(fd, GET("/1"), strlen(GET("/1")));
		hear(fd, &a, false, false);
		assert_int_equal(a.status, 200);
	}
	say(fd, two, sizeof two - 1);
	hear(fd, &a, true, false);
	assert_non_null(strstr(a.text, "GET /1 at h"));
	assert_true(strstr(a.text, "GET /soon") > strstr(a.text, "GET /1 at h"));
	assert_true(strstr(a.text, "GET /late") > strstr(a.text, "GET /soon"));
	assert_non_null(strcasestr(a.text, "connection: close"));
	assert_true(a.closed);
	close(fd);
}

static void test_head_has_no_body(void **state)
{
	static struct answer a;
	int fd = dial(&w.http);

	(void)state;
	for (int i = 0; i < 2; i++) {
		say(fd, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", 29);
		hear(fd, &a, false, true);
		assert_int_equal(a.status, 200);
		assert_false(a.garbage);
		assert_non_null(strcasestr(a.text, "content-length: 21\r\n"));
	}
	close(fd);
}

static void test_reply_says_close(void **state)
{
	static struct answer a;

	(void)state;
	ask(GET("/close") GET("/1"), strlen(GET("/close") GET("/1")), &a, true);
	assert_int_equal(a.status, 200);
	assert_non_null(strcasestr(a.text, "connection: close"));
	assert_false(a.garbage);
}

static void test_no_content(void **state)
{
	static struct answer a;

	(void)state;
	ask(GET("/empty"), strlen(GET("/empty")), &a, false);
	assert_int_equal(a.status, 204);
	assert_null(strcasestr(a.text, "content-length"));
}

/* Some clients close their sending side when the request is out. */
static void test_half_closed_client_is_answered(void **state)
{
	static struct answer a;
	int fd = dial(&w.http);

	(void)state;
	say(fd, GET("/soon"), strlen(GET("/soon")));
	shutdown(fd, SHUT_WR);
	hear(fd, &a, true, false);
	assert_int_equal(a.status, 200);
	close(fd);
	for (int i = 0; i < 50; i++) { /* the FIN comes with the request, and behind a second one */
		fd = dial(&w.http);
		say(fd, GET("/") GET("/early/last"), strlen(GET("/") GET("/early/last")));
		shutdown(fd, SHUT_WR);
		hear(fd, &a, true, false);
		assert_true(a.closed);
		assert_non_null(strstr(a.text, "not_found"));
		close(fd);
	}
}

/* ... and those who wait long for it are asked whether they are still there. */
static void test_half_closed_client_waits_long(void **state)
{
	static struct answer a;
	int fd = dial(&w.http);

	(void)state;
	say(fd, GET("/late"), strlen(GET("/late")));
	wait_until(running == 1);
	shutdown(fd, SHUT_WR);
	hear(fd, &a, true, false);
	assert_int_equal(gone, 0);
	assert_int_equal(a.status, 200);
	assert_true(a.closed);
	close(fd);
}

static void test_keep_alive_behind_bodies(void **state)
{
	static const char raw[] =
		"POST /1 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
		"POST /soon HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
		"POST /early/2 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
		"POST /early/3 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
		"GET /last HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
	static struct answer a;

	(void)state;
	for (size_t cut = 0; cut < sizeof raw - 1; cut += 7) {
		int fd = dial(&w.http), ok = 0;

		say(fd, raw, cut);
		say(fd, raw + cut, sizeof raw - 1 - cut);
		hear(fd, &a, true, false);
		close(fd);
		for (const char *p = a.text; (p = strstr(p, "HTTP/1.1 ")) != NULL; p++)
			ok += p[9] == '2' || p[9] == '4';
		assert_int_equal(ok, 5);
		assert_non_null(strstr(a.text, "GET /last at h"));
	}
}

static void test_body_that_is_not_wanted(void **state)
{
	static const char some[] = "POST /early HTTP/1.1\r\n" H "Content-Length: 60000\r\n\r\n";
	static const char asks[] = "POST /early HTTP/1.1\r\n" H "Expect: 100-continue\r\n"
		"Content-Length: 10\r\n\r\n";
	static char body[60000];
	static struct answer a;
	int fd = dial(&w.http);

	(void)state;
	memset(body, 'x', sizeof body);
	say(fd, some, sizeof some - 1);
	hear(fd, &a, false, false);
	assert_int_equal(a.status, 404);
	say(fd, body, sizeof body);
	say(fd, GET("/1"), strlen(GET("/1")));
	hear(fd, &a, false, false);
	assert_int_equal(a.status, 200);
	say(fd, asks, sizeof asks - 1); /* nobody knows whether the body will come */
	hear(fd, &a, true, false);
	assert_int_equal(a.status, 404);
	assert_true(a.closed);
	close(fd);
}

static void test_expect_is_answered(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n";
	static struct answer a;
	char line[25];
	int fd = dial(&w.http);

	(void)state;
	for (int i = 0; i < 2; i++) {
		say(fd, head, sizeof head - 1);
		assert_int_equal(recv(fd, line, sizeof line, MSG_WAITALL), sizeof line);
		assert_memory_equal(line, "HTTP/1.1 100 Continue\r\n\r\n", sizeof line);
		say(fd, "a", 1);
		hear(fd, &a, false, false);
		assert_int_equal(a.status, 200);
		assert_false(a.garbage);
	}
	close(fd);
}

static void test_keep_alive_of_1_0(void **state)
{
	static const char keep[] = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
	static const char end[] = "GET / HTTP/1.0\r\n\r\n";
	static struct answer a;
	int fd = dial(&w.http);

	(void)state;
	say(fd, keep, sizeof keep - 1);
	hear(fd, &a, false, false);
	assert_non_null(strstr(a.text, "connection: keep-alive\r\n"));
	say(fd, end, sizeof end - 1);
	hear(fd, &a, true, false);
	assert_non_null(strstr(a.text, "connection: close\r\n"));
	assert_true(a.closed);
	close(fd);
}

static void test_truncated_requests(void **state)
{
	static const char *const cut[] = { "GET /x HTTP/1.1\r\nHo",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc" };
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int fd = dial(&w.http);

		say(fd, cut[i], strlen(cut[i]));
		shutdown(fd, SHUT_WR);
		hear(fd, &a, true, false);
		assert_int_equal(a.status, 400);
		assert_true(a.closed);
		close(fd);
	}
}

static void test_client_that_leaves(void **state)
{
	static const struct linger reset = { 1, 0 };
	int fd;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fd = dial(&w.http);
		say(fd, GET("/never"), strlen(GET("/never")));
		wait_until(running == 1);
		if (i == 1)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		close(fd);
		wait_until(running == 0);
	}
	assert_int_equal(gone, 2);
}

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

static void test_address_in_use(void **state)
{
	int first = -1, sibling = -1, other = -1;
	struct sockaddr_storage bound, again;
	struct fail f = { 0 };
	char address[32];

	(void)state;
	assert_int_equal(front_bind("127.0.0.1:0", &first, &bound, &f), OK);
	assert_int_equal(front_bind_sibling(&bound, &sibling, &f), OK);
	snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(((struct sockaddr_in *)&bound)->sin_port));
	assert_int_equal(front_bind(address, &other, &again, &f), E_CONFIG);
	close(sibling);
	close(first);
	assert_int_equal(front_bind(address, &other, &again, &f), OK);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_in_use),
		cmocka_unit_test(test_fine),
		cmocka_unit_test(test_fine_in_pieces),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bad_ends_connection),
		cmocka_unit_test(test_keep_alive_and_pipelining),
		cmocka_unit_test(test_head_has_no_body),
		cmocka_unit_test(test_reply_says_close),
		cmocka_unit_test(test_no_content),
		cmocka_unit_test(test_half_closed_client_is_answered),
		cmocka_unit_test(test_half_closed_client_waits_long),
		cmocka_unit_test(test_keep_alive_behind_bodies),
		cmocka_unit_test(test_body_that_is_not_wanted),
		cmocka_unit_test(test_expect_is_answered),
		cmocka_unit_test(test_keep_alive_of_1_0),
		cmocka_unit_test(test_truncated_requests),
		cmocka_unit_test(test_client_that_leaves),
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
