/* The state of a sign-in in its cookie, the cookies themselves, and where a browser may be sent back to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "api/cookie.h"
#include "api/return_to.h"
#include "authn/oidc_state.h"
#include "crypto/seal.h"
#include "request/request.h"

#define NOW INT64_C(1750000000000000)

static struct seal *seal, *other;
static struct arena arena;

static int set_up(void **state)
{
	unsigned char key[32] = { 1 };

	(void)state;
	arena_init(&arena, 1 << 20);
	assert_int_equal(seal_new(key, &seal), OK);
	key[0] = 2;
	assert_int_equal(seal_new(key, &other), OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seal_free(seal);
	seal_free(other);
	arena_release(&arena);
	return 0;
}

static struct oidc_state a_state(void)
{
	struct oidc_state s = { .issuer = STR("https://op.test"), .begun_at = NOW };

	oidc_state_make(&s);
	return s;
}

static struct str sealed(const struct oidc_state *s)
{
	struct buf b;
	struct str out;

	buf_init(&b, 8192);
	assert_int_equal(oidc_state_seal(s, seal, &b), OK);
	out = arena_str(&arena, buf_str(&b));
	buf_release(&b);
	return out;
}

static void a_state_comes_back_as_it_was(void **state)
{
	struct oidc_state s = a_state(), t;

	(void)state;
	assert_int_equal(oidc_state_open(sealed(&s), seal, NOW, &arena, &t), OK);
	assert_string_equal(t.state, s.state);
	assert_string_equal(t.nonce, s.nonce);
	assert_string_equal(t.verifier, s.verifier);
	assert_string_equal(t.finish, s.finish);
	assert_true(str_eq(t.issuer, s.issuer));
	assert_true(t.return_to.p == NULL && !t.link && t.begun_at == NOW);
	s.return_to = STR("https://app.test/\"\\x");
	s.link = true;
	s.user = id_new(NOW);
	s.session = id_new(NOW);
	assert_int_equal(oidc_state_open(sealed(&s), seal, NOW, &arena, &t), OK);
	assert_true(str_eq(t.return_to, s.return_to) && t.link);
	assert_true(id_eq(t.user, s.user) && id_eq(t.session, s.session));
}

static void tokens_are_new_each_time(void **state)
{
	struct oidc_state a = a_state(), b = a_state();

	(void)state;
	assert_string_not_equal(a.state, b.state);
	assert_string_not_equal(a.state, a.nonce);
	assert_string_not_equal(a.nonce, a.verifier);
	assert_string_not_equal(a.verifier, a.finish);
}

/* RFC 7636, appendix B. */
static void the_challenge_is_that_of_the_rfc(void **state)
{
	struct oidc_state s = { .verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" };
	char challenge[OIDC_STATE_TOKEN];

	(void)state;
	oidc_state_challenge(&s, challenge);
	assert_string_equal(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

static void nothing_else_opens(void **state)
{
	struct oidc_state s = a_state(), t;
	struct str good = sealed(&s);
	char *edited = arena_strz(&arena, good);

	(void)state;
	assert_int_equal(oidc_state_open(good, other, NOW, &arena, &t), E_OIDC_STATE);
	assert_int_equal(oidc_state_open(STR(""), seal, NOW, &arena, &t), E_OIDC_STATE);
	assert_int_equal(oidc_state_open(str_n(good.p, good.n - 1), seal, NOW, &arena, &t), E_OIDC_STATE);
	for (size_t i = 0; i < good.n; i += 7) {
		edited[i] = edited[i] == 'A' ? 'B' : 'A';
		if (!str_eqc(good, edited))
			assert_int_equal(oidc_state_open(str_c(edited), seal, NOW, &arena, &t), E_OIDC_STATE);
		edited[i] = good.p[i];
	}
	assert_int_equal(oidc_state_open(good, seal, NOW + OIDC_STATE_LIFE - 1, &arena, &t), OK);
	assert_int_equal(oidc_state_open(good, seal, NOW + OIDC_STATE_LIFE, &arena, &t), E_OIDC_STATE);
	assert_int_equal(oidc_state_open(good, seal, NOW - OIDC_STATE_SKEW, &arena, &t), OK);
	assert_int_equal(oidc_state_open(good, seal, NOW - OIDC_STATE_SKEW - 1, &arena, &t), E_OIDC_STATE);
}

/* ---- cookies -------------------------------------------------------------------------------- */

static const char *find(const char *const *fields)
{
	struct request r;
	struct str v;
	char *out;

	request_init(&r);
	for (; *fields != NULL; fields++)
		assert_int_equal(request_add_field(&r, STR("cookie"), str_c(*fields)), OK);
	v = cookie_find(&r, STR("n"));
	out = v.p != NULL ? arena_strz(&arena, v) : NULL;
	request_release(&r);
	return out;
}

static void cookies(void **state)
{
	static const struct {
		const char *fields[3], *value;
	} rows[] = {
		{ { "__Host-n=v" }, "v" },
		{ { "a=b; __Host-n=v; c=d" }, "v" },
		{ { "a=b", "__Host-n=v=w" }, "v=w" },
		{ { "__Host-n=" }, "" },
		{ { "n=v" }, NULL },
		{ { "__Host-nn=v; x__Host-n=v" }, NULL },
		{ { "__Host-n" }, NULL },
		{ { "__Host-n=v; __Host-n=v" }, NULL },
		{ { "__Host-n=v", "__Host-n=w" }, NULL },
		{ { "; ;=;" }, NULL },
		{ { NULL }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *v = find(rows[i].fields);

		print_message("%zu\n", i);
		assert_true((v == NULL) == (rows[i].value == NULL));
		if (v != NULL)
			assert_string_equal(v, rows[i].value);
	}
}

/* ---- where to ------------------------------------------------------------------------------- */

static void returning(void **state)
{
	char *patterns[] = { "https://app.test/*", "https://*.sub.test/in*", "https://exact.test",
		"http://localhost:*/cb", "https://path.test/only" };
	const struct config_list list = { patterns, sizeof patterns / sizeof *patterns };
	static const struct {
		const char *url;
		bool ok;
	} rows[] = {
		{ "https://app.test/", true }, { "https://app.test/x/y?z=1", true }, { "https://app.test", false },
		{ "https://app.test?x", false }, { "http://app.test/", false }, { "https://APP.test/", false },
		{ "https://app.test.evil.test/", false }, { "https://app.test@evil.test/", false },
		{ "https://evil.test/https://app.test/", false }, { "https://a.sub.test/in", true },
		{ "https://a.b.sub.test/inside", true }, { "https://sub.test/in", false },
		{ "https://evil.test/.sub.test/in", false }, { "https://evil.test?.sub.test/in", false },
		{ "https://evil.test#.sub.test/in", false }, { "https://evil.test\\.sub.test/in", false },
		{ "https://exact.test", true }, { "https://exact.test/", true }, { "https://exact.test/x", false },
		{ "https://exact.test?x", false }, { "http://localhost:3000/cb", true },
		{ "http://localhost/cb", false }, { "http://localhost:3000@evil.test/cb", false },
		{ "https://path.test/only", true }, { "https://path.test/only/", false },
		{ "https://app.test/..", false }, { "https://app.test/%2E%2E/", false },
		{ "https://app.test/%5Cevil", false }, { "https://app.test/\xc3\xa4", false },
		{ "https://app.test/a b", false }, { "", false }, { "/", false }, { "https://", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		print_message("%s\n", rows[i].url);
		assert_int_equal(return_to_allowed(&list, rows[i].url), rows[i].ok);
	}
	assert_false(return_to_allowed(&(struct config_list){ NULL, 0 }, "https://app.test/"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_comes_back_as_it_was),
		cmocka_unit_test(tokens_are_new_each_time),
		cmocka_unit_test(the_challenge_is_that_of_the_rfc),
		cmocka_unit_test(nothing_else_opens),
		cmocka_unit_test(cookies),
		cmocka_unit_test(returning),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
