/* UUIDv7 (RFC 9562, 5.7) as 16 bytes and as text. Any thread. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define ID_TEXT_LEN 37 /* with the NUL */

struct id {
	uint8_t b[16];
};

/* Time-ordered by millisecond, random below; `wall` is microseconds since the epoch. */
struct id id_new(int64_t wall);
/* Lower-case, with hyphens. Returns out. */
char *id_text(struct id id, char out[ID_TEXT_LEN]);
/* Exactly 36 characters, hex of either case; any version. */
bool id_parse(struct str s, struct id *out);
static inline bool id_eq(struct id a, struct id b)
{
	return __builtin_memcmp(a.b, b.b, 16) == 0;
}

#endif
