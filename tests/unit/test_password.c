#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <argon2.h>
#include <libscrypt.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "crypto/password.h"

static const struct password_params cheap = { .memory_kib = 64, .iterations = 1, .parallelism = 1 };
static const unsigned char salt[16] = "sixteen bytes ok";

static void hash_is_a_standard_phc_string(void **state)
{
	static const struct password_params params[] = { { 64, 1, 1 }, { 19456, 2, 1 }, { 256, 3, 4 },
		{ 8, 1, 1 }, { 64, 2, 8 } };
	char phc[PASSWORD_PHC_LEN], theirs[PASSWORD_PHC_LEN];

	(void)state;
	for (int i = 0; i < 5; i++) {
		const struct password_params *p = &params[i];
		bool weaker = true;

		assert_int_equal(password_hash(STR("p\xc3\xa4ssword"), p, salt, phc), OK);
		/* the reference implementation makes the same string, and takes ours */
		assert_int_equal(argon2id_hash_encoded(p->iterations, p->memory_kib, p->parallelism,
		    "p\xc3\xa4ssword", 9, salt, 16, 32, theirs, sizeof theirs), ARGON2_OK);
		assert_string_equal(phc, theirs);
		assert_int_equal(argon2id_verify(phc, "p\xc3\xa4ssword", 9), ARGON2_OK);
		assert_int_equal(password_verify(STR("p\xc3\xa4ssword"), str_c(phc), p, &weaker), OK);
		assert_false(weaker);
		assert_int_equal(password_verify(STR("p\xc3\xa4sswore"), str_c(phc), p, NULL),
		    E_INVALID_CREDENTIALS);
		assert_int_equal(password_verify(STR(""), str_c(phc), p, NULL), E_INVALID_CREDENTIALS);
	}
}

static void no_byte_is_cut_off(void **state)
{
	char phc[PASSWORD_PHC_LEN], a[1024];

	(void)state;
	memset(a, 'x', sizeof a);
	assert_int_equal(password_hash(str_n(a, sizeof a), &cheap, salt, phc), OK);
	assert_int_equal(password_verify(str_n(a, sizeof a), str_c(phc), &cheap, NULL), OK);
	assert_int_equal(password_verify(str_n(a, sizeof a - 1), str_c(phc), &cheap, NULL),
	    E_INVALID_CREDENTIALS);
	a[1023] = 'y';
	assert_int_equal(password_verify(str_n(a, sizeof a), str_c(phc), &cheap, NULL),
	    E_INVALID_CREDENTIALS);
	a[3] = '\0'; /* nor at a NUL */
	assert_int_equal(password_hash(str_n(a, 10), &cheap, salt, phc), OK);
	assert_int_equal(password_verify(str_n(a, 3), str_c(phc), &cheap, NULL), E_INVALID_CREDENTIALS);
}

static void imported_argon2_hashes_verify(void **state)
{
	static const struct {
		argon2_type type;
		uint32_t version, m, t, p, salt, len;
	} v[] = {
		{ Argon2_id, 0x13, 64, 1, 1, 8, 32 },  { Argon2_id, 0x13, 64, 2, 1, 32, 64 },
		{ Argon2_id, 0x13, 64, 1, 1, 16, 16 }, { Argon2_id, 0x13, 64, 1, 1, 16, 12 },
		{ Argon2_i, 0x13, 64, 3, 1, 16, 32 },  { Argon2_i, 0x10, 64, 3, 2, 16, 32 },
		{ Argon2_d, 0x13, 64, 1, 2, 16, 32 },  { Argon2_id, 0x13, 128, 2, 4, 16, 24 },
	};
	unsigned char raw[64], s[64];
	char phc[PASSWORD_PHC_LEN];

	(void)state;
	memset(s, 7, sizeof s);
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		bool weaker = false;

		assert_int_equal(argon2_hash(v[i].t, v[i].m, v[i].p, "secret", 6, s, v[i].salt, raw,
		    v[i].len, phc, sizeof phc, v[i].type, v[i].version), ARGON2_OK);
		if (password_verify(STR("secret"), str_c(phc), &cheap, &weaker) != OK)
			fail_msg("not verified: %s", phc);
		assert_int_equal(password_verify(STR("Secret"), str_c(phc), &cheap, NULL),
		    E_INVALID_CREDENTIALS);
		assert_int_equal(weaker, i != 1); /* short salt or hash, or another type */
	}
}

static void imported_scrypt_hashes_verify(void **state)
{
	/* RFC 7914, 12: N 1024 r 8 p 16 and N 16384 r 8 p 1, salts NaCl and SodiumChloride */
	static const char *const known[][2] = {
		{ "password", "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLi"
		    "KjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA" },
		{ "pleaseletmein", "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9l"
		    "RdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw" },
	};
	char mcf[SCRYPT_MCF_LEN];
	bool weaker = false;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(password_verify(str_c(known[i][0]), str_c(known[i][1]), &cheap, &weaker),
		    OK);
		assert_true(weaker);
		assert_int_equal(password_verify(STR("Password"), str_c(known[i][1]), &cheap, NULL),
		    E_INVALID_CREDENTIALS);
	}
	assert_true(libscrypt_hash(mcf, "correct horse", 1024, 8, 2) > 0);
	weaker = false;
	assert_int_equal(password_verify(STR("correct horse"), str_c(mcf), &cheap, &weaker), OK);
	assert_true(weaker);
	assert_int_equal(password_verify(STR("correct horsf"), str_c(mcf), &cheap, NULL),
	    E_INVALID_CREDENTIALS);
}

static void hashes_that_are_not_understood_are_errors(void **state)
{
#define S "c2l4dGVlbiBieXRlcyBvaw"
#define H "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
	static const char *const bad[] = { "", "secret", "$", "$argon2id$", "$argon2id$v=19$",
		"$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuuabcdefghijk", "$6$salt$hash",
		"$argon2id$v=19$m=64,t=1,p=1$" S, "$argon2id$v=19$m=64,t=1,p=1$" S "$",
		"$argon2id$v=19$m=64,t=1,p=1$$" H, "$argon2id$v=18$m=64,t=1,p=1$" S "$" H,
		"$argon2id$v=20$m=64,t=1,p=1$" S "$" H, "$argon2x$v=19$m=64,t=1,p=1$" S "$" H,
		"$argon2id$v=19$m=64,t=1$" S "$" H, "$argon2id$v=19$t=1,m=64,p=1$" S "$" H,
		"$argon2id$v=19$m=64,t=1,p=1,x=1$" S "$" H, "$argon2id$v=19$m=64,t=0,p=1$" S "$" H,
		"$argon2id$v=19$m=0,t=1,p=1$" S "$" H, "$argon2id$v=19$m=64,t=1,p=0$" S "$" H,
		"$argon2id$v=19$m=-64,t=1,p=1$" S "$" H, "$argon2id$v=19$m=64 ,t=1,p=1$" S "$" H,
		/* what a stranger's import may not make us do: 4 GiB and a bit, 65 passes */
		"$argon2id$v=19$m=4194305,t=1,p=1$" S "$" H, "$argon2id$v=19$m=64,t=65,p=1$" S "$" H,
		"$argon2id$v=19$m=99999999999,t=1,p=1$" S "$" H, "$argon2id$v=19$m=4096,t=1,p=65$" S "$" H,
		"$argon2id$v=19$m=15,t=1,p=2$" S "$" H, /* less than 8 KiB a lane */
		"$argon2id$v=19$m=64,t=1,p=1$" S "$" H "$", "$argon2id$v=19$m=64,t=1,p=1$" S "$" H "!",
		"$argon2id$v=19$m=64,t=1,p=1$" S "$AAA", "$argon2id$v=19$m=64,t=1,p=1$YWJj$" H,
		"$argon2id$v=19$m=64,t=1,p=1$" S "$" H H H, "$argon2id$v=19$m=64,t=1,p=1$" H H H "$" H,
		" $argon2id$v=19$m=64,t=1,p=1$" S "$" H,
		"$scrypt$ln=25,r=8,p=1$" S "$" H, "$scrypt$ln=24,r=8,p=1$" S "$" H,
		"$scrypt$ln=0,r=8,p=1$" S "$" H, "$scrypt$ln=10,r=8,p=17$" S "$" H,
		"$scrypt$ln=10,r=8$" S "$" H, "$scrypt$ln=10,r=8,p=1$" S "$AAAA", "$scrypt$" S "$" H,
		"$s1$0a080$" S "$" H, "$s1$0a08zz$" S "$" H, "$s1$190801$" S "$" H, "$s1$0a0001$" S "$" H,
		"$s1$0a08ff$" S "$" H, "$s1$400801$" S "$" H, "$s1$ff0801$" S "$" H,
		"$argon2id$v=19$m=7,t=1,p=1$" S "$" H };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (password_verify(STR("secret"), str_c(bad[i]), &cheap, NULL) != E_INTERNAL)
			fail_msg("taken: %s", bad[i]);
}

static void weaker_means_any_parameter_below_the_wanted(void **state)
{
	static const struct {
		struct password_params want;
		bool weaker;
	} v[] = { { { 256, 2, 2 }, false }, { { 128, 1, 1 }, false }, { { 257, 2, 2 }, true },
		{ { 256, 3, 2 }, true }, { { 256, 2, 3 }, true } };
	const struct password_params have = { 256, 2, 2 };
	char phc[PASSWORD_PHC_LEN];

	(void)state;
	assert_int_equal(password_hash(STR("x"), &have, salt, phc), OK);
	for (int i = 0; i < 5; i++) {
		bool weaker = !v[i].weaker;

		assert_int_equal(password_verify(STR("x"), str_c(phc), &v[i].want, &weaker), OK);
		assert_int_equal(weaker, v[i].weaker);
	}
}

static void dummy_never_succeeds(void **state)
{
	(void)state;
	assert_int_equal(password_verify_dummy(STR("x"), &cheap), E_INVALID_CREDENTIALS);
	assert_int_equal(password_verify_dummy(STR(""), &cheap), E_INVALID_CREDENTIALS);
}

/* ---- normalisation ---- */

static enum err normalise(struct str in, struct buf *out)
{
	struct fail f = { 0 };

	buf_clear(out);
	return password_normalise(in, 8, 16, out, &f);
}

static void composed_and_decomposed_are_one(void **state)
{
	struct buf a, b;

	(void)state;
	buf_init(&a, 4096);
	buf_init(&b, 4096);
	assert_int_equal(normalise(STR("p\xc3\xa4ssw\xc3\xb6rt"), &a), OK);
	assert_int_equal(normalise(STR("pa\xcc\x88sswo\xcc\x88rt"), &b), OK);
	assert_true(str_eq(buf_str(&a), buf_str(&b)));
	/* canonical only: a ligature or a full-width letter stays what it is */
	assert_int_equal(normalise(STR("\xef\xac\x81 \xef\xbc\xa1 abcdef"), &a), OK);
	assert_true(str_eq(buf_str(&a), STR("\xef\xac\x81 \xef\xbc\xa1 abcdef")));
	buf_release(&a);
	buf_release(&b);
}

static void length_is_in_characters_after_normalisation(void **state)
{
	struct buf b;
	char many[4096];

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(normalise(STR("1234567"), &b), E_WEAK_PASSWORD);
	assert_int_equal(normalise(STR("12345678"), &b), OK);
	assert_int_equal(normalise(STR("1234567890123456"), &b), OK);
	assert_int_equal(normalise(STR("12345678901234567"), &b), E_WEAK_PASSWORD);
	assert_int_equal(normalise(STR(""), &b), E_WEAK_PASSWORD);
	/* seven characters in 14 bytes, sixteen in 64 */
	assert_int_equal(normalise(STR("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"), &b),
	    E_WEAK_PASSWORD);
	for (int i = 0; i < 17; i++)
		memcpy(many + 4 * i, "\xf0\x9f\x98\x80", 4);
	assert_int_equal(normalise(str_n(many, 64), &b), OK);
	assert_int_equal(b.n, 64);
	assert_int_equal(normalise(str_n(many, 68), &b), E_WEAK_PASSWORD);
	memset(many, 'x', sizeof many);
	assert_int_equal(normalise(str_n(many, sizeof many), &b), E_WEAK_PASSWORD);
	buf_release(&b);
}

static void what_is_not_utf8_is_refused(void **state)
{
	static const char *const bad[] = { "12345678\xff", "1234567\xc3", "\xed\xa0\x80" "12345678",
		"\xc0\xaf" "12345678" };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (int i = 0; i < 4; i++)
		assert_int_equal(normalise(str_c(bad[i]), &b), E_WEAK_PASSWORD);
	assert_int_equal(normalise(str_n("1234\0" "5678", 9), &b), E_WEAK_PASSWORD);
	assert_int_equal(b.n, 0);
	buf_release(&b);
}

#define SALT16 "c2l4dGVlbiBieXRlcyBvaw"
#define HASH32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void what_may_be_imported(void **state)
{
	static const struct {
		bool may;
		const char *phc;
	} rows[] = {
		{ true, "$argon2id$v=19$m=19456,t=2,p=1$" SALT16 "$" HASH32 },
		{ true, "$argon2i$m=4096,t=3,p=1$" SALT16 "$" HASH32 },
		{ true, "$argon2id$v=19$m=262144,t=4,p=4$" SALT16 "$" HASH32 },
		{ false, "$argon2id$v=19$m=262144,t=5,p=4$" SALT16 "$" HASH32 },
		{ false, "$argon2id$v=19$m=262145,t=1,p=1$" SALT16 "$" HASH32 },
		{ false, "$argon2id$v=19$m=4194304,t=1,p=1$" SALT16 "$" HASH32 },
		{ false, "$argon2id$v=19$m=19456,t=2,p=1$" SALT16 "$AAAAAAAA" }, /* six bytes can be guessed */
		{ true, "$scrypt$ln=18,r=8,p=1$" SALT16 "$" HASH32 },
		{ true, "$scrypt$ln=14,r=8,p=16$" SALT16 "$" HASH32 },
		{ false, "$scrypt$ln=19,r=8,p=1$" SALT16 "$" HASH32 },
		{ false, "$scrypt$ln=18,r=8,p=5$" SALT16 "$" HASH32 },
		{ true, "$s1$0e0801$" SALT16 "==$" HASH32 "=" },
		{ true, "$s0$e0801$" SALT16 "==$" HASH32 "=" },
		{ false, "$s0$$" SALT16 "==$" HASH32 "=" },
		{ false, "$s0$0e08010$" SALT16 "==$" HASH32 "=" },
		{ false, "$s1$ff0801$" SALT16 "==$" HASH32 "=" },
		{ false, "$2b$12$abcdefghijklmnopqrstuv" },
		{ false, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fail f = { 0 };

		print_message("%s\n", rows[i].phc);
		assert_int_equal(password_hash_check(str_c(rows[i].phc), &f),
		    rows[i].may ? OK : E_INVALID_FIELD);
		assert_int_equal(f.text[0] == '\0', rows[i].may);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_is_a_standard_phc_string),
		cmocka_unit_test(no_byte_is_cut_off),
		cmocka_unit_test(imported_argon2_hashes_verify),
		cmocka_unit_test(imported_scrypt_hashes_verify),
		cmocka_unit_test(hashes_that_are_not_understood_are_errors),
		cmocka_unit_test(weaker_means_any_parameter_below_the_wanted),
		cmocka_unit_test(dummy_never_succeeds),
		cmocka_unit_test(composed_and_decomposed_are_one),
		cmocka_unit_test(length_is_in_characters_after_normalisation),
		cmocka_unit_test(what_is_not_utf8_is_refused),
		cmocka_unit_test(what_may_be_imported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
