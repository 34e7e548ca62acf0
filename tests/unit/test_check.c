#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "front/check.h"
#include "request/request.h"

/* No operations: this test needs nothing of what stands behind them. */
const struct op ops_all[1] = { { .name = "none" } };
const size_t ops_count = 0;

/* ---- target ---------------------------------------------------------------------------------- */

static void test_target(void **state)
{
	static const struct {
		const char *method, *target, *path, *authority; /* path NULL: refused */
	} rows[] = {
		{ "GET", "/", "/", NULL },
		{ "GET", "/a/b?c=d&e", "/a/b?c=d&e", NULL },
		{ "GET", "//a", "//a", NULL },
		{ "GET", "/a%2fb", "/a%2fb", NULL },
		{ "GET", "/%C3%A9", "/%C3%A9", NULL },
		{ "GET", "/...", "/...", NULL },
		{ "GET", "/.a/b.", "/.a/b.", NULL },
		{ "GET", "/a?../..", "/a?../..", NULL },
		{ "GET", "http://h/x", "/x", "h" },
		{ "GET", "HTTPS://[::1]:8/x?y", "/x?y", "[::1]:8" },
		{ "GET", "http://h", "/", "h" },
		{ "OPTIONS", "*", "*", NULL },
		{ "GET", "*", NULL, NULL },
		{ "GET", "", NULL, NULL },
		{ "GET", "a", NULL, NULL },
		{ "GET", "h:80", NULL, NULL },
		{ "GET", "http:///x", NULL, NULL },
		{ "GET", "http://u@h/x", NULL, NULL },
		{ "GET", "http://h?x", NULL, NULL },
		{ "GET", "ftp://h/x", NULL, NULL },
		{ "GET", "/a b", NULL, NULL },
		{ "GET", "/a\tb", NULL, NULL },
		{ "GET", "/a\x7f", NULL, NULL },
		{ "GET", "/\xc3\xa9", NULL, NULL },
		{ "GET", "/a#b", NULL, NULL },
		{ "GET", "/%", NULL, NULL },
		{ "GET", "/%4", NULL, NULL },
		{ "GET", "/%4g", NULL, NULL },
		{ "GET", "/a?%zz", NULL, NULL },
		{ "GET", "/%00", NULL, NULL },
		{ "GET", "/%0a", NULL, NULL },
		{ "GET", "/%7F", NULL, NULL },
		{ "GET", "/a?b=%00", NULL, NULL },
		{ "GET", "/.", NULL, NULL },
		{ "GET", "/..", NULL, NULL },
		{ "GET", "/a/../b", NULL, NULL },
		{ "GET", "/a/%2e%2e/b", NULL, NULL },
		{ "GET", "/a/.%2E", NULL, NULL },
		{ "GET", "/%2e", NULL, NULL },
		{ "GET", "http://h/../x", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *why = NULL;
		struct check_target t;
		enum err e = check_target(str_c(rows[i].method), str_c(rows[i].target), &t, &why);

		if ((e == OK) != (rows[i].path != NULL) || (e == OK) != (why == NULL))
			fail_msg("%s %s: %s", rows[i].method, rows[i].target, err_code(e));
		if (e != OK)
			continue;
		assert_true(str_eqc(t.path, rows[i].path));
		assert_true(rows[i].authority == NULL ? t.authority.p == NULL
		    : str_eqc(t.authority, rows[i].authority));
	}
}

static void test_authority(void **state)
{
	static const char *const good[] = { "h", "h:", "h:80", "a.b-c:65535", "127.0.0.1", "[::1]", "[::1]:1" };
	static const char *const bad[] = { "", ":80", "h:65536", "h:x", "h:1:2", "a b", "a/b", "u@h", "a,b", "[",
		"[]", "[::1", "[::1]x", "h]", "::1", "h\xc3\xa9", "h:-1" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!check_authority(str_c(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (check_authority(str_c(bad[i])))
			fail_msg("accepted: %s", bad[i]);
}

static void test_characters(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char ch = (char)c;
		bool token = c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
		bool value = c == '\t' || (c >= 0x20 && c != 0x7f);

		assert_true(header_is_token(str_n(&ch, 1)) == token);
		assert_true(header_is_value(str_n(&ch, 1)) == value);
	}
	for (size_t n = 1; n < 80; n++) /* eight and more at once make no difference */
		for (size_t at = 0; at < n; at++)
			for (int c = 0; c < 256; c++) {
				char text[80];

				memset(text, 'a', n);
				text[at] = (char)c;
				assert_true(header_is_value(str_n(text, n)) == (c == '\t' || (c >= 0x20 && c != 0x7f)));
			}
	assert_false(header_is_token(STR("")));
	assert_true(header_is_value(STR("")));
}

/* ---- framing --------------------------------------------------------------------------------- */

static void test_framing(void **state)
{
	static const struct {
		const char *field[6];
		bool http_1_0;
		enum err e;
		uint64_t length;
	} rows[] = {
		{ { "host", "h" }, false, OK, 0 },
		{ { NULL }, true, OK, 0 },
		{ { NULL }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "host", "h" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "a b" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "content-length", "0" }, false, OK, 0 },
		{ { "host", "h", "content-length", "007" }, false, OK, 7 },
		{ { "host", "h", "content-length", "" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "content-length", "+1" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "content-length", "1 1" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "content-length", "99999999999999999999" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "content-length", "1", "content-length", "1" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "transfer-encoding", "chunked" }, false, OK, CHECK_CHUNKED },
		{ { "host", "h", "transfer-encoding", "CHUNKED" }, false, OK, CHECK_CHUNKED },
		{ { "host", "h", "transfer-encoding", "chunked" }, true, E_BAD_REQUEST, 0 },
		{ { "host", "h", "transfer-encoding", "gzip, chunked" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "transfer-encoding", "identity" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "transfer-encoding", "" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "transfer-encoding", "chunked", "content-length", "1" }, false, E_BAD_REQUEST, 0 },
		{ { "host", "h", "transfer-encoding", "chunked", "transfer-encoding", "chunked" }, false,
			E_BAD_REQUEST, 0 },
	};
	struct request r;

	(void)state;
	request_init(&r);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *why = NULL;
		uint64_t length = 0;
		enum err e;

		request_reset(&r);
		for (int k = 0; k < 6 && rows[i].field[k] != NULL; k += 2)
			assert_int_equal(request_add_header(&r, str_c(rows[i].field[k]),
			    str_c(rows[i].field[k + 1])), OK);
		e = check_framing(&r, rows[i].http_1_0, &length, &why);
		if (e != rows[i].e || (e == OK) != (why == NULL) || (e == OK && length != rows[i].length))
			fail_msg("row %zu: %s, %llu", i, err_code(e), (unsigned long long)length);
	}
	request_release(&r);
}

static void test_expect(void **state)
{
	static const struct {
		const char *field[4];
		enum err e;
	} rows[] = {
		{ { NULL }, OK },
		{ { "expect", "100-continue" }, OK },
		{ { "expect", "100-Continue" }, OK },
		{ { "expect", "foo" }, E_EXPECTATION },
		{ { "expect", "" }, E_EXPECTATION },
		{ { "expect", "100-continue, foo" }, E_EXPECTATION },
		{ { "expect", "100-continue", "expect", "foo" }, E_EXPECTATION },
	};
	struct request r;

	(void)state;
	request_init(&r);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		request_reset(&r);
		for (int k = 0; k < 4 && rows[i].field[k] != NULL; k += 2)
			assert_int_equal(request_add_header(&r, str_c(rows[i].field[k]),
			    str_c(rows[i].field[k + 1])), OK);
		assert_int_equal(check_expect(&r), rows[i].e);
	}
	request_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_authority),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_expect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
