#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "mail/template.h"
#include "store_fixture.h"

static const struct mail_values values = { .link = STR("http://g/?token=abc"),
	.email = STR("ada@example.test"), .valid_us = 1800 * CLOCK_SEC };

struct out {
	struct buf subject, text;
};

static int setup(void **state)
{
	struct out *o = calloc(1, sizeof *o);

	buf_init(&o->subject, 1 << 16);
	buf_init(&o->text, 1 << 16);
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	struct out *o = *state;

	buf_release(&o->subject);
	buf_release(&o->text);
	free(o);
	return 0;
}

static void render(struct out *o, const char *dir, enum mail_kind k, const struct mail_values *v)
{
	struct mail_templates *t = NULL;
	struct fail f = { 0 };

	buf_clear(&o->subject);
	buf_clear(&o->text);
	assert_ok(mail_templates_load(dir, &t, &f), &f);
	assert_int_equal(mail_template_render(t, k, v, &o->subject, &o->text), OK);
	buf_cstr(&o->subject);
	buf_cstr(&o->text);
	mail_templates_free(t);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	fclose(f);
}

static void built_in_templates_say_what_they_must(void **state)
{
	struct out *o = *state;

	for (enum mail_kind k = 0; k < MAIL__KINDS; k++) {
		bool link = k == MAIL_VERIFY || k == MAIL_RESET;

		render(o, NULL, k, &values);
		assert_true(o->subject.n > 0);
		assert_non_null(strstr(o->text.p, "ada@example.test"));
		assert_true((strstr(o->text.p, "\nhttp://g/?token=abc\n") != NULL) == link);
		assert_null(strstr(o->text.p, "{{"));
		assert_true(o->text.p[0] != '\n');
	}
	render(o, NULL, MAIL_RESET, &values);
	assert_non_null(strstr(o->text.p, "30 minutes"));
}

static void a_file_replaces_one_kind(void **state)
{
	struct out *o = *state;
	struct mail_values v = values;
	char dir[64];

	temp_make(dir);
	write_file(dir, "reset.txt", "Subject:  Neu, {{name}}\r\n\r\nHallo {{name}} <{{email}}>{{link}}"
	    " {{minutes}} } }} {a}");
	write_file(dir, "notes.md", "not a template {{nonsense}}");
	v.name = STR("Ada\r\nBcc: x@y\xc2\x85");
	render(o, dir, MAIL_RESET, &v);
	assert_string_equal(o->subject.p, "Neu, Ada  Bcc: x@y ");
	assert_string_equal(o->text.p,
	    "Hallo Ada  Bcc: x@y  <ada@example.test>http://g/?token=abc 30 } }} {a}");
	render(o, dir, MAIL_RESET, &values); /* without a name */
	assert_string_equal(o->subject.p, "Neu, ada@example.test");
	render(o, dir, MAIL_VERIFY, &values);
	assert_string_equal(o->subject.p, "Confirm your e-mail address");
	temp_remove(dir);
}

/* A value that looks like a placeholder stays what it is. */
static void values_are_not_expanded_again(void **state)
{
	struct out *o = *state;
	struct mail_values v = values;
	char dir[64];

	temp_make(dir);
	write_file(dir, "reset.txt", "Subject: x\n\n{{name}} {{link}}");
	v.name = STR("{{link}}{{x");
	render(o, dir, MAIL_RESET, &v);
	assert_string_equal(o->text.p, "{{link}}{{x http://g/?token=abc");
	temp_remove(dir);
}

static void mistakes_are_found_when_loading(void **state)
{
	static const struct {
		const char *file, *text, *words;
	} bad[] = {
		{ "reset.txt", "Subject: x\n\n{{link}} \n{{nmae}}", "reset.txt, line 4: {{nmae}} is no pl" },
		{ "reset.txt", "Subject: x\n\n{{link}} {{ name }}", "is no placeholder" },
		{ "reset.txt", "Subject: {{link}}\n\n{{link}}", "line 1: {{link}} must not be in the subj" },
		{ "reset.txt", "Subject: x\n\nhello", "{{link}} is missing" },
		{ "verify.txt", "Subject: {{link}}\n\nhello", "must not be" },
		{ "verify.txt", "Subject: x\n\n{{link", "line 3: {{ without }}" },
		{ "password_changed.txt", "Subject: x\n\n{{link}}", "has no value in this kind" },
		{ "email_taken.txt", "Subject: x\n\n{{minutes}}", "has no value in this kind" },
		{ "email_taken.txt", "Hello\n", "the first line must be 'Subject: ...'" },
		{ "email_taken.txt", "Subject: \n\nx", "the first line must be 'Subject: ...'" },
		{ "email_taken.txt", "", "the first line must be 'Subject: ...'" },
		{ "email_taken.txt", "Subject: x\n\n\xff", "must be UTF-8" },
		{ "rest.txt", "Subject: x\n\n{{link}}", "rest.txt: there is no such kind of mail; there are "
		  "verify, reset, password_changed, email_taken, mfa_removed, identity_linked, identity_unlinked" },
	};
	struct mail_templates *t = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct fail f = { 0 };
		char dir[64];

		temp_make(dir);
		write_file(dir, bad[i].file, bad[i].text);
		assert_int_equal(mail_templates_load(dir, &t, &f), E_CONFIG);
		if (strstr(f.text, bad[i].words) == NULL)
			fail_msg("'%s' does not say '%s'", f.text, bad[i].words);
		temp_remove(dir);
	}
	assert_int_equal(mail_templates_load("/nonexistent/x", &t, NULL), E_CONFIG);
	assert_null(t);
}

static void a_huge_file_is_refused(void **state)
{
	struct mail_templates *t = NULL;
	struct fail f = { 0 };
	char dir[64], *text = calloc(1, (32 << 10) + 2);

	(void)state;
	temp_make(dir);
	memset(text, 'x', (32 << 10) + 1);
	write_file(dir, "reset.txt", text);
	assert_int_equal(mail_templates_load(dir, &t, &f), E_CONFIG);
	assert_non_null(strstr(f.text, "longer than"));
	free(text);
	temp_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(built_in_templates_say_what_they_must, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_replaces_one_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(values_are_not_expanded_again, setup, teardown),
		cmocka_unit_test(mistakes_are_found_when_loading),
		cmocka_unit_test(a_huge_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
