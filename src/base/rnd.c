#include "base/rnd.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static _Thread_local struct {
	unsigned char b[4096];
	size_t left;
} block;

/* The child of a fork has this thread alone, and must not hand out what its parent will. */
static void forget(void)
{
	block.left = 0;
}

__attribute__((constructor)) static void watch_forks(void)
{
	if (pthread_atfork(NULL, NULL, forget) != 0)
		abort();
}

static void fill(unsigned char *out, size_t n)
{
	while (n > 0) {
		ssize_t k = getrandom(out, n > 256 ? 256 : n, 0);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			abort();
		out += k;
		n -= (size_t)k;
	}
}

void rnd_bytes(void *out, size_t n)
{
	if (n > 64) {
		fill(out, n);
		return;
	}
	if (block.left < n) {
		fill(block.b, sizeof block.b);
		block.left = sizeof block.b;
	}
	block.left -= n;
	memcpy(out, block.b + block.left, n);
	explicit_bzero(block.b + block.left, n);
}
