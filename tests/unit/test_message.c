#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hex.h"
#include "mail/message.h"

static const struct id id = { { 0x01, 0x90, 0xab, 0xcd, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 } };

static struct message plain(void)
{
	return (struct message){ .id = id, .date = INT64_C(1763686800) * CLOCK_SEC,
		.from = { STR_NONE, STR("gateway@example.test") },
		.to = { STR_NONE, STR("ada@example.test") }, .subject = STR("Hello"),
		.text = STR("One\nTwo\r\n\n.\nlink: http://x/?token=a-b_c\n") };
}

static const char *written(const struct message *m, struct buf *b)
{
	struct fail f = { 0 };

	buf_clear(b);
	if (message_write(m, b, &f) != OK)
		fail_msg("%s", f.text);
	return buf_cstr(b);
}

static void assert_refused(const struct message *m, const char *word)
{
	struct fail f = { 0 };
	struct buf b;

	buf_init(&b, MESSAGE_MAX);
	assert_int_equal(message_write(m, &b, &f), E_INVALID_FIELD);
	assert_non_null(strstr(f.text, word));
	buf_release(&b);
}

static int setup(void **state)
{
	struct buf *b = calloc(1, sizeof *b);

	buf_init(b, MESSAGE_MAX);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	buf_release(*state);
	free(*state);
	return 0;
}

static void an_ascii_message_is_written_as_it_is(void **state)
{
	struct message m = plain();

	assert_string_equal(written(&m, *state),
	    "Date: Fri, 21 Nov 2025 01:00:00 +0000\r\n"
	    "From: gateway@example.test\r\n"
	    "To: ada@example.test\r\n"
	    "Subject: Hello\r\n"
	    "Message-ID: <0190abcd-ef01-0203-0405-060708090a0b@example.test>\r\n"
	    "Auto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n"
	    "\r\n"
	    "One\r\nTwo\r\n\r\n.\r\nlink: http://x/?token=a-b_c\r\n");
}

static void text_outside_ascii_is_quoted_printable(void **state)
{
	struct message m = plain();
	const char *text;

	m.text = STR("Gr\xc3\xbc\xc3\x9f" "e=1 \n\t\nend");
	text = written(&m, *state);
	assert_non_null(strstr(text, "Encoding: quoted-printable\r\n"));
	assert_non_null(strstr(text, "\r\n\r\nGr=C3=BC=C3=9Fe=3D1=20\r\n=09\r\nend\r\n"));
}

static void long_lines_are_broken_softly(void **state)
{
	char line[3000];
	struct message m = plain();
	const char *text;
	struct str rest, one;
	size_t letters = 0;

	memset(line, 'x', sizeof line);
	m.text = str_n(line, 998);
	assert_non_null(strstr(written(&m, *state), "Encoding: 7bit\r\n"));
	m.text = str_n(line, sizeof line);
	text = written(&m, *state);
	assert_non_null(strstr(text, "Encoding: quoted-printable\r\n"));
	rest = str_c(strstr(text, "\r\n\r\n") + 4);
	while (rest.n > 0) {
		one = str_cut(rest, '\n', &rest);
		assert_true(one.n <= 77); /* with its CR */
		for (size_t i = 0; i < one.n; i++)
			letters += one.p[i] == 'x';
	}
	assert_int_equal(letters, sizeof line);
}

/* Takes the encoded-words of one header apart again. */
static void decode_words(const char *header, struct buf *out)
{
	const char *end = strstr(header, "\r\n");

	while (end[2] == ' ')
		end = strstr(end + 2, "\r\n");
	for (const char *p = header; (p = strstr(p, "=?UTF-8?B?")) != NULL && p < end;) {
		const char *close = strstr(p += 10, "?=");
		unsigned char raw[64];
		size_t n = 0;

		assert_true(close - p <= 63); /* 75 with what is around it */
		assert_true(b64_decode(str_n(p, (size_t)(close - p)), raw, sizeof raw, &n));
		assert_true(str_utf8(str_n((char *)raw, n))); /* whole characters in each */
		buf_add(out, raw, n);
	}
}

static void assert_words(struct buf *b, const struct message *m, const char *header,
    struct str want)
{
	const char *at = strstr(written(m, b), header);
	struct buf got;

	assert_non_null(at);
	for (const char *p = b->p; *p != '\0'; p++)
		assert_true((unsigned char)*p < 0x80);
	buf_init(&got, MESSAGE_MAX);
	decode_words(at, &got);
	assert_true(str_eq(buf_str(&got), want));
	buf_release(&got);
}

static void headers_outside_ascii_are_encoded_words(void **state)
{
	struct message m = plain();
	struct buf s;

	buf_init(&s, 4096);
	for (int i = 0; i < 60; i++) {
		buf_addz(&s, i % 3 == 0 ? "\xf0\x9f\x93\xac" : i % 3 == 1 ? "\xc3\xa4" : "z");
		m.subject = buf_str(&s);
		assert_words(*state, &m, "Subject: ", buf_str(&s));
	}
	m = plain();
	m.to.name = STR("Ada L\xc3\xb6velace");
	assert_words(*state, &m, "To: ", m.to.name);
	m = plain();
	m.subject = STR("not =?UTF-8?B?eA==?= a word");
	assert_words(*state, &m, "Subject: ", m.subject);
	buf_release(&s);
}

static void names_and_addresses_are_quoted_where_they_must_be(void **state)
{
	struct message m = plain();

	m.from.name = STR("The Gateway");
	m.to.name = STR("Lovelace, Ada \"\\\"");
	m.to.addr = STR("a(b@example.test");
	written(&m, *state);
	assert_non_null(strstr(((struct buf *)*state)->p, "From: The Gateway"
	    " <gateway@example.test>\r\nTo: \"Lovelace, Ada \\\"\\\\\\\"\""
	    " <\"a(b\"@example.test>\r\n"));
}

/* No byte in any field makes another header, another recipient or another body. */
static void a_header_cannot_be_injected(void **state)
{
	static const struct str bad[] = { { "a\r\nBcc: x@y", 12 }, { "a\nBcc: x@y", 10 },
		{ "a\rb", 3 }, { "a\0b", 3 }, { "a\x7f", 2 }, { "a\xc2\x85" "b", 4 }, { "\xff", 1 } };
	struct message m;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char addr[64];
		int n = snprintf(addr, sizeof addr, "%.*s", (int)bad[i].n, bad[i].p);

		m = plain();
		m.subject = bad[i];
		assert_refused(&m, "Subject");
		m = plain();
		m.to.name = bad[i];
		assert_refused(&m, "To");
		m = plain();
		m.from.name = bad[i];
		assert_refused(&m, "From");
		if ((size_t)n < bad[i].n) /* the NUL cannot be in this form */
			continue;
		m = plain();
		snprintf(addr, sizeof addr, "%.*s@example.test", (int)bad[i].n, bad[i].p);
		m.to.addr = str_c(addr);
		assert_refused(&m, "To");
		m = plain();
		snprintf(addr, sizeof addr, "a@%.*s", (int)bad[i].n, bad[i].p);
		m.from.addr = str_c(addr);
		assert_refused(&m, "From");
	}
	m = plain();
	m.text = STR("a\x1b[2J");
	assert_refused(&m, "text");
	m.text = STR("a\rb");
	assert_refused(&m, "text");
	m.text = STR("a\xff");
	assert_refused(&m, "text");
}

/* Every byte in every place of a subject or name: refused, or one message with the same headers. */
static void any_byte_leaves_ten_lines_of_headers(void **state)
{
	static const char *const names[] = { "\r\nSubject: ", "\r\nTo: ", "\r\nFrom: ", "\r\nBcc: " };

	for (int c = 0; c < 256; c++)
		for (int at = 0; at < 4; at++) {
			struct message m = plain();
			char text[] = "ab\xc3\xa4" "cd";
			struct fail f = { 0 };

			text[at < 2 ? at : at + 2] = (char)c;
			m.subject = m.to.name = m.from.name = str_n(text, sizeof text - 1);
			buf_clear(*state);
			if (message_write(&m, *state, &f) != OK)
				continue;
			for (int i = 0; i < 4; i++) {
				const char *found = strstr(buf_cstr(*state), names[i]);

				assert_true((found != NULL) == (i < 3));
				assert_true(found == NULL || strstr(found + 1, names[i]) == NULL);
			}
		}
}

static void mailboxes_are_parsed(void **state)
{
	struct mailbox b;

	(void)state;
	assert_true(mailbox_parse(STR(" a@b.test "), &b));
	assert_true(str_eq(b.addr, STR("a@b.test")) && b.name.p == NULL);
	assert_true(mailbox_parse(STR("The Gate <a@b.test>"), &b));
	assert_true(str_eq(b.addr, STR("a@b.test")) && str_eq(b.name, STR("The Gate")));
	assert_true(mailbox_parse(STR("\"Gate, the\" <a@b.test>"), &b));
	assert_true(str_eq(b.name, STR("Gate, the")));
	assert_true(mailbox_parse(STR("<a@b.test>"), &b));
	assert_true(b.name.p == NULL);
	assert_false(mailbox_parse(STR(""), &b));
	assert_false(mailbox_parse(STR("a"), &b));
	assert_false(mailbox_parse(STR("a@b.test>"), &b));
	assert_false(mailbox_parse(STR("a@b.test, c@d.test"), &b));
	assert_false(mailbox_parse(STR("x\ny <a@b.test>"), &b));
	assert_false(mailbox_parse(STR("a@b..test"), &b));
	assert_false(mailbox_parse(STR("a@[1.2.3.4]"), &b));
}

static void a_message_has_a_maximum(void **state)
{
	struct message m = plain();
	struct fail f = { 0 };
	char *text = calloc(1, MESSAGE_MAX);

	memset(text, 'x', MESSAGE_MAX);
	m.text = str_n(text, MESSAGE_MAX);
	assert_int_equal(message_write(&m, *state, &f), E_LIMIT);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_ascii_message_is_written_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(text_outside_ascii_is_quoted_printable, setup, teardown),
		cmocka_unit_test_setup_teardown(long_lines_are_broken_softly, setup, teardown),
		cmocka_unit_test_setup_teardown(headers_outside_ascii_are_encoded_words, setup, teardown),
		cmocka_unit_test_setup_teardown(names_and_addresses_are_quoted_where_they_must_be, setup,
		    teardown),
		cmocka_unit_test(a_header_cannot_be_injected),
		cmocka_unit_test_setup_teardown(any_byte_leaves_ten_lines_of_headers, setup, teardown),
		cmocka_unit_test(mailboxes_are_parsed),
		cmocka_unit_test_setup_teardown(a_message_has_a_maximum, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
