/* A growable byte buffer, born with a maximum. A failed append leaves the buffer as it was and sets
 * `failed`, so that a sequence of appends needs one check at its end. Not thread-safe. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct buf {
	char *p;
	size_t n;    /* bytes in use */
	size_t cap;  /* bytes allocated */
	size_t max;  /* bytes that n may reach */
	bool failed; /* an append failed since the last clear */
	bool nomem;  /* ... because memory ran out, not because of max */
	bool secret; /* memory is wiped before it is given up, also when the buffer grows out of it */
};

void buf_init(struct buf *b, size_t max);
void buf_init_secret(struct buf *b, size_t max);
void buf_release(struct buf *b);
/* Empties, keeps the memory; of a secret, it is wiped. */
void buf_clear(struct buf *b);
/* Removes the first n bytes (moves the rest to the front). */
void buf_consume(struct buf *b, size_t n);
enum err buf_grow(struct buf *b, size_t n); /* buf_reserve's */
/* Room for n more bytes; the caller writes at b->p + b->n and adds to b->n. E_LIMIT past max, E_NOMEM. */
static inline enum err buf_reserve(struct buf *b, size_t n)
{
	/* always one byte more, for buf_cstr */
	return n < b->cap - b->n && n <= b->max - b->n ? OK : buf_grow(b, n);
}
static inline enum err buf_add(struct buf *b, const void *p, size_t n)
{
	enum err e = buf_reserve(b, n);

	if (e == OK && n > 0) {
		memcpy(b->p + b->n, p, n);
		b->n += n;
	}
	return e;
}
static inline enum err buf_adds(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}
static inline enum err buf_addz(struct buf *b, const char *z)
{
	return buf_add(b, z, strlen(z));
}
static inline enum err buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}
enum err buf_addu(struct buf *b, uint64_t v); /* decimal */
enum err buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A terminating NUL that n does not count; returns b->p or NULL. */
const char *buf_cstr(struct buf *b);

static inline enum err buf_err(const struct buf *b)
{
	return !b->failed ? OK : b->nomem ? E_NOMEM : E_LIMIT;
}
static inline struct str buf_str(const struct buf *b)
{
	return (struct str){ b->p, b->n };
}

#endif
