#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void bytes_reserve(struct bytes *b, size_t extra)
{
	size_t cap = b->cap ? b->cap : 1024;

	while (cap - b->len < extra)
		cap *= 2;
	if (cap == b->cap)
		return;
	b->data = realloc(b->data, cap);
	if (!b->data)
		abort();
	b->cap = cap;
}

void bytes_add(struct bytes *b, const void *data, size_t len)
{
	if (!len)
		return;
	bytes_reserve(b, len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void bytes_addf(struct bytes *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	bytes_reserve(b, 256);
	va_start(ap, fmt);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	if ((size_t)n >= b->cap - b->len) {
		bytes_reserve(b, (size_t)n + 1);
		va_start(ap, fmt);
		vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void bytes_fill(struct bytes *b, char c, size_t len)
{
	bytes_reserve(b, len + 1);
	memset(b->data + b->len, c, len);
	b->len += len;
}

void bytes_consume(struct bytes *b, size_t len)
{
	b->len -= len;
	if (b->len)
		memmove(b->data, b->data + len, b->len);
}

void bytes_release(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ 0 };
}

bool slice_is_nocase(struct slice s, const char *text)
{
	return s.len == strlen(text) && !strncasecmp(s.data, text, s.len);
}

char *slice_dup(struct slice s)
{
	char *copy = malloc(s.len + 1);

	if (!copy)
		abort();
	if (s.len)
		memcpy(copy, s.data, s.len);
	copy[s.len] = 0;
	return copy;
}
