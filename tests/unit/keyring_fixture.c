#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/jws_key.h"
#include "keyring_fixture.h"

struct keyring_entry keyring_entry_new(enum key_state state, int64_t not_after)
{
	struct keyring_entry e = { .state = state, .not_after = not_after };
	struct fail f = { 0 };

	assert_int_equal(jws_key_generate(&e.key, &f), OK);
	jws_key_thumbprint(e.key, e.kid);
	return e;
}
