#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "authn/token_cache.h"
#include "crypto/keyring.h"

/* The key of token-9 is given an end; the keys of the others go. */
static void keeps_keys(struct token_cache *c)
{
	struct keyring_entry e = { .state = KEY_RETIRED, .not_after = 7, .kid = "kid-9" };
	struct keyring *k;

	assert_int_equal(jws_key_generate(&e.key, NULL), OK);
	assert_int_equal(keyring_new_take(&e, 1, &k), OK);
	token_cache_keep_keys(c, k);
	keyring_unref(k);
	assert_int_equal(c->map.n, 1);
	assert_int_equal(token_cache_find(c, STR("token-9"))->until, 7);
}

static void test_token_cache(void **state)
{
	struct identity who = { .expires_at = 5 };
	struct token_cache c;
	char text[24], kid[24];

	(void)state;
	assert_int_equal(token_cache_init(&c, 4), OK);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof text, "token-%d", i);
		snprintf(kid, sizeof kid, "kid-%d", i);
		assert_non_null(token_cache_add(&c, str_c(text), str_c(kid), &who, i));
		assert_non_null(token_cache_find(&c, STR("token-0"))); /* used, so it stays */
	}
	assert_int_equal(c.map.n, 4);
	assert_non_null(token_cache_find(&c, STR("token-9")));
	assert_null(token_cache_find(&c, STR("token-5")));
	assert_null(token_cache_find(&c, STR("token-")));
	token_cache_add_bad(&c, STR("bad"));
	assert_true(token_cache_is_bad(&c, STR("bad")));
	assert_false(token_cache_is_bad(&c, STR("good")));
	keeps_keys(&c);
	token_cache_keep_keys(&c, NULL);
	assert_int_equal(c.map.n, 0);
	assert_false(token_cache_is_bad(&c, STR("bad")));
	token_cache_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_token_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
