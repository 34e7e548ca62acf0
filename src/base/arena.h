/* Memory of one request (or one job): allocate, never free singly, release all at once. The first
 * chunk survives `clear`, so a reused arena allocates nothing in the common case. Not thread-safe:
 * it belongs to whoever owns the request. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *first, *cur;
	size_t used; /* bytes given out, all chunks */
	size_t max;  /* allocations past this fail */
};

void arena_init(struct arena *a, size_t max);
/* Forgets all allocations; keeps one chunk of at most 16 KiB for reuse. */
void arena_clear(struct arena *a);
void arena_release(struct arena *a);

/* 16-byte aligned; NULL when out of memory or past `max`. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
/* Copies; the copy is NUL-terminated as well. .p is NULL on failure. */
struct str arena_str(struct arena *a, struct str s);
char *arena_strz(struct arena *a, struct str s);
/* Decimal. */
struct str arena_u64(struct arena *a, uint64_t v);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
