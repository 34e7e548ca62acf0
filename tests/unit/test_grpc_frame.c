/* gRPC's framing, split at every byte; its percent-encoding, time limits and statuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "upstream/grpc_frame.h"

static enum err feed(const char *p, size_t n, size_t cut, struct grpc_frame *f, struct buf *out)
{
	enum err e = grpc_frame_read(f, str_n(p, cut), out);

	return e != OK ? e : grpc_frame_read(f, str_n(p + cut, n - cut), out);
}

static void reads_a_message(void **state)
{
	static const char text[] = "\0\0\0\0\5hello";

	(void)state;
	for (size_t cut = 0; cut < sizeof text; cut++) {
		struct grpc_frame f = { 0 };
		struct buf out;

		buf_init(&out, 100);
		assert_true(grpc_frame_empty(&f));
		assert_int_equal(feed(text, sizeof text - 1, cut, &f, &out), OK);
		assert_true(grpc_frame_complete(&f));
		assert_true(str_eq(buf_str(&out), STR("hello")));
		buf_release(&out);
	}
}

static void refuses_what_is_not_one(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		enum err e;
	} bads[] = {
		{ "\1\0\0\0\5hello", 10, E_BAD_UPSTREAM },          /* compressed */
		{ "\xff\0\0\0\5hello", 10, E_BAD_UPSTREAM },
		{ "\0\0\0\0\5hello\0", 11, E_BAD_UPSTREAM },        /* more behind it */
		{ "\0\0\0\0\0\0\0\0\0\0", 10, E_BAD_UPSTREAM },     /* two messages */
		{ "\0\0\0\0\x65", 5, E_LIMIT },                     /* past the buffer's bound */
		{ "\0\xff\xff\xff\xff", 5, E_LIMIT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++)
		for (size_t cut = 0; cut <= bads[i].n; cut++) {
			struct grpc_frame f = { 0 };
			struct buf out;

			buf_init(&out, 100);
			assert_int_equal(feed(bads[i].text, bads[i].n, cut, &f, &out), bads[i].e);
			assert_true(out.cap < 4096);
			buf_release(&out);
		}
}

static void knows_the_unfinished(void **state)
{
	static const char text[] = "\0\0\0\0\5hello";

	(void)state;
	for (size_t n = 0; n < sizeof text - 1; n++) {
		struct grpc_frame f = { 0 };
		struct buf out;

		buf_init(&out, 100);
		assert_int_equal(grpc_frame_read(&f, str_n(text, n), &out), OK);
		assert_false(grpc_frame_complete(&f));
		assert_int_equal(grpc_frame_empty(&f), n == 0);
		buf_release(&out);
	}
}

static void writes_the_prefix(void **state)
{
	uint8_t p[GRPC_PREFIX];

	(void)state;
	grpc_frame_write(0x01020304, p);
	assert_memory_equal(p, "\0\1\2\3\4", 5);
}

static void decodes_messages(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = { { "", "" }, { "plain text", "plain text" }, { "a%20b", "a b" }, { "%C3%A9%c3%a9", "éé" },
		{ "100%", "100%" }, { "%2", "%2" }, { "%zz%25", "%zz%" }, { "%%41", "%A" } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out;

		buf_init(&out, 100);
		assert_int_equal(grpc_message_decode(str_c(rows[i].in), &out), OK);
		assert_true(str_eqc(buf_str(&out), rows[i].out));
		buf_release(&out);
	}
}

static void writes_time_limits(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = { { -5, "1u" }, { 0, "1u" }, { 1, "1u" }, { 99999999, "99999999u" },
		{ 100000000, "100000m" }, { 100000001, "100001m" }, { INT64_C(99999999000), "99999999m" },
		{ INT64_C(99999999001), "100000S" }, { INT64_C(99999999000001), "1666667M" },
		{ INT64_MAX, "99999999H" } };
	char out[GRPC_TIMEOUT_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct str s = grpc_timeout_write(rows[i].us, out);

		if (!str_eqc(s, rows[i].text))
			fail_msg("%s: %.*s", rows[i].text, STR_ARG(s));
	}
}

static void maps_http_statuses(void **state)
{
	(void)state;
	assert_int_equal(grpc_status_of_http(400), 13);
	assert_int_equal(grpc_status_of_http(401), 16);
	assert_int_equal(grpc_status_of_http(404), 12);
	assert_int_equal(grpc_status_of_http(503), 14);
	assert_int_equal(grpc_status_of_http(302), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_message), cmocka_unit_test(refuses_what_is_not_one),
		cmocka_unit_test(knows_the_unfinished), cmocka_unit_test(writes_the_prefix),
		cmocka_unit_test(decodes_messages), cmocka_unit_test(writes_time_limits),
		cmocka_unit_test(maps_http_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
