/* Reads JSON (RFC 8259) piece by piece, in place and without allocation, stricter than a parser for
 * people: UTF-8 only, no control characters, no NUL, nesting at most JSONR_DEPTH. Escapes are decoded
 * over the text itself, so the text must be writable and must not be read again. What it does not
 * do: see duplicate members; `struct jsonr_names` helps a caller that must.
 *
 *	jsonr_obj(&r);
 *	while (jsonr_member(&r, &name))
 *		... read the value or jsonr_skip(&r) ...
 *	ok = jsonr_done(&r);
 *
 * The first error sticks: everything after it returns false. Not thread-safe; no state outside. */
#ifndef BASE_JSONR_H
#define BASE_JSONR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define JSONR_DEPTH 32

struct jsonr {
	char *p, *end;
	unsigned depth;
	bool first; /* the next member or element is the first of its container */
	bool failed;
};

static inline struct jsonr jsonr_on(char *text, size_t n)
{
	return (struct jsonr){ .p = text, .end = text + n };
}

/* Enters an object or an array. */
bool jsonr_obj(struct jsonr *r);
bool jsonr_arr(struct jsonr *r);
/* The next member's name, or false: the object has ended (and is left), or an error. */
bool jsonr_member(struct jsonr *r, struct str *name);
/* Whether another element follows; false: the array has ended (and is left), or an error. */
bool jsonr_elem(struct jsonr *r);
/* What the next value starts with: one of { [ " t f n 0 (any number), or NUL at the end. */
char jsonr_peek(struct jsonr *r);
/* Values. The view points into the text. */
bool jsonr_str(struct jsonr *r, struct str *out);
/* Integers only: no fraction, no exponent, no leading zero, within int64. */
bool jsonr_int(struct jsonr *r, int64_t *out);
/* Any value, checked and passed over. */
bool jsonr_skip(struct jsonr *r);
/* Nothing but blanks is left, and there was no error. */
bool jsonr_done(struct jsonr *r);

/* The member names of one object, to refuse the second of a kind. */
#define JSONR_NAMES 64
struct jsonr_names {
	struct str name[JSONR_NAMES];
	unsigned n;
};
/* False when the name was there before, or when the object has too many members. */
bool jsonr_names_add(struct jsonr_names *s, struct str name);

#endif
