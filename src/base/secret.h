/* Secrets: a type that owns its bytes, wipes them on release, compares in constant time and has no
 * way to be printed. Not thread-safe. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct secret {
	unsigned char *p;
	size_t n;
};

/* Copies into memory that core dumps leave out where the system allows it (MADV_DONTDUMP). */
enum err secret_set(struct secret *s, const void *p, size_t n);
void secret_release(struct secret *s);
/* Overwrites memory that the compiler may not elide. */
void secret_wipe(void *p, size_t n);
/* Constant time in the bytes; lengths are not secret. */
bool secret_eq(struct str a, struct str b);

#endif
