/* Heads of requests: what is taken apart, what is refused, and that pieces make no difference. What
 * becomes of them on a connection is test_front_http1.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "front/head.h"
#include "request/request.h"

const struct op ops_all[1] = { { .name = "none" } };
const size_t ops_count = 0;

static const char good[] = "POST /v1/x?a=%41 HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nx-OWS: \t a b\t \r\n\r\n";

static void test_parts(void **state)
{
	struct head_scan scan = { 0 };
	char text[sizeof good];
	struct request r;
	bool http_1_0 = true;
	const char *why;
	size_t len;

	(void)state;
	memcpy(text, good, sizeof good);
	request_init(&r);
	assert_int_equal(head_find(&scan, text, sizeof good - 1, &len, &why), OK);
	assert_int_equal(len, sizeof good - 1);
	assert_int_equal(head_parse(text, len, &r, &http_1_0, &why), OK);
	assert_false(http_1_0);
	assert_true(str_eq(r.method, STR("POST")));
	assert_true(str_eq(r.target, STR("/v1/x?a=%41")));
	assert_int_equal(r.nheaders, 3);
	assert_true(str_eq(request_known(&r, HDR_HOST), STR("h")));
	assert_true(str_eq(request_header(&r, STR("x-empty")), STR("")));
	assert_true(str_eq(request_header(&r, STR("x-ows")), STR("a b")));
	request_release(&r);
}

static void test_pieces(void **state)
{
	(void)state;
	for (size_t step = 1; step < sizeof good; step++) {
		struct head_scan scan = { 0 };
		size_t len = 0, n = 0;
		const char *why;

		while (len == 0 && n < sizeof good - 1) {
			n = n + step < sizeof good - 1 ? n + step : sizeof good - 1;
			assert_int_equal(head_find(&scan, good, n, &len, &why), OK);
		}
		assert_int_equal(len, sizeof good - 1);
	}
}

/* What stands behind a head is not the head's. */
static void test_length(void **state)
{
	struct head_scan scan = { 0 };
	const char *why;
	size_t len;

	(void)state;
	assert_int_equal(head_find(&scan, "GET / HTTP/1.1\r\n\r\n\nGET", 22, &len, &why), OK);
	assert_int_equal(len, 18);
}

static void test_request_lines(void **state)
{
	static const struct {
		const char *line;
		enum err e;
	} rows[] = {
		{ "GET / HTTP/1.1", OK },
		{ "X!~ * HTTP/1.0", OK },
		{ "GET / HTTP/1.7", E_HTTP_VERSION },
		{ "GET /\xff HTTP/1.1", OK }, /* check_target's to refuse */
		{ "GET / HTTP/2.0", E_HTTP_VERSION },
		{ "GET / HTTP/0.9", E_HTTP_VERSION },
		{ "GET /", E_BAD_REQUEST },
		{ "GET / ", E_BAD_REQUEST },
		{ "GET", E_BAD_REQUEST },
		{ " GET / HTTP/1.1", E_BAD_REQUEST },
		{ "GET  / HTTP/1.1", E_BAD_REQUEST },
		{ "GET /  HTTP/1.1", E_BAD_REQUEST },
		{ "GET / HTTP/1.1 ", E_BAD_REQUEST },
		{ "GET / a HTTP/1.1", E_BAD_REQUEST },
		{ "GET\t/\tHTTP/1.1", E_BAD_REQUEST },
		{ "G(T / HTTP/1.1", E_BAD_REQUEST },
		{ "GET / http/1.1", E_BAD_REQUEST },
		{ "GET / HTTP/11", E_BAD_REQUEST },
		{ "GET / HTTP/1.x", E_BAD_REQUEST },
		{ "\r GET / HTTP/1.1", E_BAD_REQUEST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct head_scan scan = { 0 };
		const char *why = NULL;
		char text[64];
		size_t len;
		int n = sprintf(text, "%s\r\n", rows[i].line);
		enum err e = head_find(&scan, text, (size_t)n, &len, &why);

		if (e != rows[i].e || len != 0 || (e == E_BAD_REQUEST) != (why != NULL))
			fail_msg("%s: %s", rows[i].line, e == OK ? "taken" : err_code(e));
	}
}

static void test_reasons(void **state)
{
	static const struct {
		const char *lines, *why;
	} rows[] = {
		{ "a : b\r\n", "a blank stands before the colon of a header" },
		{ "a: b\r\n c\r\n", "a header line begins with a blank: folded lines are not taken" },
		{ "abc\r\n", "a header line has no colon" },
		{ ": b\r\n", "the name of a header has a byte that may not be in it" },
		{ "a(b: c\r\n", "the name of a header has a byte that may not be in it" },
		{ "a: b\rc\r\n", "the value of a header has a control character" },
		{ "a: \x01\r\n", "the value of a header has a control character" },
		{ "a: b\nc: d\r\n", "a line of the head ends with a bare LF" },
		{ "a: b\r\n\n", "a line of the head ends with a bare LF" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct head_scan scan = { 0 };
		const char *why = NULL;
		struct request r;
		bool http_1_0;
		char text[128];
		size_t len;
		int n = sprintf(text, "GET / HTTP/1.1\r\n%s\r\n", rows[i].lines);

		request_init(&r);
		if (head_find(&scan, text, (size_t)n, &len, &why) == OK)
			assert_int_equal(head_parse(text, len, &r, &http_1_0, &why), E_BAD_REQUEST);
		assert_non_null(why);
		assert_string_equal(why, rows[i].why);
		request_release(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_request_lines),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
