/* Arenas, buffers, secrets, and the allocator's fault injection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/secret.h"

static void arena_limits(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 100000);
	for (size_t i = 1; i < 200; i++) {
		char *p = arena_alloc(&a, i);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		memset(p, 0xaa, i);
	}
	assert_null(arena_alloc(&a, 100001));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	arena_clear(&a);
	assert_int_equal(a.used, 0);
	assert_non_null(arena_alloc(&a, 90000));
	arena_release(&a);
}

/* A cleared arena serves a request of the usual size without allocating. */
static void arena_reuse(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	assert_non_null(arena_alloc(&a, 3000));
	arena_clear(&a);
	heap_fail_after(1);
	assert_non_null(arena_alloc(&a, 3000));
	assert_null(arena_alloc(&a, 3000));
	assert_true(heap_fail_after(0));
	arena_release(&a);
}

static void buffers(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 300);
	for (int i = 0; i < 30; i++)
		assert_int_equal(buf_addz(&b, "0123456789"), OK);
	assert_int_equal(buf_addc(&b, 'x'), E_LIMIT);
	assert_int_equal(b.n, 300);
	assert_int_equal(buf_err(&b), E_LIMIT);
	buf_consume(&b, 295);
	assert_string_equal(buf_cstr(&b), "56789");
	buf_clear(&b);
	assert_int_equal(buf_err(&b), OK);
	buf_addu(&b, UINT64_MAX);
	buf_printf(&b, "/%d", -5);
	assert_string_equal(buf_cstr(&b), "18446744073709551615/-5");
	buf_release(&b);
	heap_fail_after(1);
	assert_int_equal(buf_addc(&b, 'x'), E_NOMEM);
	assert_int_equal(buf_err(&b), E_NOMEM);
	heap_fail_after(0);
	buf_release(&b);
}

static void secrets(void **state)
{
	struct secret s = { 0 };
	unsigned char was[8];

	(void)state;
	assert_int_equal(secret_set(&s, "hush-hush", 9), OK);
	assert_true(secret_eq(str_n((char *)s.p, s.n), STR("hush-hush")));
	assert_false(secret_eq(STR("hush-hush"), STR("hush-husH")));
	assert_false(secret_eq(STR("hush"), STR("hush-")));
	secret_release(&s);
	assert_null(s.p);
	memcpy(was, "secret!", 8);
	secret_wipe(was, sizeof was);
	for (size_t i = 0; i < sizeof was; i++)
		assert_int_equal(was[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_limits),
		cmocka_unit_test(arena_reuse),
		cmocka_unit_test(buffers),
		cmocka_unit_test(secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
