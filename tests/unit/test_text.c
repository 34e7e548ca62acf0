/* Times, durations, ids, encodings, JSON writing, errors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/id.h"
#include "base/jsonw.h"

/* Every byte at every place of strings of many lengths: eight at a time must make no difference. */
static void escapes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (size_t n = 1; n < 20; n++)
		for (size_t at = 0; at < n; at++)
			for (int c = 1; c < 0x80; c++) {
				char text[20], back[20] = "";
				json_t *j;

				memset(text, 'a', sizeof text);
				text[at] = (char)c;
				buf_clear(&b);
				jsonw_escape(&b, str_n(text, n));
				j = json_loadb(b.p, b.n, JSON_DECODE_ANY, NULL);
				assert_non_null(j);
				assert_int_equal(json_string_length(j), n);
				memcpy(back, json_string_value(j), n);
				assert_memory_equal(back, text, n);
				assert_null(memchr(b.p, 0x7f, b.n));
				json_decref(j);
			}
	buf_clear(&b);
	jsonw_escape(&b, STR("12345678\0"));
	assert_true(str_eq(buf_str(&b), STR("\"12345678\\u0000\"")));
	buf_clear(&b);
	jsonw_escape(&b, STR("1234567\xc3\xa9 \xc3"));
	assert_true(str_eq(buf_str(&b), STR("\"1234567\\ufffd\\ufffd \\ufffd\"")));
	buf_clear(&b);
	jsonw_escape(&b, STR("1234567\xc3\xa9"));
	assert_true(str_eq(buf_str(&b), STR("\"1234567\xc3\xa9\"")));
	buf_release(&b);
}

static void times(void **state)
{
	char t[CLOCK_RFC3339_LEN];
	int64_t w;

	(void)state;
	assert_string_equal(clock_rfc3339(INT64_C(1795306360123456), t), "2026-11-22T00:12:40.123Z");
	assert_true(clock_parse_rfc3339(STR("2026-11-22T00:12:40.123456Z"), &w));
	assert_true(w == INT64_C(1795306360123456));
	assert_true(clock_parse_rfc3339(STR("2026-11-22T02:12:40+02:00"), &w));
	assert_true(w == INT64_C(1795306360000000));
	assert_false(clock_parse_rfc3339(STR("2026-13-22T00:12:40Z"), &w));
	assert_false(clock_parse_rfc3339(STR("2026-02-29T00:12:40Z"), &w));
	assert_false(clock_parse_rfc3339(STR("2100-02-29T00:12:40Z"), &w));
	assert_true(clock_parse_rfc3339(STR("2028-02-29T00:12:40Z"), &w));
	assert_false(clock_parse_rfc3339(STR("2026-11-31T00:12:40Z"), &w));
	assert_false(clock_parse_rfc3339(STR("2026-11-22T00:12:40"), &w));
	assert_false(clock_parse_rfc3339(STR("2026-11-22T00:12:40Zx"), &w));
	assert_false(clock_parse_rfc3339(STR(""), &w));
}

static void durations(void **state)
{
	int64_t us;

	(void)state;
	assert_true(clock_parse_duration(STR("90"), &us) && us == 90 * CLOCK_SEC);
	assert_true(clock_parse_duration(STR("5m"), &us) && us == 300 * CLOCK_SEC);
	assert_true(clock_parse_duration(STR("1h30m"), &us) && us == 5400 * CLOCK_SEC);
	assert_true(clock_parse_duration(STR("200ms"), &us) && us == 200 * CLOCK_MS);
	assert_true(clock_parse_duration(STR("30d"), &us) && us == 30 * 86400 * CLOCK_SEC);
	assert_false(clock_parse_duration(STR("5 m"), &us));
	assert_false(clock_parse_duration(STR("m"), &us));
	assert_false(clock_parse_duration(STR("-5m"), &us));
	assert_false(clock_parse_duration(STR("999999999d999999999d"), &us) && us < 0);
	assert_false(clock_parse_duration(STR(""), &us));
}

static void ids(void **state)
{
	struct id a = id_new(INT64_C(1795306360123456)), b = id_new(INT64_C(1795306360124456)), c;
	char t[ID_TEXT_LEN];

	(void)state;
	assert_false(id_eq(a, b));
	assert_true(memcmp(a.b, b.b, 16) < 0); /* ordered by time */
	id_text(a, t);
	assert_int_equal(t[14], '7');
	assert_non_null(strchr("89ab", t[19]));
	assert_true(id_parse(str_c(t), &c));
	assert_true(id_eq(a, c));
	t[8] = '_';
	assert_false(id_parse(str_c(t), &c));
	assert_false(id_parse(STR("0191"), &c));
}

static void base64(void **state)
{
	unsigned char out[16];
	char text[32];
	size_t n;

	(void)state;
	assert_int_equal(b64u_encode("\xfb\xff\xfe", 3, text), 4);
	assert_memory_equal(text, "-__-", 4);
	assert_true(b64u_decode(STR("-__-"), out, sizeof out, &n) && n == 3);
	assert_true(b64u_decode(STR("QQ"), out, sizeof out, &n) && n == 1 && out[0] == 'A');
	assert_false(b64u_decode(STR("QR"), out, sizeof out, &n)); /* unused bits set */
	assert_false(b64u_decode(STR("QQ=="), out, sizeof out, &n));
	assert_false(b64u_decode(STR("Q"), out, sizeof out, &n));
	assert_false(b64u_decode(STR("Q Q"), out, sizeof out, &n));
	assert_false(b64u_decode(STR("+__-"), out, sizeof out, &n));
	assert_false(b64u_decode(STR("AAAAAAAA"), out, 5, &n)); /* no room */
	assert_int_equal(b64_encode("A", 1, text), 4);
	assert_memory_equal(text, "QQ==", 4);
	assert_true(b64_decode(STR("QQ=="), out, sizeof out, &n) && n == 1);
	assert_false(b64_decode(STR("QQ"), out, sizeof out, &n));
	assert_false(b64_decode(STR("===="), out, sizeof out, &n));
	assert_true(hex_decode(STR("00fF"), out) && out[0] == 0 && out[1] == 0xff);
	assert_false(hex_decode(STR("0"), out));
	assert_false(hex_decode(STR("0g"), out));
}

static void json(void **state)
{
	struct buf b;
	struct jsonw w = jsonw_on(&b);
	json_t *v;

	(void)state;
	buf_init(&b, 4096);
	jsonw_obj(&w);
	jsonw_kstr(&w, "s", STR("q\"b\\n\n\t\x01\x7f g\xc3\xbc"));
	jsonw_kstr(&w, "bad", STR("\xff\xfe"));
	jsonw_kstr(&w, "none", STR_NONE);
	jsonw_kint(&w, "i", INT64_MIN);
	jsonw_key(&w, "a");
	jsonw_arr(&w);
	jsonw_bool(&w, true);
	jsonw_obj(&w);
	jsonw_obj_end(&w);
	jsonw_null(&w);
	jsonw_arr_end(&w);
	jsonw_obj_end(&w);
	v = json_loads(buf_cstr(&b), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(v);
	assert_string_equal(json_string_value(json_object_get(v, "s")),
	    "q\"b\\n\n\t\x01\x7f g\xc3\xbc");
	assert_string_equal(json_string_value(json_object_get(v, "bad")), "\xef\xbf\xbd\xef\xbf\xbd");
	assert_true(json_is_null(json_object_get(v, "none")));
	assert_true(json_integer_value(json_object_get(v, "i")) == INT64_MIN);
	assert_int_equal(json_array_size(json_object_get(v, "a")), 3);
	json_decref(v);
	buf_release(&b);
}

/* Codes are stable and unique; statuses are what HTTP and gRPC know. */
static void errors(void **state)
{
	struct fail f = { 0 };

	(void)state;
	for (int i = OK + 1; i < ERR__COUNT; i++) {
		const struct err_info *e = err_info((enum err)i);

		assert_int_equal(err_by_code(e->code), i);
		assert_in_range(e->http, 400, 599);
		assert_in_range(e->grpc, 1, 16);
		assert_in_range(e->exit, 1, 6);
	}
	assert_int_equal(fail_set(&f, E_NOT_FOUND, "no %s", "user"), E_NOT_FOUND);
	assert_int_equal(fail_wrap(&f, "at %d", 3), E_NOT_FOUND);
	assert_string_equal(fail_text(&f), "at 3: no user");
	fail_clear(&f);
	assert_string_equal(fail_text(&f), "ok");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),  cmocka_unit_test(durations), cmocka_unit_test(ids),
		cmocka_unit_test(escapes),
		cmocka_unit_test(base64), cmocka_unit_test(json),      cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
