/* The JSON of commands: what is accepted, what is refused and how, what is passed on byte for byte; and
 * the JSON scanner beneath. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/jsonw.h"
#include "proxy/command.h"
#include "proxy/command_body.h"
#include "proxy/json_scan.h"
#include "proxy/proto_scan.h"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

/* ---- the scanner ------------------------------------------------------------------------------- */

static bool scans(const char *text)
{
	struct json_scan s = json_scan_of(str_c(text));
	struct str raw;

	return json_scan_value(&s, &raw) && json_scan_end(&s);
}

static void scans_json(void **state)
{
	static const char *const goods[] = { "null", " true ", "false", "0", "-0", "12.5e-3",
	    "1E+9", "\"\"",
		"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "[]", "[ ]", "[1,[2,[3]]]", "{}", "{ }",
		"{\"a\":{\"b\":[{}]}}", "\t{\n\"a\" : 1 , \"b\" : [ 1 , 2 ]\r}\n" };
	static const char *const bads[] = { "", " ", "nul", "tru", "True", "01", "-", "1.",
	    ".5", "1e", "1e+",
		"+1", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u12\"", "\"\n\"", "[", "[1", "[1,",
		    "[1,]", "[,1]",
		"[1 2]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}",
		    "{a:1}",
		"{\"a\" 1}", "{\"a\":1 \"b\":2}", "{1:2}", "1 2", "{}{}", "nullx", "NaN", "'a'",
		    "[1}" };

	(void)state;
	for (size_t i = 0; i < sizeof goods / sizeof *goods; i++)
		if (!scans(goods[i]))
			fail_msg("refused: %s", goods[i]);
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++)
		if (scans(bads[i]))
			fail_msg("accepted: %s", bads[i]);
}

static void bounds_the_depth(void **state)
{
	char deep[2 * JSON_SCAN_DEPTH + 3];

	(void)state;
	memset(deep, '[', JSON_SCAN_DEPTH);
	memset(deep + JSON_SCAN_DEPTH, ']', JSON_SCAN_DEPTH);
	deep[2 * JSON_SCAN_DEPTH] = '\0';
	assert_true(scans(deep));
	memset(deep, '[', JSON_SCAN_DEPTH + 1);
	memset(deep + JSON_SCAN_DEPTH + 1, ']', JSON_SCAN_DEPTH + 1);
	deep[2 * JSON_SCAN_DEPTH + 2] = '\0';
	assert_false(scans(deep));
}

static void decodes_text(void **state)
{
	static const struct {
		const char *raw, *text; /* NULL: refused */
	} rows[] = { { "\"\"", "" }, { "\"a b\"", "a b" }, { "\"\\u0041\\n\\/\\\"\\\\\"",
	    "A\n/\"\\" },
		{ "\"\\u00e9\\u20ac\\ud83d\\ude00\"", "é€😀" }, { "\"\\ud83d\"", NULL },
		  { "\"\\ude00\"", NULL },
		{ "\"\\ud83d\\u0041\"", NULL }, { "\"\\u0000\"", NULL }, { "1", NULL },
		  { "null", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct str s = json_scan_text(&arena, str_c(rows[i].raw));

		if (rows[i].text == NULL)
			assert_null(s.p);
		else
			assert_string_equal(s.p, rows[i].text);
	}
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static const struct body {
	const char *text;
	enum err e;
	const char *says; /* part of the text for a person */
} bodies[] = {
	{ "{\"command_type\":\"t\",\"payload\":null}", OK, "" },
	{ "{\"payload\":{},\"command_type\":\"t\","
	  "\"command_id\":null,\"expected_version\":null,\"metadata\":null}", OK, "" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"expected_version\":18446744073709551615}",
	  OK, "" },
	{ "{\"command_\\u0074ype\":\"t\",\"payload\":1}", OK, "" },
	{ "", E_BAD_JSON, "byte 0" }, { "{\"a\":}", E_BAD_JSON, "byte 5" },
	{ "{\"command_type\":\"t\",\"payload\":1} x", E_BAD_JSON, "byte 33" },
	{ "{\"unknown\":1,\"payload\":}", E_BAD_JSON, "byte" },
	{ "{\"command_type\":\"\xff\"}", E_BAD_JSON, "UTF-8" },
	{ "{\"command_type\":\"t\",\"command_type\":\"t\",\"payload\":1}", E_BAD_JSON, "twice" },
	{ "[]", E_INVALID_FIELD, "object" }, { "3", E_INVALID_FIELD, "object" },
	{ "{}", E_INVALID_FIELD, "command_type is required" },
	{ "{\"command_type\":\"t\"}", E_INVALID_FIELD, "payload is required" },
	{ "{\"command_type\":\"\",\"payload\":1}", E_INVALID_FIELD, "command_type" },
	{ "{\"command_type\":7,\"payload\":1}", E_INVALID_FIELD, "command_type" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"command_id\":\"\"}", E_INVALID_FIELD,
	  "command_id" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"command_id\":\"a b\"}", E_INVALID_FIELD,
	  "command_id" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"command_id\":5}", E_INVALID_FIELD,
	  "command_id" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"expected_version\":-1}", E_INVALID_FIELD,
	  "expected_version" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"expected_version\":1.0}", E_INVALID_FIELD,
	  "expected_version" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"expected_version\":\"1\"}", E_INVALID_FIELD,
	  "expected_version" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"expected_version\":18446744073709551616}",
	  E_INVALID_FIELD, "expected_version" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"metadata\":[]}", E_INVALID_FIELD, "metadata" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"metadata\":{\"a\":1}}", E_INVALID_FIELD,
	  "metadata" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"metadata\":{\"a\":\"1\",\"\\u0061\":\"2\"}}",
	  E_BAD_JSON, "twice" },
	{ "{\"command_type\":\"t\",\"payload\":1,\"extra\":1}", E_UNKNOWN_FIELD, "\"extra\"" },
};

static void reads_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct command_body c;
		struct fail f = { 0 };
		enum err e = command_body_read(&arena, str_c(bodies[i].text), &c, &f);

		if (e != bodies[i].e || strstr(fail_text(&f), bodies[i].says) == NULL)
			fail_msg("%s: %s, %s", bodies[i].text, err_code(e), fail_text(&f));
	}
}

static void keeps_the_payload(void **state)
{
	static const char text[] = "{ \"payload\" :\t{ \"b\":1.50, \"a\" : [ 1e400,\"\\u00e9\" ] } ,"
	    "\"command_type\":\"t\","
	                           "\"metadata\":{\"k\":\"v\\n\"},\"expected_version\":7,\"command_id\":\"id-1\"}";
	struct command_body c;
	struct fail f = { 0 };

	(void)state;
	assert_int_equal(command_body_read(&arena, str_c(text), &c, &f), OK);
	assert_true(str_eqc(c.payload, "{ \"b\":1.50, \"a\" : [ 1e400,\"\\u00e9\" ] }"));
	assert_true(str_eqc(c.command_id, "id-1"));
	assert_true(c.has_expected_version && c.expected_version == 7);
	assert_int_equal(c.nmetadata, 1);
	assert_string_equal(c.metadata[0].value.p, "v\n");
}

static void puts_the_id_in(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ " { \"command_type\":\"t\", \"payload\":[] }",
		  " {\"command_id\":\"X\", \"command_type\":\"t\", \"payload\":[] }" },
		{ "{\"command_type\":\"t\",\"command_id\" : null ,\"payload\":1}",
		  "{\"command_type\":\"t\",\"command_id\" : \"X\" ,\"payload\":1}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct command_body c;
		struct fail f = { 0 };

		assert_int_equal(command_body_read(&arena, str_c(rows[i].in), &c, &f), OK);
		assert_true(str_eqc(command_body_with_id(&arena, &c, STR("X")), rows[i].out));
	}
}

/* ---- answers ----------------------------------------------------------------------------------- */

#define ANSWER "{\"command_id\":\"c\",\"aggregate_type\":\"order\",\"aggregate_id\":\"7\"," \
	"\"version\":18446744073709551615," \
	"\"events\":[{\"event_id\":\"e\\n\",\"event_type\":\"t\"," \
	    "\"version\":2,\"payload\":{\"a\": [1.50]},\"occurred_at\":\"2026\"}," \
	"{\"event_id\":\"f\",\"event_type\":\"u\"," \
	    "\"version\":3,\"payload\":null,\"occurred_at\":\"\"}]}"

static void answers_go_both_ways(void **state)
{
	struct str message;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(command_answer_from_json(&arena, STR(ANSWER), &message), OK);
	assert_int_equal(command_answer_to_json(message, &out), OK);
	assert_true(str_eq(buf_str(&out), STR(ANSWER)));
	for (size_t n = 1; n < message.n; n++) { /* cut short anywhere: an answer or a refusal, never more */
		char *cut = malloc(n);

		memcpy(cut, message.p, n);
		buf_clear(&out);
		(void)command_answer_to_json(str_n(cut, n), &out);
		free(cut);
	}
	buf_release(&out);
}

static void refuses_answers(void **state)
{
	static const char *const bads[] = { "", "[]", "{\"version\":-1}", "{\"command_id\":1}",
	    "{\"events\":{}}",
		"{\"events\":[1]}", "{\"events\":[{\"version\":\"1\"}]}", "{} x" };
	struct buf out;
	struct str message;

	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++)
		assert_int_equal(command_answer_from_json(&arena, str_c(bads[i]), &message), E_BAD_UPSTREAM);
	buf_init(&out, 4096);
	/* an event (field 5) whose payload (field 4) is not JSON */
	assert_int_equal(command_answer_to_json(STR("\x2a\x03\x22\x01x"), &out), E_BAD_UPSTREAM);
	buf_release(&out);
}

static void scans_protobuf(void **state)
{
	static const struct {
		const char *p;
		size_t n, fields;
		bool bad;
	} rows[] = {
		{ "", 0, 0, false },
		{ "\x08\x96\x01", 3, 1, false },
		{ "\x0a\x02hi\x10\x00", 6, 2, false },
		{ "\x0d" "1234" "\x11" "12345678", 14, 2, false },
		{ "\x0a\x05hi", 4, 0, true },                                  /* past the end */
		{ "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, 0, true },
		  /* 2^64 - 1 bytes */
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, 0, true },
		  /* more than 64 bits */
		{ "\x08\x80", 2, 0, true },
		{ "\x00\x01", 2, 0, true },                                    /* field 0 */
		{ "\x0b\x0c", 2, 0, true },                                    /* group */
		{ "\x0f", 1, 0, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct proto_scan s = { .rest = str_n(rows[i].p, rows[i].n) };
		struct proto_field f;
		size_t n = 0;

		while (proto_scan_next(&s, &f))
			n++;
		if (n != rows[i].fields || s.bad != rows[i].bad)
			fail_msg("row %zu: %zu fields, bad %d", i, n, s.bad);
	}
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(scans_json), TEST(bounds_the_depth), TEST(decodes_text), TEST(reads_bodies),
		TEST(keeps_the_payload), TEST(puts_the_id_in), TEST(answers_go_both_ways),
		TEST(refuses_answers), TEST(scans_protobuf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
