#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../gwctl/args.h"
#include "../../gwctl/help.h"
#include "base/str.h"

#define MAX_WORDS 32

/* Splits "a b c" into an argument vector behind the program's name. */
static int words(char *line, char **argv)
{
	int n = 0;

	argv[n++] = "gwctl";
	for (char *w = strtok(line, " "); w != NULL && n < MAX_WORDS - 1; w = strtok(NULL, " "))
		argv[n++] = w;
	argv[n] = NULL;
	return n;
}

static enum err parse(const char *text, struct args *a, struct fail *f)
{
	static char line[512];
	char *argv[MAX_WORDS];

	snprintf(line, sizeof line, "%s", text);
	return args_parse(a, words(line, argv), argv, f);
}

static void refuse(const char *text, const char *want)
{
	struct args a;
	struct fail f = { 0 };

	assert_int_equal(parse(text, &a, &f), E_USAGE);
	if (strstr(f.text, want) == NULL)
		fail_msg("%s: \"%s\" has no \"%s\"", text, f.text, want);
}

static struct args accept(const char *text)
{
	struct args a;
	struct fail f = { 0 };

	if (parse(text, &a, &f) != OK)
		fail_msg("%s: %s", text, f.text);
	return a;
}

static void test_accepted(void **state)
{
	struct args a = accept("-o json user create --email=a@b.c --password-file - --server http://x");

	(void)state;
	assert_string_equal(a.cmd->noun, "user");
	assert_string_equal(a.cmd->verb, "create");
	assert_string_equal(args_get(&a, "-o"), "json");
	assert_string_equal(args_get(&a, "--email"), "a@b.c");
	assert_string_equal(args_get(&a, "--password-file"), "-");
	assert_string_equal(args_get(&a, "--server"), "http://x");
	assert_null(args_get(&a, "--display-name"));
	a = accept("routing put -fx.json -ojson");
	assert_string_equal(args_get(&a, "--file"), "x.json");
	assert_string_equal(args_get(&a, "-o"), "json");
	a = accept("tenant delete -y -- -odd");
	assert_true(args_has(&a, "--yes"));
	assert_string_equal(args_get(&a, "ID"), "-odd");
	a = accept("role create r --right a.b --right c.d:x*");
	assert_int_equal(a.n, 3);
	assert_string_equal(a.v[2].value, "c.d:x*");
}

static void test_help_at_every_level(void **state)
{
	struct args a = accept("--help");

	(void)state;
	assert_true(a.help && a.noun == NULL);
	a = accept("user -h");
	assert_true(a.help && a.cmd == NULL);
	assert_string_equal(a.noun->name, "user");
	a = accept("user create --help");
	assert_true(a.help);
	assert_string_equal(a.cmd->verb, "create");
	a = accept("help routing put");
	assert_true(a.help);
	assert_string_equal(a.cmd->verb, "put");
	a = accept("user");
	assert_true(!a.help && a.cmd == NULL);
}

static void test_synonyms(void **state)
{
	static const char *const rows[][2] = {
		{ "assignment add --principal p --tenant t --role r", "create" },
		{ "assignment remove x", "delete" }, { "tenant rm x", "delete" }, { "user ls", "list" },
		{ "tenant show x", "get" }, { "role new x", "create" },
		{ "routing show 3", "show" }, /* a verb of its own */
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(accept(rows[i][0]).cmd->verb, rows[i][1]);
}

static void test_refused(void **state)
{
	(void)state;
	refuse("usr list", "unknown command 'usr'; did you mean 'user'?");
	refuse("zzzzzz", "unknown command 'zzzzzz'; see 'gwctl --help'");
	refuse("user lst", "unknown verb 'lst'; did you mean 'list'?");
	refuse("user qqqqqq", "unknown verb 'qqqqqq'; see 'gwctl user --help'");
	refuse("user create --emial a", "unknown option '--emial'; did you mean '--email'?");
	refuse("user create --email a --password x", "read by every process");
	refuse("user create --email a --password=x", "read by every process");
	refuse("user create", "--email E-MAIL is missing; see 'gwctl user create --help'");
	refuse("user get", "USER is missing");
	refuse("user get a b", "'b' is one argument too many");
	refuse("user get a --email", "unknown option '--email'");
	refuse("user create --email", "--email needs a value");
	refuse("user create --email a --email b", "--email: given twice");
	refuse("tenant delete x --yes=1", "--yes takes no value");
	refuse("user list -o xml", "-o: 'xml' must be table|json|jsonl|yaml|name");
	refuse("user list --limit many", "--limit: 'many' must be a number");
	refuse("service-account update x --disabled maybe", "must be true or false");
	refuse("routing resolve --tenant a --kind b", "must be aggregate|projection|runner");
	refuse("user get a --limit 3", "unknown option '--limit'");
	refuse("user list --dry-run", "unknown option '--dry-run'");
	refuse("completion ksh", "SHELL: 'ksh' must be bash|zsh|fish");
}

/* What the rest of the program relies on in the table. */
static void test_table(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->noun != NULL; c++) {
		bool rest = c->path != NULL;

		assert_non_null(noun_find(c->noun));
		assert_non_null(c->run);
		assert_true(c->help[0] != '\0');
		assert_ptr_equal(command_find(c->noun, c->verb), c);
		assert_true(!rest || (c->method != NULL && c->columns != NULL));
		assert_true(!rest || (c->flags & CMD_OFFLINE) == 0);
		/* whatever is not a read can be rehearsed; whatever removes asks first */
		if (rest && strcmp(c->method, "GET") != 0)
			assert_true((c->flags & (CMD_CHANGES | CMD_DESTROYS)) != 0);
		if (rest && strcmp(c->method, "DELETE") == 0)
			assert_true((c->flags & CMD_DESTROYS) != 0);
		for (const struct arg *a = c->args; a != NULL && a->name != NULL; a++) {
			assert_true(a->help != NULL && a->help[0] != '\0');
			assert_true((a->to != TO_BODY && a->to != TO_QUERY) || a->field != NULL);
			assert_true(a->type == ARG_FLAG || !arg_is_option(a) || a->value != NULL);
			for (const struct arg *b = c->args; b != a; b++)
				assert_string_not_equal(a->name, b->name);
		}
	}
	for (const struct noun *n = nouns; n->name != NULL; n++) {
		const struct command *c = commands;

		while (c->noun != NULL && strcmp(c->noun, n->name) != 0)
			c++;
		if (c->noun == NULL)
			fail_msg("noun %s has no command", n->name);
	}
}

/* Every operand in a path is an operand of the command. */
static void test_paths(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->noun != NULL; c++) {
		const char *p = c->path;

		while (p != NULL && (p = strchr(p, '{')) != NULL) {
			struct str name = str_cut(str_c(p + 1), '}', &(struct str){ 0 });
			bool found = false;

			for (const struct arg *a = c->args; a != NULL && a->name != NULL; a++)
				found |= str_eqc(name, a->name) && a->required && a->to == TO_PATH;
			assert_true(found);
			p++;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_help_at_every_level),
		cmocka_unit_test(test_synonyms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
