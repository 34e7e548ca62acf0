#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/secret.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_init_secret(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max, .secret = true };
}

static void give_up(struct buf *b)
{
	if (b->secret)
		secret_wipe(b->p, b->cap);
	heap_free(b->p);
}

void buf_release(struct buf *b)
{
	give_up(b);
	*b = (struct buf){ .max = b->max, .secret = b->secret };
}

void buf_clear(struct buf *b)
{
	if (b->secret && b->n > 0)
		secret_wipe(b->p, b->n);
	b->n = 0;
	b->failed = b->nomem = false;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

/* The allocator moves what is no secret, and may not have to. */
static char *larger(struct buf *b, size_t cap)
{
	char *p;

	if (!b->secret)
		return heap_realloc(b->p, cap);
	p = heap_alloc(cap);
	if (p != NULL && b->n > 0)
		memcpy(p, b->p, b->n);
	if (p != NULL)
		give_up(b);
	return p;
}

enum err buf_grow(struct buf *b, size_t n)
{
	size_t cap = b->cap > 0 ? b->cap : 256;
	char *p;

	if (n > b->max - b->n) {
		b->failed = true;
		return E_LIMIT;
	}
	while (cap - b->n <= n)
		cap *= 2;
	p = larger(b, cap);
	if (p == NULL) {
		b->failed = b->nomem = true;
		return E_NOMEM;
	}
	b->p = p;
	b->cap = cap;
	return OK;
}

enum err buf_addu(struct buf *b, uint64_t v)
{
	char t[20];
	size_t i = sizeof t;

	do
		t[--i] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	return buf_add(b, t + i, sizeof t - i);
}

enum err buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	enum err e;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return E_INTERNAL;
	e = buf_reserve(b, (size_t)n);
	if (e != OK)
		return e;
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
	return OK;
}

const char *buf_cstr(struct buf *b)
{
	if (buf_reserve(b, 0) != OK)
		return NULL;
	b->p[b->n] = '\0';
	return b->p;
}
