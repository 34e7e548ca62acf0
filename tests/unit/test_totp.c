#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "crypto/qr.h"
#include "crypto/totp.h"

/* RFC 6238, appendix B */
static const unsigned char secret[] = "12345678901234567890";

static void codes_are_those_of_the_rfc(void **state)
{
	static const struct {
		int64_t time;
		const char *code; /* the last six of the eight digits printed there */
	} v[] = { { 59, "287082" }, { 1111111109, "081804" }, { 1111111111, "050471" },
		{ 1234567890, "005924" }, { 2000000000, "279037" }, { 20000000000, "353130" } };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		char code[TOTP_DIGITS + 1];
		int64_t step = 0;

		assert_int_equal(totp_code(secret, v[i].time / 30, code), OK);
		assert_string_equal(code, v[i].code);
		assert_int_equal(totp_check(secret, str_c(v[i].code), v[i].time * CLOCK_SEC, -1, &step), OK);
		assert_int_equal(step, v[i].time / 30);
	}
}

static void one_step_early_and_late_is_accepted_two_are_not(void **state)
{
	const int64_t step = 60000000;
	char code[TOTP_DIGITS + 1];

	(void)state;
	assert_int_equal(totp_code(secret, step, code), OK);
	for (int64_t at = step * 30 - 90; at < step * 30 + 120; at++) {
		enum err want = at >= (step - 1) * 30 && at < (step + 2) * 30 ? OK : E_MFA_INVALID;
		int64_t got = 0;

		assert_int_equal(totp_check(secret, str_c(code), at * CLOCK_SEC, -1, &got), want);
		assert_int_equal(got, want == OK ? step : 0);
	}
}

static void used_step_is_not_accepted_again(void **state)
{
	const int64_t step = 60000000, now = step * 30 * CLOCK_SEC;
	char code[TOTP_DIGITS + 1], next[TOTP_DIGITS + 1];
	int64_t got = 0;

	(void)state;
	assert_int_equal(totp_code(secret, step, code), OK);
	assert_int_equal(totp_code(secret, step + 1, next), OK);
	assert_int_equal(totp_check(secret, str_c(code), now, step - 1, &got), OK);
	assert_int_equal(totp_check(secret, str_c(code), now, got, &got), E_MFA_INVALID);
	assert_int_equal(totp_check(secret, str_c(next), now, got, &got), OK);
	assert_int_equal(got, step + 1);
	/* after the next one was used, the one before is gone too */
	assert_int_equal(totp_check(secret, str_c(code), now, got, &got), E_MFA_INVALID);
}

static void other_texts_are_refused(void **state)
{
	static const char *const bad[] = { "", "28708", "2870822", "287083", " 287082", "287082 ",
		"28 7082", "-87082", "94287082", "287082\n" };
	unsigned char other[TOTP_SECRET] = "12345678901234567891";
	int64_t step;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(totp_check(secret, str_c(bad[i]), 59 * CLOCK_SEC, -1, &step),
		    E_MFA_INVALID);
	assert_int_equal(totp_check(other, STR("287082"), 59 * CLOCK_SEC, -1, &step), E_MFA_INVALID);
	assert_int_equal(totp_check(secret, STR("287082"), -1, -1, &step), E_MFA_INVALID);
}

static void uri_names_everything_encoded(void **state)
{
	struct buf b;
	char text[TOTP_SECRET_TEXT];

	(void)state;
	totp_secret_text(secret, text);
	assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
	buf_init(&b, 1024);
	assert_int_equal(totp_uri(secret, STR("My Gate: way"), STR("a+b&c@ex\xc3\xa4.de"), &b), OK);
	assert_string_equal(buf_cstr(&b), "otpauth://totp/My%20Gate-%20way:a%2Bb%26c%40ex%C3%A4.de"
	    "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=My%20Gate-%20way&algorithm=SHA1&digits=6"
	    "&period=30");
	buf_release(&b);
	buf_init(&b, 60);
	assert_int_equal(totp_uri(secret, STR("My Gateway"), STR("a@b"), &b), E_LIMIT);
	buf_release(&b);
}

/* Draws the path back onto a grid and looks for the three finder patterns. */
static void qr_code_has_its_three_finders(void **state)
{
	static char grid[200][200];
	int side = 0, x, y, run, used = 0;
	const char *p;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(totp_uri(secret, STR("gateway"), STR("ada@example.com"), &b), OK);
	{
		struct buf svg;

		buf_init(&svg, 1 << 20);
		assert_int_equal(qr_svg(buf_str(&b), &svg), OK);
		buf_release(&b);
		b = svg;
	}
	p = buf_cstr(&b);
	assert_int_equal(sscanf(p, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d", &side), 1);
	assert_true(side > 8 + 21 && side < 100);
	p = strstr(p, "<path d=\"") + 9;
	while (sscanf(p, "M%d %dh%dv1h-%*dz%n", &x, &y, &run, &used) == 3) {
		for (int i = 0; i < run; i++)
			grid[y][x + i] = 1;
		p += used;
	}
	assert_string_equal(p, "\"/></svg>");
	for (int f = 0; f < 3; f++) {
		int fx = f == 1 ? side - 4 - 7 : 4, fy = f == 2 ? side - 4 - 7 : 4;

		for (y = 0; y < 7; y++)
			for (x = 0; x < 7; x++) {
				int d = abs(x - 3) > abs(y - 3) ? abs(x - 3) : abs(y - 3);

				assert_int_equal(grid[fy + y][fx + x], d != 2);
			}
	}
	for (int i = 0; i < side; i++)
		assert_true(grid[3][i] == 0 && grid[i][3] == 0 && grid[side - 4][i] == 0);
	buf_release(&b);
}

static void qr_text_that_does_not_fit_is_an_error(void **state)
{
	static char text[4000];
	struct buf b;

	(void)state;
	memset(text, 'x', sizeof text);
	buf_init(&b, 1 << 22);
	assert_int_equal(qr_svg(str_n(text, sizeof text), &b), E_LIMIT);
	buf_release(&b);
	buf_init(&b, 100);
	assert_int_equal(qr_svg(STR("hello"), &b), E_LIMIT);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_are_those_of_the_rfc),
		cmocka_unit_test(one_step_early_and_late_is_accepted_two_are_not),
		cmocka_unit_test(used_step_is_not_accepted_again),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(uri_names_everything_encoded),
		cmocka_unit_test(qr_code_has_its_three_finders),
		cmocka_unit_test(qr_text_that_does_not_fit_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
