#include "base/heap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long fail_in;  /* 0: off; n > 0: the n-th allocation fails */
static atomic_bool failing;
static atomic_int injected;

static int fault(void)
{
	if (atomic_load_explicit(&fail_in, memory_order_relaxed) == 0)
		return 0;
	if (!failing && atomic_fetch_sub(&fail_in, 1) == 1)
		failing = 1;
	if (failing) {
		fail_in = 1;
		injected = 1;
		return 1;
	}
	return 0;
}

void *heap_alloc(size_t n)
{
	return fault() ? NULL : malloc(n > 0 ? n : 1);
}

void *heap_zalloc(size_t n)
{
	return fault() ? NULL : calloc(1, n > 0 ? n : 1);
}

void *heap_aligned(size_t align, size_t n)
{
	return fault() ? NULL : aligned_alloc(align, (n + align - 1) & ~(align - 1));
}

void *heap_realloc(void *p, size_t n)
{
	return fault() ? NULL : realloc(p, n > 0 ? n : 1);
}

void *heap_dup(const void *p, size_t n)
{
	void *q = heap_alloc(n);

	if (q != NULL && n > 0)
		memcpy(q, p, n);
	return q;
}

char *heap_strdup(const char *z)
{
	return heap_dup(z, strlen(z) + 1);
}

void heap_free(void *p)
{
	free(p);
}

int heap_fail_after(long n)
{
	int was = atomic_exchange(&injected, 0);

	failing = 0;
	fail_in = n;
	return was;
}
