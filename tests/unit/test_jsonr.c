#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonr.h"

/* A writable copy of exactly the text, so that a sanitizer sees a byte too many. */
static char *copy(struct str s)
{
	char *p = malloc(s.n > 0 ? s.n : 1);

	memcpy(p, s.p, s.n);
	return p;
}

static bool skips(struct str s)
{
	char *p = copy(s);
	struct jsonr r = jsonr_on(p, s.n);
	bool ok = jsonr_skip(&r) && jsonr_done(&r);

	assert_true(ok || r.failed);
	free(p);
	return ok;
}

static void takes_what_jansson_takes(void **state)
{
	static const char *const texts[] = { "{}", "[]", " [ ] ", "{\"a\":1}", "[1,2,3]", "\"\"", "0", "-0",
		"1.5e+10", "-1E-2", "true", "false", "null", "[[[]]]", "{\"a\":{\"b\":[{}]}}", "\t[\n1\r, 2]",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\xc3\xa9\"", "\"\x7f\"",
		/* and not */
		"", " ", "{", "}", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}",
		"{\"a\":1,}", "{,}", "{1:2}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "01", "-", "+1", "1.", ".5", "1e",
		"1e+", "0x1", "1_0", "tru", "truex", "nul", "True", "NaN", "Infinity", "\"", "\"\\\"", "\"\\x\"",
		"\"\\u12\"", "\"\\u12g4\"", "\"\\ud83d\"", "\"\\ud83dx\"", "\"\\ud83d\\u0041\"", "\"\\ude00\"",
		"\"\\u0000\"", "\"\x01\"", "\"\n\"", "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
		"'a'", "[1]]", "{}{}", "1 2", "//", "[/**/]", "\xef\xbb\xbf{}", "[1}", "{\"a\":1]" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		json_t *j = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		if (skips(str_c(texts[i])) != (j != NULL))
			fail_msg("%s: %s", j != NULL ? "refused" : "taken", texts[i]);
		json_decref(j);
	}
	assert_false(skips(str_n("{}\0", 3)));
	assert_false(skips(str_n("\"a\0b\"", 5)));
}

static void every_prefix_is_refused(void **state)
{
	static const char text[] = "{\"k\\u00e9y\":[1,-2.5e3,\"x\\ud83d\\ude00\",{\"a\":null}],\"t\":true}";

	(void)state;
	for (size_t n = 0; n < sizeof text - 1; n++)
		assert_false(skips(str_n(text, n)));
	assert_true(skips(str_n(text, sizeof text - 1)));
}

static void reads_members_and_elements_in_order(void **state)
{
	struct str text = STR(" { \"a\" : [ 1 , -2 ] , \"b\\n\" : \"v\\u00e9\" , \"c\":{ }, \"d\": [] } ");
	char *p = copy(text);
	struct jsonr r = jsonr_on(p, text.n);
	struct str name, v;
	int64_t i = 0;

	(void)state;
	assert_int_equal(jsonr_peek(&r), '{');
	assert_true(jsonr_obj(&r));
	assert_true(jsonr_member(&r, &name) && str_eqc(name, "a"));
	assert_int_equal(jsonr_peek(&r), '[');
	assert_true(jsonr_arr(&r) && jsonr_elem(&r) && jsonr_int(&r, &i));
	assert_int_equal(i, 1);
	assert_true(jsonr_elem(&r));
	assert_int_equal(jsonr_peek(&r), '0');
	assert_true(jsonr_int(&r, &i));
	assert_int_equal(i, -2);
	assert_false(jsonr_elem(&r));
	assert_true(jsonr_member(&r, &name) && str_eqc(name, "b\n"));
	assert_int_equal(jsonr_peek(&r), '"');
	assert_true(jsonr_str(&r, &v) && str_eqc(v, "v\xc3\xa9"));
	assert_true(jsonr_member(&r, &name) && jsonr_obj(&r));
	assert_false(jsonr_member(&r, &name));
	assert_false(jsonr_done(&r)); /* still inside */
	assert_true(jsonr_member(&r, &name) && str_eqc(name, "d") && jsonr_skip(&r));
	assert_false(jsonr_member(&r, &name));
	assert_true(jsonr_done(&r));
	free(p);
}

static void first_error_sticks(void **state)
{
	struct str text = STR("{\"a\":x,\"b\":1}"), name;
	char *p = copy(text);
	struct jsonr r = jsonr_on(p, text.n);
	int64_t i;

	(void)state;
	assert_true(jsonr_obj(&r) && jsonr_member(&r, &name));
	assert_false(jsonr_int(&r, &i));
	assert_false(jsonr_skip(&r));
	assert_false(jsonr_member(&r, &name));
	assert_false(jsonr_obj(&r));
	assert_int_equal(jsonr_peek(&r), '\0');
	assert_false(jsonr_done(&r));
	free(p);
}

static void integers_are_exact(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t v;
	} v[] = { { "0", true, 0 }, { "-0", true, 0 }, { "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN }, { "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 }, { "99999999999999999999", false, 0 },
		{ "1.0", false, 0 }, { "1e3", false, 0 }, { "1E3", false, 0 }, { "00", false, 0 },
		{ "-", false, 0 }, { "\"1\"", false, 0 }, { "null", false, 0 }, { "", false, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		char *p = copy(str_c(v[i].text));
		struct jsonr r = jsonr_on(p, strlen(v[i].text));
		int64_t got = 0;

		assert_int_equal(jsonr_int(&r, &got) && jsonr_done(&r), v[i].ok);
		assert_true(got == v[i].v);
		free(p);
	}
}

static void nesting_ends_at_the_limit(void **state)
{
	char text[2 * JSONR_DEPTH + 8];

	(void)state;
	for (int depth = JSONR_DEPTH - 1; depth <= JSONR_DEPTH + 1; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		assert_int_equal(skips(str_n(text, 2 * (size_t)depth)), depth <= JSONR_DEPTH);
	}
}

static void names_are_seen_once(void **state)
{
	struct jsonr_names s = { .n = 0 };
	static char name[JSONR_NAMES][16];

	(void)state;
	for (int i = 0; i < JSONR_NAMES; i++) {
		snprintf(name[i], sizeof name[i], "n%d", i);
		if (i > 0)
			assert_false(jsonr_names_add(&s, str_c(name[i / 2])));
		assert_true(jsonr_names_add(&s, str_c(name[i])));
	}
	assert_false(jsonr_names_add(&s, STR("one more")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_jansson_takes),
		cmocka_unit_test(every_prefix_is_refused),
		cmocka_unit_test(reads_members_and_elements_in_order),
		cmocka_unit_test(first_error_sticks),
		cmocka_unit_test(integers_are_exact),
		cmocka_unit_test(nesting_ends_at_the_limit),
		cmocka_unit_test(names_are_seen_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
