/* A view of bytes: pointer and length, not owned, not NUL-terminated. Pure functions: any thread. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })
/* For printf("%.*s"). */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_c(const char *z)
{
	return (struct str){ z, z != NULL ? strlen(z) : 0 };
}
static inline struct str str_n(const char *p, size_t n)
{
	return (struct str){ p, n };
}
static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_eqc(struct str a, const char *z)
{
	return str_eq(a, str_c(z));
}
/* ASCII case-insensitive. */
static inline bool str_ieq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}
static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
static inline struct str str_skip(struct str s, size_t n)
{
	return (struct str){ s.p + n, s.n - n };
}
/* Splits at the first `sep`: returns what stands before it and leaves in *rest what stands after
 * it; without a `sep`, all of it, and *rest becomes STR_NONE. */
static inline struct str str_cut(struct str s, char sep, struct str *rest)
{
	const char *c = s.n > 0 ? memchr(s.p, sep, s.n) : NULL;

	if (c == NULL) {
		*rest = STR_NONE;
		return s;
	}
	*rest = (struct str){ c + 1, s.n - (size_t)(c - s.p) - 1 };
	return (struct str){ s.p, (size_t)(c - s.p) };
}
/* Without the ends of lines at its end. */
static inline struct str str_chomp(struct str s)
{
	while (s.n > 0 && (s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}
static inline struct str str_trim(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_skip(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* Decimal digits only, no sign, no blank; false when empty, not a number or past `max`. */
bool str_u64(struct str s, uint64_t max, uint64_t *out);
/* Shell-like glob with `*` alone as wildcard, no escapes: for resources of grants. */
bool str_glob(struct str pattern, struct str s);
/* A tenant's id: [a-z0-9][a-z0-9-]{0,62}. */
bool str_tenant(struct str s);
/* Well-formed UTF-8 without NUL (RFC 3629). */
bool str_utf8(struct str s);

#endif
