/* Nodes that send what brings no call on, without end: they cost their own calls and nobody else's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "upstream_fixture.h"

/* ---- nodes ------------------------------------------------------------------------------------- */

#define TIMES 4096

/* A frame, and what comes before the many of it. */
struct noise {
	const char *name;
	const char *frame;
	size_t n;
	const char *before;
	size_t before_n;
};

#define BYTES(s) (s), sizeof(s) - 1
#define HEAD BYTES("\0\0\1\1\4\0\0\0\1\x88") /* HEADERS on stream 1: status 200 */

static const struct noise noises[] = {
	{ "unknown", BYTES("\0\0\0\xfa\0\0\0\0\0"), NULL, 0 },
	{ "WINDOW_UPDATE", BYTES("\0\0\4\x8\0\0\0\0\0\0\0\0\1"), NULL, 0 },
	{ "PRIORITY", BYTES("\0\0\5\2\0\0\0\0\1\0\0\0\0\1"), NULL, 0 },
	{ "PING", BYTES("\0\0\x8\6\0\0\0\0\0pingpong"), NULL, 0 },
	{ "empty DATA", BYTES("\0\0\0\0\0\0\0\0\1"), HEAD },
	{ "interim HEADERS", BYTES("\0\0\5\1\4\0\0\0\1\x8\3" "103"), NULL, 0 },
};

static const struct noise *_Atomic chosen;

static bool write_bytes(int fd, const char *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t k = send(fd, p + at, n - at, MSG_NOSIGNAL);

		if (k <= 0)
			return false;
		at += (size_t)k;
	}
	return true;
}

static void serve_noise(struct node *n, int fd, int nth)
{
	static const char settings[9] = { [3] = 4 };
	const struct noise *x = chosen; /* the next one may be by the time that this one is heard no more */
	char in[4096], *many = malloc(TIMES * x->n);

	(void)nth;
	for (size_t i = 0; i < TIMES; i++)
		memcpy(many + i * x->n, x->frame, x->n);
	n->requests++;
	if (recv(fd, in, sizeof in, 0) > 0 && write_bytes(fd, settings, sizeof settings) &&
	    write_bytes(fd, x->before, x->before_n))
		while (write_bytes(fd, many, TIMES * x->n))
			;
	free(many);
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void noise_ends_the_connection(void **state)
{
	struct fixture *fx = *state;

	fx->q.grpc = true;
	fx->q.idempotent = true; /* and yet not sent again */
	fx->q.path = STR("/echo");
	fixture_start_a(fx, serve_noise);
	for (size_t i = 0; i < sizeof noises / sizeof *noises; i++) {
		chosen = &noises[i];
		if (fixture_call(fx)->err != E_BAD_UPSTREAM)
			fail_msg("%s: error %d", chosen->name, (int)fx->seen[0].err);
		assert_int_equal(fx->seen[0].tries, 1);
		if (i == 2) { /* before its circuit opens */
			upstream_free(fx->up);
			fx->up = NULL;
		}
	}
	fixture_wait_count(fx, &fx->a.closed, fx->a.accepted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(noise_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
