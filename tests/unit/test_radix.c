#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/radix.h"

#define MANY 5000

/* Keys with what the sort treats apart: few and many, bytes that all share, equal keys (whose order
 * stays: each item points at its place). */
static void sorted(size_t n, uint64_t and, uint64_t or)
{
	static const char place[MANY];
	struct radix_item v[MANY];
	uint64_t x = 88172645463325252u;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v[i] = (struct radix_item){ (x & and) | or, &place[i] };
	}
	assert_true(radix_sort(v, n));
	for (size_t i = 1; i < n; i++)
		if (v[i - 1].key > v[i].key || (v[i - 1].key == v[i].key && v[i - 1].p >= v[i].p))
			fail_msg("%zu of %zu", i, n);
}

static void test_sort(void **state)
{
	(void)state;
	for (size_t n = 0; n <= MANY; n = n < 40 ? n + 1 : n * 5) {
		sorted(n, UINT64_MAX, 0);
		sorted(n, 0xff, 0xab00);
		sorted(n, 0xff00ff, 0);
		sorted(n, (uint64_t)3 << 62, 1);
		sorted(n, 0, 7);
	}
}

static void test_no_memory(void **state)
{
	struct radix_item v[100] = { { 1, NULL } };
	bool ok;

	(void)state;
	heap_fail_after(1);
	ok = radix_sort(v, 100);
	heap_fail_after(0);
	assert_false(ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
