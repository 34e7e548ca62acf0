#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define CANARY "a canary that nobody may find again" /* longer than what an allocator keeps in freed memory */

/* Whether the canary still is at an address that may be freed by now: the kernel reads it, not we. */
static bool left_at(uintptr_t at)
{
	char seen[sizeof CANARY];
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = pread(fd, seen, sizeof seen, (off_t)at);
	close(fd);
	return n > 20 && memcmp(seen + 20, CANARY + 20, (size_t)n - 21) == 0;
}

static void a_secret_stays_nowhere_behind(void **state)
{
	struct buf b;
	uintptr_t at;

	(void)state;
	buf_init_secret(&b, 1 << 16);
	assert_int_equal(buf_addz(&b, CANARY), OK);
	at = (uintptr_t)b.p;
	assert_true(left_at(at));
	assert_int_equal(buf_reserve(&b, 4096), OK);
	assert_true((uintptr_t)b.p != at);
	assert_false(left_at(at));
	assert_string_equal(buf_cstr(&b), CANARY);

	buf_clear(&b);
	assert_false(left_at((uintptr_t)b.p));
	assert_int_equal(buf_addz(&b, CANARY), OK);

	at = (uintptr_t)b.p;
	buf_release(&b);
	assert_false(left_at(at));
	assert_true(b.secret && b.max == 1 << 16 && b.n == 0);
}

static void what_is_refused_changes_nothing(void **state)
{
	(void)state;
	for (int secret = 0; secret < 2; secret++) {
		struct buf b;

		if (secret)
			buf_init_secret(&b, 300);
		else
			buf_init(&b, 300);
		for (int i = 0; i < 299; i++)
			assert_int_equal(buf_addc(&b, (char)('a' + i % 26)), OK);
		assert_int_equal(buf_addz(&b, "zz"), E_LIMIT);
		assert_true(b.failed && !b.nomem && b.n == 299 && b.p[298] == 'a' + 298 % 26);
		assert_int_equal(buf_addc(&b, 'z'), OK);
		assert_int_equal(buf_addc(&b, 'z'), E_LIMIT);
		buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_stays_nowhere_behind),
		cmocka_unit_test(what_is_refused_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
