#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/heap.h"
#include "crypto/jws_key.h"
#include "crypto/keyring.h"
#include "keyring_fixture.h"

static void finds_signs_and_publishes(void **state)
{
	struct keyring_entry e[] = { keyring_entry_new(KEY_RETIRED, 100), keyring_entry_new(KEY_ACTIVE, 0), keyring_entry_new(KEY_NEXT, 0),
		keyring_entry_new(KEY_REVOKED, 0), keyring_entry_new(KEY_RETIRED, 50) };
	struct keyring *k = NULL;
	struct buf b;
	json_t *jwks, *keys;

	(void)state;
	assert_int_equal(keyring_new_take(e, 5, &k), OK);
	assert_string_equal(keyring_signer(k)->kid, e[1].kid);
	assert_int_equal(keyring_find(k, str_c(e[0].kid))->not_after, 100);
	assert_null(keyring_find(k, str_c(e[3].kid))); /* revoked */
	assert_null(keyring_find(k, STR("")));
	assert_null(keyring_find(k, STR_NONE));
	buf_init(&b, 16384);
	keyring_write_jwks(k, 50, &b);
	jwks = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
	keys = json_object_get(jwks, "keys");
	assert_int_equal(json_array_size(keys), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(keys, 1), "kid")),
	    e[1].kid);
	json_decref(jwks);
	buf_clear(&b);
	keyring_write_jwks(k, 100, &b);
	jwks = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_array_size(json_object_get(jwks, "keys")), 2);
	json_decref(jwks);
	buf_release(&b);
	assert_ptr_equal(keyring_ref(k), k);
	keyring_unref(k);
	assert_non_null(keyring_signer(k));
	keyring_unref(k);
	keyring_unref(NULL);
}

static void without_signer_and_with_two(void **state)
{
	struct keyring_entry none[] = { keyring_entry_new(KEY_NEXT, 0) };
	struct keyring_entry two[] = { keyring_entry_new(KEY_ACTIVE, 0), keyring_entry_new(KEY_ACTIVE, 0) };
	struct keyring_entry lost[] = { keyring_entry_new(KEY_ACTIVE, 0) };
	struct keyring *k = NULL;
	struct buf b;

	(void)state;
	assert_int_equal(keyring_new_take(none, 1, &k), OK);
	assert_null(keyring_signer(k));
	keyring_unref(k);
	k = NULL;
	assert_int_equal(keyring_new_take(two, 2, &k), E_INTERNAL);
	assert_null(k);
	heap_fail_after(1);
	assert_int_equal(keyring_new_take(lost, 1, &k), E_NOMEM);
	heap_fail_after(0);
	assert_null(k);
	assert_int_equal(keyring_new_take(NULL, 0, &k), OK);
	buf_init(&b, 64);
	keyring_write_jwks(k, 0, &b);
	assert_true(str_eqc(buf_str(&b), "{\"keys\":[]}"));
	buf_release(&b);
	keyring_unref(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_signs_and_publishes),
		cmocka_unit_test(without_signer_and_with_two),
	};

	return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
