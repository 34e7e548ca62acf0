#include "proxy/path.h"

#include "base/hex.h"

static bool unreserved(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
	    c == '.' || c == '_' || c == '~';
}

static char *put_segment(char *o, struct str s)
{
	static const char digits[] = "0123456789ABCDEF";

	*o++ = '/';
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (unreserved(s.p[i])) {
			*o++ = s.p[i];
			continue;
		}
		*o++ = '%';
		*o++ = digits[c >> 4];
		*o++ = digits[c & 15];
	}
	return o;
}

struct str path_join(struct arena *a, struct str prefix, struct str first, struct str second)
{
	char *p = arena_alloc(a, prefix.n + 3 * (first.n + second.n) + 2), *o = p;

	if (p == NULL)
		return STR_NONE;
	memcpy(o, prefix.p, prefix.n);
	o = put_segment(o + prefix.n, first);
	if (second.n > 0)
		o = put_segment(o, second);
	return str_n(p, (size_t)(o - p));
}

/* Length of a dot at s, plain or encoded; 0: none. */
static size_t dot_at(struct str s)
{
	if (s.n > 0 && s.p[0] == '.')
		return 1;
	return s.n > 2 && str_ieq(str_n(s.p, 3), STR("%2e")) ? 3 : 0;
}

static bool devious_segment(struct str s)
{
	size_t dots = 0, k;

	for (size_t i = 0; i + 3 <= s.n; i++)
		if (str_ieq(str_n(s.p + i, 3), STR("%2f")) || str_ieq(str_n(s.p + i, 3), STR("%5c")) ||
		    str_ieq(str_n(s.p + i, 3), STR("%00")))
			return true;
	while ((k = dot_at(s)) > 0) {
		dots++;
		s = str_skip(s, k);
	}
	return s.n == 0 && dots < 3;
}

bool path_is_devious(struct str raw)
{
	struct str rest = raw;

	if (raw.n == 0 || raw.p[0] != '/')
		return true;
	rest = str_skip(rest, 1);
	while (rest.p != NULL)
		if (devious_segment(str_cut(rest, '/', &rest)))
			return true;
	return false;
}
