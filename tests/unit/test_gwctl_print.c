#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "../../gwctl/print.h"
#include "../../gwctl/yaml.h"
#include "base/str.h"

static const char rows_text[] =
    "[{\"id\":\"a\",\"name\":\"Zoë\",\"on\":true,\"rights\":[{\"right\":\"x.y\"},{\"right\":\"z.*\"}]},"
    "{\"id\":\"bb\",\"name\":null,\"on\":false,\"n\":7,\"rights\":[]}]";

static const char columns[] = "id,name,on,rights[].right";

/* Prints the JSON text as a list or, when it is an object, as one. */
static char *printed(enum format format, const char *text)
{
	json_t *v = json_loads(text, 0, NULL);
	struct print p = { NULL, format, columns };
	char *out = NULL;
	size_t n;

	assert_non_null(v);
	p.out = open_memstream(&out, &n);
	assert_int_equal(json_is_array(v) ? print_list(&p, v, NULL) : print_object(&p, v), OK);
	fclose(p.out);
	json_decref(v);
	return out;
}

static void check(enum format format, const char *text, const char *want)
{
	char *out = printed(format, text);

	assert_string_equal(out, want);
	free(out);
}

static void test_lists(void **state)
{
	(void)state;
	check(FORMAT_TSV, rows_text, "a\tZoë\ttrue\tx.y,z.*\nbb\t\tfalse\t\n");
	check(FORMAT_TABLE, rows_text,
	    "ID  NAME  ON     RIGHTS\n"
	    "a   Zoë   true   x.y,z.*\n"
	    "bb        false  \n");
	check(FORMAT_NAME, rows_text, "a\nbb\n");
	check(FORMAT_JSONL, "[{\"id\":1},{\"id\":2}]", "{\"id\":1}\n{\"id\":2}\n");
	check(FORMAT_JSON, "[]", "{\n  \"items\": [],\n  \"next_page_token\": null\n}\n");
	check(FORMAT_YAML, "[{\"id\":\"a\"}]", "items:\n- id: a\nnext_page_token: null\n");
	check(FORMAT_TSV, "[]", "");
}

static void test_objects(void **state)
{
	(void)state;
	check(FORMAT_TABLE, "{\"id\":\"a\",\"longer\":[1,2],\"o\":{\"k\":1,\"p\":{\"q\":2}},\"e\":{}}",
	    "id      a\nlonger  1,2\no.k     1\no.p     {\"q\":2}\ne       {}\n");
	check(FORMAT_TSV, "{\"id\":\"a\",\"longer\":1}", "a\t\t\t\n");
	check(FORMAT_NAME, "{\"id\":\"a\",\"longer\":1}", "a\n");
	check(FORMAT_JSONL, "{\"id\":\"a\"}", "{\"id\":\"a\"}\n");
}

/* Text of others may not drive the terminal or break lines. */
static void test_hostile_text(void **state)
{
	(void)state;
	check(FORMAT_TSV, "[{\"id\":\"\\u001b[2J\\t\\n\\u007f\",\"name\":\"\\u009b2J\",\"on\":1}]",
	    "\\x1b[2J\\t\\n\\x7f\t\\u009b2J\t1\t\n");
}

static void test_formats(void **state)
{
	(void)state;
	assert_int_equal(print_format(NULL, true), FORMAT_TABLE);
	assert_int_equal(print_format(NULL, false), FORMAT_TSV);
	assert_int_equal(print_format("table", false), FORMAT_TABLE);
	assert_int_equal(print_format("json", true), FORMAT_JSON);
	assert_int_equal(print_format("name", true), FORMAT_NAME);
}

static void test_errors(void **state)
{
	struct fail f = { 0 };
	char *out = NULL;
	size_t n;
	FILE *m = open_memstream(&out, &n);

	(void)state;
	fail_set(&f, E_NOT_FOUND, "no %s", "tenant\x1b");
	print_fail(m, FORMAT_JSON, &f, "r-1");
	print_fail(m, FORMAT_TABLE, &f, "r-1");
	print_fail(m, FORMAT_TSV, &f, NULL);
	fclose(m);
	assert_string_equal(out,
	    "{\"code\":\"not_found\",\"error\":\"no tenant\\u001B\",\"details\":{},\"request_id\":\"r-1\"}\n"
	    "gwctl: no tenant\\x1b (not_found, request r-1)\n"
	    "gwctl: no tenant\\x1b\n");
	free(out);
}

/* ---- YAML ---- */

static void test_yaml_round_trip(void **state)
{
	static const char text[] = "{\"s\":\"text\",\"t\":\"true\",\"n\":\"12\",\"e\":\"\",\"i\":7,\"d\":1.5,"
	    "\"b\":false,\"z\":null,\"a\":[],\"o\":{},\"l\":[{\"k\":[1,\"x: y\"]},\"- z\",\"a\\nb\",\"ü\"]}";
	json_t *v = json_loads(text, 0, NULL), *back = NULL;
	struct fail f = { 0 };
	char *out = NULL;
	size_t n;
	FILE *m = open_memstream(&out, &n);

	(void)state;
	assert_int_equal(yaml_write(m, v), OK);
	fclose(m);
	if (yaml_read(str_n(out, n), &back, &f) != OK)
		fail_msg("%s", f.text);
	assert_true(json_equal(v, back));
	json_decref(v);
	json_decref(back);
	free(out);
	/* JSON is YAML */
	assert_int_equal(yaml_read(str_c(text), &back, &f), OK);
	json_decref(back);
}

static void test_yaml_refused(void **state)
{
	static const char *const rows[][2] = {
		{ "a: 1\na: 2\n", "line 2: the key \"a\" was given before" },
		{ "a: &x 1\nb: *x\n", "line 2: aliases are not allowed" },
		{ "a: [1\n", "not YAML" },
		{ "", "the file is empty" },
		{ "? [a]\n: 1\n", "a key must be plain text" },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "nested too deep" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fail f = { 0 };
		json_t *v;

		assert_int_equal(yaml_read(str_c(rows[i][0]), &v, &f), E_BAD_REQUEST);
		assert_null(v);
		if (strstr(f.text, rows[i][1]) == NULL)
			fail_msg("\"%s\" has no \"%s\"", f.text, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_yaml_round_trip),
		cmocka_unit_test(test_yaml_refused),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
