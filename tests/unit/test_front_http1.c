/* HTTP/1.1 on a connection: requests, good and bad, and what becomes of the connection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "front_http1_client.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, up, down);
}
