#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/hex.h"
#include "crypto/refresh_token.h"
#include "crypto/seal.h"

static const unsigned char key_a[32] = "0123456789abcdef0123456789abcde";
static const unsigned char key_b[32] = "another master key of 32 bytes.";

static int setup(void **state)
{
	struct seal *s = NULL;

	assert_int_equal(seal_new(key_a, &s), OK);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	seal_free(*state);
	return 0;
}

static void opens_what_it_closed(void **state)
{
	struct buf sealed, plain;

	buf_init(&sealed, 4096);
	buf_init(&plain, 4096);
	for (size_t n = 0; n < 100; n++) {
		char text[100];

		memset(text, (int)n, n);
		buf_clear(&sealed);
		buf_clear(&plain);
		assert_int_equal(seal_close(*state, STR("row:1"), str_n(text, n), &sealed), OK);
		assert_int_equal(sealed.n, n + 1 + 12 + 16);
		assert_int_equal(seal_open(*state, STR("row:1"), buf_str(&sealed), &plain), OK);
		assert_true(str_eq(buf_str(&plain), str_n(text, n)));
	}
	buf_release(&sealed);
	buf_release(&plain);
}

static void refuses_other_row_other_key_and_every_flipped_bit(void **state)
{
	struct seal *other = NULL;
	struct buf sealed, plain;

	buf_init(&sealed, 4096);
	buf_init(&plain, 4096);
	assert_int_equal(seal_new(key_b, &other), OK);
	assert_int_equal(seal_close(*state, STR("row:1"), STR("plain text"), &sealed), OK);
	assert_int_equal(seal_open(*state, STR("row:2"), buf_str(&sealed), &plain), E_INTERNAL);
	assert_int_equal(seal_open(other, STR("row:1"), buf_str(&sealed), &plain), E_INTERNAL);
	for (size_t i = 0; i < sealed.n * 8; i++) {
		sealed.p[i / 8] ^= (char)(1 << i % 8);
		assert_int_equal(seal_open(*state, STR("row:1"), buf_str(&sealed), &plain), E_INTERNAL);
		sealed.p[i / 8] ^= (char)(1 << i % 8);
	}
	for (size_t n = 0; n < sealed.n; n++)
		assert_int_equal(seal_open(*state, STR("row:1"), str_n(sealed.p, n), &plain), E_INTERNAL);
	assert_int_equal(plain.n, 0);
	seal_free(other);
	buf_release(&sealed);
	buf_release(&plain);
}

static void nonce_differs_each_time(void **state)
{
	struct buf a, b;

	buf_init(&a, 4096);
	buf_init(&b, 4096);
	assert_int_equal(seal_close(*state, STR("x"), STR("same"), &a), OK);
	assert_int_equal(seal_close(*state, STR("x"), STR("same"), &b), OK);
	assert_false(str_eq(str_n(a.p + 1, 12), str_n(b.p + 1, 12)));
	buf_release(&a);
	buf_release(&b);
}

static void macs_differ_by_purpose_and_key(void **state)
{
	unsigned char a[32], b[32], c[32], d[32];
	struct seal *other = NULL;

	assert_int_equal(seal_new(key_b, &other), OK);
	seal_mac(*state, "one", STR("data"), a);
	seal_mac(*state, "two", STR("data"), b);
	seal_mac(other, "one", STR("data"), c);
	seal_mac(*state, "one", STR("data"), d);
	assert_memory_not_equal(a, b, 32);
	assert_memory_not_equal(a, c, 32);
	assert_memory_equal(a, d, 32);
	seal_free(other);
}

/* ---- the master key ---- */

static void given_value_is_taken_or_refused(void **state)
{
	struct fail f = { 0 };
	struct seal *s = NULL;
	char text[B64_LEN(32) + 1] = { 0 };
	unsigned char a[32], b[32];

	b64_encode(key_a, 32, text);
	assert_int_equal(seal_load(text, NULL, false, &s, &f), OK);
	seal_mac(s, "p", STR("d"), a);
	seal_mac(*state, "p", STR("d"), b);
	assert_memory_equal(a, b, 32);
	seal_free(s);
	assert_int_equal(seal_load("c2hvcnQ=", NULL, false, &s, &f), E_CONFIG);
	assert_int_equal(seal_load("not base64!", NULL, false, &s, &f), E_CONFIG);
	assert_int_equal(seal_load("", NULL, false, &s, &f), E_CONFIG);
	assert_null(strstr(fail_text(&f), "not base64!"));
}

static void file_is_made_once_with_mode_0600(void **state)
{
	char dir[] = "/tmp/test_seal.XXXXXX", path[64];
	unsigned char a[32], b[32];
	struct fail f = { 0 };
	struct seal *s = NULL;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/master.key", dir);
	assert_int_equal(seal_load(NULL, path, false, &s, &f), E_CONFIG);
	assert_int_equal(seal_load(NULL, path, true, &s, &f), OK);
	seal_mac(s, "p", STR("d"), a);
	seal_free(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(seal_load("", path, true, &s, &f), OK);
	seal_mac(s, "p", STR("d"), b);
	seal_free(s);
	assert_memory_equal(a, b, 32);
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(seal_load(NULL, path, true, &s, &f), E_CONFIG); /* never replaced */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left behind */
	assert_int_equal(seal_load(NULL, path, true, &s, &f), E_CONFIG);
}

static void every_failed_allocation_is_an_error(void **state)
{
	struct seal *s = NULL;
	struct buf b;

	heap_fail_after(1);
	assert_int_equal(seal_new(key_a, &s), E_NOMEM);
	buf_init(&b, 4096);
	assert_int_equal(seal_close(*state, STR("x"), STR("y"), &b), E_NOMEM);
	assert_true(heap_fail_after(0));
	assert_null(s);
}

/* ---- refresh tokens ---- */

static void refresh_token_comes_back(void **state)
{
	static const uint64_t counters[] = { 0, 1, 255, UINT64_C(0x0102030405060708), UINT64_MAX };
	struct id session = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } }, got;
	char t[REFRESH_TOKEN_LEN], again[REFRESH_TOKEN_LEN];
	uint64_t counter;

	for (size_t i = 0; i < 5; i++) {
		refresh_token_make(*state, session, counters[i], t);
		refresh_token_make(*state, session, counters[i], again);
		assert_string_equal(t, again);
		assert_int_equal(strlen(t), REFRESH_TOKEN_LEN - 1);
		assert_int_equal(refresh_token_parse(*state, str_c(t), &got, &counter), OK);
		assert_true(id_eq(session, got));
		assert_int_equal(counter, counters[i]);
	}
}

static void edited_refresh_token_is_refused(void **state)
{
	struct id session = { { 9 } }, got;
	char t[REFRESH_TOKEN_LEN], longer[REFRESH_TOKEN_LEN + 1];
	struct seal *other = NULL;
	uint64_t counter;

	refresh_token_make(*state, session, 7, t);
	for (size_t i = 0; i < REFRESH_TOKEN_LEN - 1; i++) {
		char old = t[i];

		for (int c = 1; c < 128; c++) {
			if (c == old)
				continue;
			t[i] = (char)c;
			assert_int_equal(refresh_token_parse(*state, str_c(t), &got, &counter),
			    E_REFRESH_INVALID);
		}
		t[i] = old;
	}
	for (size_t n = 0; n < REFRESH_TOKEN_LEN - 1; n++)
		assert_int_equal(refresh_token_parse(*state, str_n(t, n), &got, &counter),
		    E_REFRESH_INVALID);
	snprintf(longer, sizeof longer, "%sA", t);
	assert_int_equal(refresh_token_parse(*state, str_c(longer), &got, &counter),
	    E_REFRESH_INVALID);
	assert_int_equal(seal_new(key_b, &other), OK);
	assert_int_equal(refresh_token_parse(other, str_c(t), &got, &counter), E_REFRESH_INVALID);
	seal_free(other);
	assert_int_equal(refresh_token_parse(*state, str_c(t), &got, &counter), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_what_it_closed),
		cmocka_unit_test(refuses_other_row_other_key_and_every_flipped_bit),
		cmocka_unit_test(nonce_differs_each_time),
		cmocka_unit_test(macs_differ_by_purpose_and_key),
		cmocka_unit_test(given_value_is_taken_or_refused),
		cmocka_unit_test(file_is_made_once_with_mode_0600),
		cmocka_unit_test(every_failed_allocation_is_an_error),
		cmocka_unit_test(refresh_token_comes_back),
		cmocka_unit_test(edited_refresh_token_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
