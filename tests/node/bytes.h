/* A growable run of bytes with a maximum, and a view into somebody else's bytes. Not shared between
 * threads. Running out of memory ends the process: this is a test node, not the gateway. */
#ifndef NODE_BYTES_H
#define NODE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *data;
	size_t len;
};

struct bytes {
	char *data;
	size_t len, cap;
};

/* Makes room for extra more bytes after len. */
void bytes_reserve(struct bytes *b, size_t extra);
void bytes_add(struct bytes *b, const void *data, size_t len);
void bytes_addf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends len copies of c. */
void bytes_fill(struct bytes *b, char c, size_t len);
/* Drops the first len bytes. */
void bytes_consume(struct bytes *b, size_t len);
void bytes_release(struct bytes *b);

static inline bool slice_is(struct slice s, const char *text)
{
	size_t n = strlen(text);
	return s.len == n && !memcmp(s.data, text, n);
}

/* Like slice_is for header names: ASCII case does not count. */
bool slice_is_nocase(struct slice s, const char *text);
/* A NUL-terminated copy for free(). */
char *slice_dup(struct slice s);

#endif
