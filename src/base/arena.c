#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/heap.h"

#define CHUNK_MIN 4096
#define CHUNK_KEEP 16384

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	char data[] __attribute__((aligned(16)));
};

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){ .max = max };
}

static void free_chunks(struct arena_chunk *c)
{
	while (c != NULL) {
		struct arena_chunk *next = c->next;

		heap_free(c);
		c = next;
	}
}

void arena_clear(struct arena *a)
{
	struct arena_chunk *keep = a->first;

	if (keep != NULL && keep->size > CHUNK_KEEP)
		keep = NULL;
	free_chunks(keep != NULL ? keep->next : a->first);
	if (keep != NULL) {
		keep->next = NULL;
		keep->used = 0;
	}
	a->first = a->cur = keep;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	free_chunks(a->first);
	*a = (struct arena){ .max = a->max };
}

static struct arena_chunk *grow(struct arena *a, size_t n)
{
	size_t size = a->cur != NULL ? a->cur->size * 2 : CHUNK_MIN;
	struct arena_chunk *c;

	if (size > 256 * 1024)
		size = 256 * 1024;
	if (size < n)
		size = n;
	c = heap_alloc(sizeof *c + size);
	if (c == NULL)
		return NULL;
	*c = (struct arena_chunk){ .size = size };
	if (a->cur != NULL)
		a->cur->next = c;
	else
		a->first = c;
	a->cur = c;
	return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->cur;
	void *p;

	if (n > a->max)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	if (n > a->max - a->used)
		return NULL;
	if (c == NULL || c->size - c->used < n) {
		c = grow(a, n);
		if (c == NULL)
			return NULL;
	}
	p = c->data + c->used;
	c->used += n;
	a->used += n;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);

	if (p != NULL)
		memset(p, 0, n);
	return p;
}

char *arena_strz(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (p == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_strz(a, s);

	return (struct str){ p, p != NULL ? s.n : 0 };
}

struct str arena_u64(struct arena *a, uint64_t v)
{
	enum { DIGITS = 20 };
	char *p = arena_alloc(a, DIGITS);
	size_t at = DIGITS;

	if (p == NULL)
		return STR_NONE;
	do
		p[--at] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	return str_n(p + at, DIGITS - at);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
