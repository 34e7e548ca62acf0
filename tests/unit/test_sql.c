#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "store/sql.h"

/* Splits `script` and joins the statements with "|". */
static void assert_split(const char *script, const char *want)
{
	struct str rest = str_c(script), st;
	char got[1024] = "";
	size_t n = 0;

	while ((st = sql_next_statement(&rest)).p != NULL) {
		if (n > 0)
			got[n++] = '|';
		memcpy(got + n, st.p, st.n);
		n += st.n;
	}
	got[n] = '\0';
	assert_string_equal(got, want);
}

static void splits_at_semicolons(void **state)
{
	(void)state;
	assert_split("", "");
	assert_split(" ;; \n", "");
	assert_split("a", "a");
	assert_split("a;", "a");
	assert_split("a; b ;\n c\n", "a|b|c");
}

static void a_semicolon_in_quotes_is_text(void **state)
{
	(void)state;
	assert_split("x 'a;b'; y \"c;d\"; z `e;f`; w [g;h]", "x 'a;b'|y \"c;d\"|z `e;f`|w [g;h]");
	assert_split("x 'it''s; one'; y", "x 'it''s; one'|y");
	assert_split("x 'never closed; y", "x 'never closed; y");
	assert_split("x [a]]; y", "x [a]]|y");
}

static void comments_are_blanks(void **state)
{
	(void)state;
	assert_split("-- one; two\na; -- three; four\nb -- five", "a|b");
	assert_split("/* a; b */ c /* ; */ d; /* never closed; e", "c /* ; */ d");
	assert_split("/*/ ; */ a; b", "a|b");
	assert_split("a - b; c / d", "a - b|c / d");
	assert_split("'--'; b", "'--'|b");
}

static void a_trigger_runs_to_its_end(void **state)
{
	static const char *const heads[] = { "CREATE TRIGGER", "create /* ; */ temp trigger",
		"CREATE TEMPORARY\nTRIGGER" };
	char script[600], want[512];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(want, sizeof want, "%s t AFTER UPDATE ON x BEGIN UPDATE y SET a = CASE WHEN 1"
		    " THEN 2 END; DELETE FROM z; END", heads[i]);
		snprintf(script, sizeof script, "%s;\nCREATE TABLE b (c);", want);
		strcat(want, "|CREATE TABLE b (c)");
		assert_split(script, want);
	}
	assert_split("CREATE TABLE trigger (a); b", "CREATE TABLE trigger (a)|b");
	assert_split("CREATE; b", "CREATE|b");
}

static void finds_parameters_outside_of_quotes(void **state)
{
	struct str rest = STR("SELECT '?', \"?\", ?, [?] -- ?\n, /* ? */ a=?"), text;
	enum sql_token t;
	int n = 0;

	(void)state;
	while ((t = sql_next_token(&rest, &text)) != SQL_END)
		n += t == SQL_PARAM;
	assert_int_equal(n, 2);
}

static void tokens_cover_the_text(void **state)
{
	static const char all[] = "a1 'b' \"\" ;?-/*\n";
	struct str rest = str_c(all), text;
	const char *at = all;

	(void)state;
	while (sql_next_token(&rest, &text) != SQL_END) {
		assert_ptr_equal(text.p, at);
		assert_true(text.n > 0);
		at += text.n;
	}
	assert_ptr_equal(at, all + sizeof all - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits_at_semicolons),
		cmocka_unit_test(a_semicolon_in_quotes_is_text),
		cmocka_unit_test(comments_are_blanks),
		cmocka_unit_test(a_trigger_runs_to_its_end),
		cmocka_unit_test(finds_parameters_outside_of_quotes),
		cmocka_unit_test(tokens_cover_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
